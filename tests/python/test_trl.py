"""The real TRL: two steps of a GRPOTrainer on a tiny random model with our reward, and TRL's numbers beside ours."""
import json
import os
import runpy
import unittest

import grpo
import torch
from support import DEMO_MODEL, SOURCE, Scratch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from datasets import Dataset  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

GROUP = 4


class Watched(GRPOTrainer):
    """Keeps what it computes for comparison; computes nothing else."""

    def __init__(self, *arguments, **more):
        self.seen = {"advantages": [], "losses": []}
        super().__init__(*arguments, **more)

    def _generate_and_score_completions(self, inputs):
        out = super()._generate_and_score_completions(inputs)
        self.seen["advantages"].append(out["advantages"])
        return out

    def _get_per_token_logps_and_entropies(self, *arguments, **more):
        self.logps = super()._get_per_token_logps_and_entropies(*arguments, **more)
        return self.logps

    def _compute_loss(self, model, inputs):
        loss = super()._compute_loss(model, inputs)
        logps = self.logps[0]
        if logps.requires_grad:
            gradient = torch.autograd.grad(loss, logps, retain_graph=True)[0]
            kept = {k: inputs.get(k) for k in ("advantages", "completion_mask", "old_per_token_logps", "num_items_in_batch")}
            self.seen["losses"].append((loss.item(), logps.detach().clone(), gradient, kept))
        return loss


SMALL = dict(max_steps=2, per_device_train_batch_size=2 * GROUP, num_generations=GROUP, max_completion_length=6,
             learning_rate=1e-2, use_cpu=True, save_strategy="no", logging_steps=1, disable_tqdm=True, bf16=False,
             dataloader_pin_memory=False)


def tiny(template=None):
    """A random model of a few thousand weights and its tokenizer."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(DEMO_MODEL / "tokenizer.json"), eos_token="<|end|>",
                                        pad_token="<|end|>")
    tokenizer.chat_template = template
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                                        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
                                        eos_token_id=14, pad_token_id=14, bos_token_id=None)), tokenizer


class TwoSteps(Scratch):
    def train(self, prompts, reward, template=None):
        model, tokenizer = tiny(template)
        before = [p.detach().clone() for p in model.parameters()]
        arguments = GRPOConfig(output_dir=str(self.scratch), report_to=[], **SMALL)
        data = Dataset.from_list([{"prompt": p, "answer": "1"} for p in prompts])
        trainer = Watched(model=model, reward_funcs=[reward], args=arguments, train_dataset=data,
                          processing_class=tokenizer)
        trainer.train()
        self.assertEqual(trainer.state.global_step, 2)
        self.assertTrue(any(not torch.equal(a, b) for a, b in zip(before, model.parameters())))
        return trainer

    def test_plain_prompts_and_trls_numbers(self):
        """The reward is the completion's length in characters, so that groups differ."""
        called = []

        class Recorded(grpo.Reward):
            def __call__(self, **arguments):
                called.append((arguments, super().__call__(**arguments)))
                return called[-1][1]

        reward = Recorded("length", {"form": "short", "minimum": 1, "maximum": 6, "unit": "characters"}, label="short")
        trainer = self.train(["1+1=", "2+2=", "3+3=", "4+4="], reward)
        self.assertEqual(len(called), 2)
        arguments, scores = called[0]
        self.assertEqual([len(scores), len(arguments["completion_ids"])], [2 * GROUP] * 2)
        self.assertTrue(all(isinstance(s, float) for s in scores))
        self.assertGreater(len(set(scores)), 1, "all rewards equal: nothing to compare")
        logged = [row for row in trainer.state.log_history if "rewards/short/mean" in row]
        self.assertEqual(len(logged), 2)
        self.assertAlmostEqual(logged[0]["rewards/short/mean"], sum(scores) / len(scores), places=5)

        for (_, scores), theirs in zip(called, trainer.seen["advantages"]):
            ours = grpo.advantages(torch.tensor(scores), GROUP, epsilon=1e-4)
            self.assertTrue(torch.allclose(ours.float(), theirs, atol=1e-5), f"{ours} {theirs}")

        self.assertEqual(len(trainer.seen["losses"]), 2)
        for loss, logps, gradient, inputs in trainer.seen["losses"]:
            ours = grpo.objective(logps, inputs["advantages"], old=inputs["old_per_token_logps"],
                                  mask=inputs["completion_mask"], total_tokens=float(inputs["num_items_in_batch"]),
                                  options={"objective": "dapo", "beta": 0.0})
            self.assertAlmostEqual(ours.loss, loss, places=5)
            self.assertTrue(torch.allclose(ours.dlogprob, gradient, atol=1e-6))
            self.assertGreater(gradient.abs().max().item(), 0)

    def test_the_example(self):
        for part in tiny():
            part.save_pretrained(self.scratch / "model")
        data = self.scratch / "data.jsonl"
        data.write_text("".join(json.dumps({"prompt": f"{i}+1=", "answer": str(i + 1)}) + "\n" for i in range(4)))
        main = runpy.run_path(str(SOURCE / "examples/python/trl_train.py"))["main"]
        trainer = main(str(self.scratch / "model"), str(data), str(self.scratch / "out"), **SMALL)
        logged = [row for row in trainer.state.log_history if "rewards/math/mean" in row]
        self.assertEqual([row["rewards/short/std"] >= 0 for row in logged], [True, True])

    def test_conversations(self):
        template = ("{% for m in messages %}{{ m.content }}{% endfor %}")
        prompts = [[{"role": "user", "content": f"{i}+1="}] for i in range(4)]
        trainer = self.train(prompts, grpo.Reward("math", {"wrong": -0.5, "missing": -1, "last_number": True}), template)
        logged = [row for row in trainer.state.log_history if "rewards/math/mean" in row]
        self.assertEqual(len(logged), 2)
        self.assertTrue(all(-1 <= row["rewards/math/mean"] <= 1 for row in logged))
        self.assertIn("math/format", logged[0])


if __name__ == "__main__":
    unittest.main()
