#!/usr/bin/env python3
"""Names that other systems log, for tests/report/names/<system>.txt.

    python tests/golden/make/metric_names.py trl
    python tests/golden/make/metric_names.py verl DIR         a checkout of volcengine/verl
    python tests/golden/make/metric_names.py easyr1 DIR       a checkout of hiyouga/EasyR1
    python tests/golden/make/metric_names.py areal DIR        a checkout of inclusionAI/AReaL at v0.2.0

trl needs trl 1.16 and torch: a GRPOTrainer trains a random model for two steps, with evaluation, and what its log has is
listed, together with the names that its source sets only in other settings. The others are read from their sources:
every string that is a key of a metrics dictionary in the files named below, with what formats into it as <name>.
mindspeed.txt is the tables of MindSpeed-MM's guide examples/rl/README (GRPO on Qwen2.5-VL) and of MindSpeed-RL's
docs/features/log_metrics.md, copied by hand: there is nothing to run.
"""

import ast
import pathlib
import re
import sys

OUT = pathlib.Path(__file__).parents[2] / "report" / "names"
WHAT = {"reward_func_name": "reward", "reward_name": "reward"}


def keys_in(source):
    """Keys that look like metrics: strings with a slash, or assigned to a metrics dictionary."""
    for node in ast.walk(ast.parse(source)):
        keys = []
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Load)):
            keys = [node.slice]
        elif isinstance(node, ast.Dict):
            keys = [k for k in node.keys if k is not None]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
            for keyword in node.keywords:
                if keyword.arg:
                    yield keyword.arg, True
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, False
            elif isinstance(key, ast.JoinedStr):
                parts = [
                    p.value if isinstance(p, ast.Constant) else "<" + WHAT.get(ast.unparse(p.value), "name") + ">"
                    for p in key.values
                ]
                yield "".join(parts), False


def timers(source):
    return re.findall(r'(?:marked_timer|simple_timer|[^_]timer)\("(\w+)"', source)


def trl():
    import tempfile

    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(pathlib.Path(__file__).parents[3] / "models/SmolLM2-135M-Instruct")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
        )
    )
    data = Dataset.from_dict({"prompt": ["one", "two", "three", "four"]})

    def reward(completions, **_):
        return [float(len(c) % 3) for c in completions]

    reward.__name__ = "<reward>"
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        args = trl.GRPOConfig(
            output_dir=folder, max_steps=2, per_device_train_batch_size=4, per_device_eval_batch_size=4, num_generations=2,
            max_completion_length=4, logging_steps=1, beta=0.1, eval_strategy="steps", eval_steps=1, report_to=[],
            save_strategy="no", use_cpu=True,
        )
        trainer = trl.GRPOTrainer(
            model=folder, reward_funcs=reward, args=args, train_dataset=data, eval_dataset=data, processing_class=tokenizer
        )
        trainer.train()
        names = {k for row in trainer.state.log_history for k in row if k != "step"}
    source = pathlib.Path(trl.trainer.grpo_trainer.__file__).read_text()
    for target in re.findall(r'self\._metrics\[mode\]\[f?"([^"]+)"\]', source):
        names.add(re.sub(r"\{(\w+)\}", lambda m: f"<{WHAT.get(m[1], 'name')}>", target))
    names.add("profiling/<what>")  # of profiling_context
    return names


