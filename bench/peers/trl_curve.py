#!/usr/bin/env python3
"""TRL's GRPOTrainer on the task of a run of grpo-host, for a curve beside ours.

    python bench/peers/trl_curve.py --run RUN/run.yaml --out curve.jsonl [--steps 30] [--micro-batch 8] [--completions FILE]

RUN/run.yaml is the configuration that grpo-host wrote into its output directory; everything comes from there: model, data
and their order, system prompt, sampler, group size, minibatches, objective, clips, optimizer, schedule, seed, rewards.
What this script cannot set in TRL to mean the same is refused.

A step is what grpo-host calls one: completions for `prompts_per_step` prompts, then `minibatches` optimizer steps. One
JSON line a step, under the names of metrics.jsonl: step, reward, reward_std, rewards/<name>/mean, completions/mean_length,
completions/clipped_ratio, prompt_length/mean, entropy, grad_norm, clip_ratio/region_mean, step_time. --completions also
writes every completion with its token ids and rewards, for bench/curves/check_rewards.

Not the same: TRL deals a step's completions to the minibatches at random, grpo-host by prompt; the random numbers.

Needs a Python with trl 1.16, transformers 5.23, torch 2.11, datasets and yaml; nothing is downloaded. Memory: some 0.6 GB
for each completion of --micro-batch, and 3 GB.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time


def format_reward(pattern, match="full", flags="s", matched=1.0, unmatched=0.0):
    """plugins/rewards/format, for patterns that mean the same to Python's re and PCRE2."""
    if match != "full" or flags != "s":
        sys.exit("rewards: format with other than match: full and flags: s is not written here")
    compiled = re.compile(pattern, re.DOTALL)
    return lambda text, ids: matched if compiled.fullmatch(text) else unmatched


def length_reward(form, minimum, maximum, unit="tokens"):
    """plugins/rewards/length, `form: short`: 1 up to `minimum` tokens, 0 from `maximum` on, a line between."""
    if form != "short" or unit != "tokens":
        sys.exit("rewards: length with other than form: short and unit: tokens is not written here")
    return lambda text, ids: 1 - min(max((len(ids) - minimum) / (maximum - minimum), 0.0), 1.0)


REWARDS = {"format": format_reward, "length": length_reward}


def rewards_of(settings):
    """[(name, weight, function of text and ids)] of a configuration's `rewards`."""
    found = []
    for reward in settings["rewards"]:
        if reward["plugin"] not in REWARDS:
            sys.exit(f"rewards: {reward['plugin']} is not written here; there are {', '.join(REWARDS)}")
        function = REWARDS[reward["plugin"]](**reward["options"])
        found.append((reward["name"] or reward["plugin"], reward["weight"], function))
    return found


# objective: TRL's loss_type and importance_sampling_level
LOSSES = {"grpo": ("grpo", "token"), "dapo": ("dapo", "token"), "bnpo": ("bnpo", "token"), "dr_grpo": ("dr_grpo", "token"),
          "gspo": ("grpo", "sequence"), "cispo": ("cispo", "token")}  # fmt: skip
# What has no counterpart below must have the value that leaves it off.
OFF = {"algorithm": {"aggregation": "", "ratio": "", "iterations": 1, "delta": 0, "kl_coefficient": 0, "cispo_min_ratio": 0,
                     "entropy_coefficient": 0, "top_entropy_quantile": 1, "rollout_correction": "none", "overlong": "none",
                     "old_logprobs": "model", "off_policy_mask_threshold": 0, "dynamic_sampling": "off",
                     "advantage_epsilon": 1e-4},
       "sampler": {"min_new_tokens": 0, "stop": [], "stop_token_ids": []},
       "data": {"shuffle": False, "prompt_template": "", "messages_key": "", "chat_template": "", "raw_prompt": False},
       "optimizer": {"plugin": "adamw", "schedule": "constant", "warmup_ratio": 0, "options": {}},
       "model": {"lora": {}}}  # fmt: skip


