"""Adapters that grpo-host trained, loaded by the real peft: the same log-probabilities."""
import json
import subprocess
import unittest

import torch
from peft import AutoPeftModelForCausalLM

from support import BUILD, DEMO_MODEL, Scratch

HOST = BUILD / "bin/grpo-host"


class Peft(Scratch):
    def host(self, *arguments, text=""):
        done = subprocess.run([HOST, *arguments], cwd=self.scratch, input=text, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_reads_what_was_trained(self):
        if not list((BUILD / "plugins").rglob("transformer.so")):
            self.skipTest("this build has no transformer plugin")
        rows = [{"prompt": f"{i}+1=", "answer": str(i + 1)} for i in range(8)]
        (self.scratch / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = {
            "run": {"output_dir": "base", "max_steps": 1, "threads": 1},
            "data": {"path": "data.jsonl", "raw_prompt": True},
            "model": {"path": str(DEMO_MODEL), "init": "random"},
            "sampler": {"max_new_tokens": 5},
            "rewards": [{"plugin": "length", "options": {"form": "short", "minimum": 1, "maximum": 5}}],
            "algorithm": {"group_size": 4, "prompts_per_step": 4},
            "optimizer": {"learning_rate": 0.01},
        }
        (self.scratch / "run.yaml").write_text(json.dumps(config))
        self.host("train", "--config", "run.yaml")
        self.host("train", "--config", "run.yaml", "run.output_dir=out", "run.max_steps=2", "model.init=checkpoint",
                  "model.path=base/checkpoint-1", "model.lora={rank: 4, alpha: 16}")
        trained = self.scratch / "out/checkpoint-2"
        ids = [1, 2, 3, 4, 5, 6, 7]
        ours = json.loads(self.host("logprobs", "--model", trained, text=json.dumps({"ids": ids})))["logprobs"]
        model = AutoPeftModelForCausalLM.from_pretrained(trained, dtype=torch.float32).eval()
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        theirs = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(ours), theirs, atol=2e-5, rtol=0)
        self.assertTrue(any(parameter.abs().max() > 0 for name, parameter in model.named_parameters() if "lora_B" in name))


if __name__ == "__main__":
    unittest.main()
