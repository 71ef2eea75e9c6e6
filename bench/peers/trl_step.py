#!/usr/bin/env python3
"""TRL's GRPO step, on the CPU or one GPU, to run beside ours.

Needs a Python with trl 1.16, transformers 5.23, torch 2.11 and datasets. Nothing is downloaded.

    python bench/peers/trl_step.py --model DIR --prompts gsm8k/test.jsonl --dtype float32 --steps 3 --warmup 1

DIR is a Hugging Face directory with a tokenizer. Every completion has exactly --tokens tokens: the end-of-sequence tokens
are suppressed, so that two systems do the same work. One JSON line a step:

    step, warmup      warm-up steps come first and are marked
    seconds           the whole optimizer step
    rollout_seconds   GRPOTrainer._generate: tokenizing, generation, decoding
    reward_seconds    GRPOTrainer._calculate_rewards
    update_seconds    the rest: losses, backward, optimizer
    rollout_tokens_per_second, completion_tokens, prompt_tokens, peak_rss_gb, loss

then one line with "summary": medians over the steps that are not warm-up. Gradient checkpointing is off unless asked for
(TRL turns it on by default, which costs time and saves memory).
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face directory")
    parser.add_argument("--prompts", required=True, help="JSONL; the prompt is the column --prompt-key")
    parser.add_argument("--prompt-key", default="question")
    parser.add_argument("--prompts-per-step", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=8, help="completions a prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens a completion, exactly")
    parser.add_argument("--steps", type=int, default=3, help="measured steps")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of weights and arithmetic")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--beta", type=float, default=0.0, help="KL coefficient; not 0 adds the reference pass")
    parser.add_argument("--loss-type", default="dapo")
    parser.add_argument("--micro-batch", type=int, default=0, help="completions a forward pass; 0: all")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--raw", action="store_true", help="prompts as plain text even if there is a chat template")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def read_prompts(options, conversational):
    prompts = []
    with open(options.prompts, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = json.loads(line)
            if options.prompt_key not in row:
                sys.exit(f"{options.prompts}:{number}: no column {options.prompt_key}; there are {', '.join(row)}")
            text = row[options.prompt_key]
            prompts.append({"prompt": [{"role": "user", "content": text}] if conversational else text})
            if len(prompts) == options.prompts_per_step * (options.steps + options.warmup):
                return prompts
    sys.exit(f"{options.prompts} has {len(prompts)} prompts, too few for the steps asked for")


def share_of_digits(completions, **_):
    """A reward that costs nothing and differs between completions."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [sum(ch.isdigit() for ch in text) / max(len(text), 1) for text in texts]


def main():
    options = arguments()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import datasets
    import torch
    import transformers
    import trl

    if options.threads:
        torch.set_num_threads(options.threads)
    datasets.disable_progress_bars()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    conversational = tokenizer.chat_template is not None and not options.raw
    rows = read_prompts(options, conversational)

    class TimedTrainer(trl.GRPOTrainer):
        clock = None  # seconds by phase, and counts, of the step under way

        def _generate(self, prompts):
            begin = time.perf_counter()
            out = super()._generate(prompts)
            self.clock["rollout"] += time.perf_counter() - begin
            self.clock["prompt_tokens"] += sum(len(ids) for ids in out[0])
            self.clock["completion_tokens"] += sum(len(ids) for ids in out[1])
            return out

        def _calculate_rewards(self, *args, **kwargs):
            begin = time.perf_counter()
            out = super()._calculate_rewards(*args, **kwargs)
            self.clock["reward"] += time.perf_counter() - begin
            return out

        def training_step(self, *args, **kwargs):
            out = super().training_step(*args, **kwargs)
            self.clock["loss"] += float(out)
            return out

    done = []

    class Report(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            trainer.clock = dict.fromkeys(("rollout", "reward", "prompt_tokens", "completion_tokens", "loss"), 0)
            self.begin = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            if options.device == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - self.begin
            clock = trainer.clock
            line = {
                "step": state.global_step,
                "warmup": state.global_step <= options.warmup,
                "seconds": seconds,
                "rollout_seconds": clock["rollout"],
                "reward_seconds": clock["reward"],
                "update_seconds": seconds - clock["rollout"] - clock["reward"],
                "rollout_tokens_per_second": clock["completion_tokens"] / clock["rollout"],
                "completion_tokens": clock["completion_tokens"],
                "prompt_tokens": clock["prompt_tokens"],
                "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "loss": clock["loss"],
            }
            if options.device == "cuda":
                line["peak_device_gb"] = torch.cuda.max_memory_allocated() / 2**30
            done.append(line)
            print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)

    completions = options.prompts_per_step * options.group_size
    micro_batch = options.micro_batch or completions
    if completions % micro_batch:
        sys.exit(f"--micro-batch {micro_batch} does not divide the {completions} completions of a step")
    with tempfile.TemporaryDirectory() as scratch:
        config = trl.GRPOConfig(
            output_dir=scratch,
            use_cpu=options.device == "cpu",
            bf16=False,  # no autocast: the weights' own type is what is measured
            model_init_kwargs={"dtype": options.dtype},
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=completions // micro_batch,
            num_generations=options.group_size,
            max_completion_length=options.tokens,
            generation_kwargs={"min_new_tokens": options.tokens},
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            beta=options.beta,
            loss_type=options.loss_type,
            learning_rate=options.learning_rate,
            lr_scheduler_type="constant",
            max_steps=options.warmup + options.steps,
            gradient_checkpointing=options.gradient_checkpointing,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=options.seed,
        )
        trainer = TimedTrainer(
            model=options.model,
            reward_funcs=share_of_digits,
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Report()],
        )
        trainer.remove_callback(transformers.PrinterCallback)  # standard output is JSON lines
        dtypes = {str(p.dtype).removeprefix("torch.") for p in trainer.model.parameters()}
        if dtypes != {options.dtype}:
            sys.exit(f"the weights are {dtypes}, not {options.dtype}")
        trainer.train()

    measured = [line for line in done if not line["warmup"]]
    wanted = completions * options.tokens
    if any(line["completion_tokens"] != wanted for line in done):
        sys.exit(f"a step made other than {wanted} completion tokens: the figures do not compare")
    keys = ("seconds", "rollout_seconds", "update_seconds", "rollout_tokens_per_second")
    summary = {key: round(statistics.median(line[key] for line in measured), 4) for key in keys} if measured else {}
    summary["peak_rss_gb"] = round(max(line["peak_rss_gb"] for line in done), 3)
    setup = {"trl": trl.__version__, "torch": torch.__version__, "dtype": options.dtype,
             "threads": torch.get_num_threads(), "gradient_checkpointing": options.gradient_checkpointing}  # fmt: skip
    print(json.dumps({"summary": summary, "setup": setup, "steps": len(measured)}))


if __name__ == "__main__":
    main()