def refuse_what_differs(settings):
    bad = [f"{section}.{key} is {settings[section][key]!r}, and must be {value!r} here"
           for section, keys in OFF.items() for key, value in keys.items() if settings[section][key] != value]  # fmt: skip
    algorithm = settings["algorithm"]
    if algorithm["objective"] not in LOSSES:
        bad.append(f"algorithm.objective is {algorithm['objective']}; here: {', '.join(LOSSES)}")
    if algorithm["advantage"] not in ("group", "none", "batch"):
        bad.append(f"algorithm.advantage is {algorithm['advantage']}; here: group, none, batch")
    if bad:
        sys.exit("\n".join(bad))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="run.yaml of a run of grpo-host")
    parser.add_argument("--out", required=True, help="JSON lines, one a step")
    parser.add_argument("--steps", type=int, default=0, help="0: run.max_steps")
    parser.add_argument("--micro-batch", type=int, default=8, help="completions a forward pass")
    parser.add_argument("--completions", help="file for every completion and its rewards")
    parser.add_argument("--model", help="in place of model.path")
    parser.add_argument("--data", help="in place of data.path")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    return parser.parse_args()


def rows_of(settings, path, count):
    data = settings["data"]
    system = [{"role": "system", "content": data["system_prompt"]}] if data["system_prompt"] else []
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            rows.append({"prompt": [*system, {"role": "user", "content": json.loads(line)[data["prompt_key"]]}]})
            if len(rows) == count:
                return rows
    sys.exit(f"{path} has {len(rows)} prompts, and {count} are needed")


def config_of(trl, options, settings, steps, scratch):
    algorithm, sampler, optimizer = settings["algorithm"], settings["sampler"], settings["optimizer"]
    completions = algorithm["prompts_per_step"] * algorithm["group_size"]
    minibatch = completions // algorithm["minibatches"]
    if minibatch % options.micro_batch:
        sys.exit(f"--micro-batch {options.micro_batch} does not divide the {minibatch} completions of an optimizer step")
    loss, level = LOSSES[algorithm["objective"]]
    cispo = algorithm["objective"] == "cispo"
    return trl.GRPOConfig(
        output_dir=scratch,
        use_cpu=True,
        bf16=False,
        model_init_kwargs={"dtype": settings["model"]["dtype"]},
        per_device_train_batch_size=options.micro_batch,
        gradient_accumulation_steps=minibatch // options.micro_batch,
        steps_per_generation=completions // options.micro_batch,
        num_generations=algorithm["group_size"],
        max_completion_length=sampler["max_new_tokens"],
        temperature=sampler["temperature"],
        top_p=sampler["top_p"],
        top_k=max(0, sampler["top_k"]),
        min_p=sampler["min_p"] or None,
        repetition_penalty=sampler["repetition_penalty"],
        beta=0.0,
        loss_type=loss,
        importance_sampling_level=level,
        scale_rewards=algorithm["advantage"],
        epsilon=algorithm["clip_low"],
        epsilon_high=algorithm["cispo_max_ratio"] if cispo else algorithm["clip_high"],
        mask_truncated_completions=algorithm["mask_truncated_completions"],
        reward_weights=[float(reward["weight"]) for reward in settings["rewards"]],
        optim="adamw_torch",
        learning_rate=optimizer["learning_rate"],
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=optimizer["warmup_steps"],
        weight_decay=optimizer["weight_decay"],
        max_grad_norm=optimizer["max_grad_norm"],
        max_steps=steps * algorithm["minibatches"],
        shuffle_dataset=False,
        gradient_checkpointing=False,
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=settings["run"]["seed"],
    )