def verl(folder):
    names = set()
    for path in (
        "verl/trainer/ppo/metric_utils.py", "verl/trainer/ppo/ray_trainer.py", "verl/trainer/ppo/core_algos.py",
        "verl/workers/actor/dp_actor.py", "verl/workers/critic/dp_critic.py", "verl/workers/fsdp_workers.py",
        "verl/utils/debug/metrics.py",
    ):
        source = (folder / path).read_text()
        names |= {k for k, _ in keys_in(source) if re.fullmatch(r"(actor|critic|response|response_length|response_length_non_aborted|prompt_length|num_turns|tool_call_counts|perf|training|variance_proxy|val-aux)/[\w/]+", k)}
    names |= {"timing_s/" + t for t in timers((folder / "verl/trainer/ppo/ray_trainer.py").read_text())}
    names.add("timing_s/ref")  # str(Role.RefPolicy)
    names |= {"timing_per_token_ms/" + t for t in ("gen", "ref", "values", "adv", "update_critic", "update_actor")}
    names |= {"global_seqlen/" + t for t in ("min", "max", "minmax_diff", "balanced_min", "balanced_max", "mean")}
    names |= {"val-core/<data>/acc/mean@<n>", "val-core/<data>/reward/mean@<n>", "val-core/<data>/acc/best@<n>/mean",
              "val-core/<data>/acc/maj@<n>/mean", "critic/lr"}
    # verl/trainer/ppo/rollout_corr_helper.py, by hand: f"rollout_rs_{option_name}_...", in a dictionary that is prefixed later
    of_mode = ("mean", "max", "min", "fraction_high", "fraction_low", "masked_fraction", "seq_masked_fraction", "std", "seq_<what>")
    names |= {f"rollout_corr/rollout_rs_<mode>_{t}" for t in of_mode}
    names |= {"rollout_corr/" + t for t in ("kl", "k3_kl", "chi2_token", "chi2_seq", "training_ppl", "rollout_ppl", "ppl_ratio",
                                            "training_log_ppl", "rollout_log_ppl", "log_ppl_<what>", "rollout_is_<what>")}
    names |= {"rollout_corr/rollout_rs_masked_fraction", "rollout_corr/rollout_rs_seq_masked_fraction"}
    return {n for n in names if n != "actor/mfu" and n != "critic/mfu"}


def easyr1(folder):
    names = set()
    for path in (
        "verl/trainer/metrics.py", "verl/trainer/ray_trainer.py", "verl/workers/actor/dp_actor.py", "verl/workers/fsdp_workers.py",
    ):
        source = (folder / path).read_text()
        names |= {k for k, _ in keys_in(source) if re.fullmatch(r"(actor|critic|response_length|prompt_length|perf|val)/[\w/]+", k)}
    source = (folder / "verl/trainer/core_algos.py").read_text()
    names |= {"actor/" + k for k in re.findall(r'metrics\["(pg_\w+|entropy_loss)"\]', source)} | {"actor/ppo_kl"}
    steps = set(timers((folder / "verl/trainer/ray_trainer.py").read_text()))
    names |= {"timing_s/" + t for t in steps}
    names |= {"timing_per_token_ms/" + t for t in ("gen", "reward", "ref", "old", "values", "adv", "update_critic", "update_actor")}
    names |= {"global_seqlen/" + t for t in ("min", "max", "minmax_diff", "balanced_min", "balanced_max", "mean")}
    names |= {"reward/overall", "reward/<reward>", "val/overall_reward", "val/<reward>_reward"}
    names |= {f"val_{part}_length/{what}" for part in ("response", "prompt") for what in ("mean", "max", "min", "clip_ratio")}
    return {n for n in names if not n.startswith("critic/vf_") or n == "critic/vf_explained_var"}


def areal(folder):
    source = (folder / "realhf/impl/model/interface/ppo_interface.py").read_text()
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("global_stats", "train_stats"):
            if isinstance(node.value, ast.Call):
                names |= {k.arg for k in node.value.keywords if k.arg}
    if "dense_reward = (" in source:
        names.add("dense_reward")
    return names


def main():
    system = sys.argv[1]
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    names = {"trl": trl, "verl": lambda: verl(folder), "easyr1": lambda: easyr1(folder), "areal": lambda: areal(folder)}[system]()
    (OUT / f"{system}.txt").write_text("".join(n + "\n" for n in sorted(names)))


if __name__ == "__main__":
    main()