class Curve:
    """Gathers a step's figures, from its completions to its last optimizer step, and writes its line."""

    def __init__(self, settings, path, completions):
        self.rewards, self.limit = rewards_of(settings), settings["sampler"]["max_new_tokens"]
        self.group = settings["algorithm"]["group_size"]
        self.updates = settings["algorithm"]["minibatches"]
        self.out = open(path, "w", encoding="utf-8")
        self.completions = open(completions, "w", encoding="utf-8") if completions else None
        self.step, self.line, self.logs = 0, None, []

    def functions(self):
        return [self.function(name, score) for name, _, score in self.rewards]

    def function(self, name, score):
        def rate(completions, completion_ids, **_):
            return [score(c[0]["content"], ids) for c, ids in zip(completions, completion_ids)]

        rate.__name__ = name
        return rate

    def generated(self, prompt_ids, completion_ids, texts):
        self.step += 1
        scores = {name: [score(text, ids) for text, ids in zip(texts, completion_ids)] for name, _, score in self.rewards}
        sums = [sum(weight * scores[name][i] for name, weight, _ in self.rewards) for i in range(len(texts))]
        groups = [sums[i : i + self.group] for i in range(0, len(sums), self.group)]
        lengths = [len(ids) for ids in completion_ids]
        self.line = {"step": self.step, "reward": statistics.mean(sums),
                     "reward_std": statistics.mean(statistics.stdev(group) for group in groups),
                     **{f"rewards/{name}/mean": statistics.mean(values) for name, values in scores.items()},
                     "completions/mean_length": statistics.mean(lengths),
                     "completions/clipped_ratio": statistics.mean(n >= self.limit for n in lengths),
                     "prompt_length/mean": statistics.mean(len(ids) for ids in prompt_ids)}  # fmt: skip
        if self.completions:
            for i, text in enumerate(texts):
                print(json.dumps({"step": self.step, "completion": text, "ids": completion_ids[i],
                                  "rewards": {name: values[i] for name, values in scores.items()}}),
                      file=self.completions, flush=True)  # fmt: skip

    def updated(self, logs, seconds):
        """After each optimizer step; TRL's own `reward` must be the one counted here."""
        if "reward" in logs and abs(logs["reward"] - self.line["reward"]) > 1e-4:
            sys.exit(f"step {self.step}: TRL's reward is {logs['reward']}, and {self.line['reward']} was counted here")
        self.logs.append(logs)
        if len(self.logs) < self.updates:
            return
        for name in ("entropy", "grad_norm", "clip_ratio/region_mean"):
            self.line[name] = statistics.mean(log[name] for log in self.logs if name in log)
        self.line["step_time"] = seconds
        self.logs = []
        line = json.dumps({key: round(value, 6) for key, value in self.line.items()})
        print(line, file=self.out, flush=True)
        print(line, flush=True)


def main():
    options = arguments()
    import yaml

    with open(options.run, encoding="utf-8") as file:
        settings = yaml.safe_load(file)
    refuse_what_differs(settings)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import datasets
    import torch
    import transformers
    import trl

    if options.threads:
        torch.set_num_threads(options.threads)
    datasets.disable_progress_bars()
    model = options.model or settings["model"]["path"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, padding_side="left")
    steps = options.steps or settings["run"]["max_steps"]
    rows = rows_of(settings, options.data or settings["data"]["path"], steps * settings["algorithm"]["prompts_per_step"])
    curve = Curve(settings, options.out, options.completions)

    class Trainer(trl.GRPOTrainer):
        def _generate(self, prompts):
            out = super()._generate(prompts)
            texts = self.processing_class.batch_decode(out[1], skip_special_tokens=True)
            curve.generated(out[0], out[1], texts)
            return out

    class Report(transformers.TrainerCallback):
        begin = None

        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step % curve.updates == 0:
                self.begin = time.perf_counter()

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "grad_norm" in logs:
                curve.updated(logs, time.perf_counter() - self.begin)

    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            reward_funcs=curve.functions(),
            args=config_of(trl, options, settings, steps, scratch),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Report()],
        )
        trainer.remove_callback(transformers.PrinterCallback)  # standard output is JSON lines
        trainer.train()


if __name__ == "__main__":
    main()
