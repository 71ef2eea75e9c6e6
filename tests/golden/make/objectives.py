#!/usr/bin/env python3
"""Golden values for tests/algorithm, made by running TRL's and transformers' own code.

Needs a Python with trl 1.16, transformers 5.23 and torch 2.11. Run from the repository root:

    python tests/golden/make/objectives.py

writes tests/algorithm/golden/{objectives,advantages,advantages_gdpo,entropy_control,schedules}.jsonl.

- objectives: GRPOTrainer._compute_loss is called on a trainer without a model, whose per-token log-probabilities and
  entropies are leaf tensors in float64; gradients are autograd's. The importance-sampling ratio, the advantages and their
  statistics are inline code of GRPOTrainer._generate_and_score_completions: those statements are cut out of TRL's source by
  their syntax tree and executed.
- entropy_control: the same method with use_adaptive_entropy, one optimizer step after the other.
- schedules: transformers' get_scheduler.
"""

import argparse
import ast
import collections
import inspect
import json
import math
import pathlib
import random
import textwrap
import types

import accelerate
import torch
import transformers
import trl
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

OUT = pathlib.Path(__file__).resolve().parents[2] / "algorithm" / "golden"
LOSSES = ["grpo", "bnpo", "dapo", "dr_grpo", "cispo", "sapo", "luspo", "vespo"]
CORRECTIONS = ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
DEFAULTS = {  # of GRPOConfig 1.16, as far as the loss reads them
    "loss_type": "dapo", "importance_sampling_level": "token", "epsilon": 0.2, "epsilon_high": None, "delta": None,
    "beta": 0.0, "use_bias_correction_kl": True, "entropy_coef": 0.0, "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None, "is_correction": None, "vllm_importance_sampling_clip_max": 3.0,
    "vllm_importance_sampling_clip_min": None, "max_completion_length": 512, "gradient_accumulation_steps": 1,
    "steps_per_generation": None, "num_processes": 1, "sapo_temperature_neg": 1.05, "sapo_temperature_pos": 1.0,
    "vespo_k_pos": 2.0, "vespo_lambda_pos": 3.0, "vespo_k_neg": 3.0, "vespo_lambda_neg": 2.0,
}  # fmt: skip


def statements(assigned, last):
    """The statements of _generate_and_score_completions from the first one that assigns `assigned` to the one that
    assigns `last`, compiled."""
    source = textwrap.dedent(inspect.getsource(GRPOTrainer._generate_and_score_completions))
    function = ast.parse(source).body[0]

    def assigns(node, name):
        return any(
            isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(node)
        )

    def search(body):
        for i, node in enumerate(body):
            if not assigns(node, assigned):
                continue
            if isinstance(node, ast.With):
                return search(node.body)
            end = max(j for j in range(i, len(body)) if assigns(body[j], last))
            return body[i : end + 1]
        raise LookupError(assigned)

    module = ast.Module(body=search(function.body), type_ignores=[])
    return compile(ast.fix_missing_locations(module), "trl", "exec")


RATIO = statements("per_token_logps_diff", "vllm_importance_sampling_ratio")


def config(case):
    options = types.SimpleNamespace(**{**DEFAULTS, **case["config"]})
    if options.steps_per_generation is None:
        options.steps_per_generation = options.gradient_accumulation_steps
    if options.epsilon_high is None:
        options.epsilon_high = options.epsilon
    return options


def bare_trainer(options, logps, entropies):
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer.args = options
    trainer.accelerator = accelerate.Accelerator(cpu=True)
    trainer.model = types.SimpleNamespace(training=True)
    trainer._metrics = {"train": collections.defaultdict(list)}
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (logps, entropies, None)
    for name in ("loss_type", "importance_sampling_level", "beta", "top_entropy_quantile", "entropy_coef",
                 "off_policy_mask_threshold", "max_completion_length", "vllm_importance_sampling_clip_max",
                 "vllm_importance_sampling_clip_min"):  # fmt: skip
        setattr(trainer, name, getattr(options, name))
    trainer.epsilon_low, trainer.epsilon_high = options.epsilon, options.epsilon_high
    trainer.aux_loss_enabled = trainer.use_adaptive_entropy = False
    trainer._entropy_bonus_enabled = options.entropy_coef != 0
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = options.is_correction is not None
    trainer.vllm_importance_sampling_mode = options.is_correction
    trainer.current_gradient_accumulation_steps = options.gradient_accumulation_steps
    # One process computes; TRL divides the global token count by the number of processes.
    if options.num_processes != 1:
        trainer.accelerator = types.SimpleNamespace(
            num_processes=options.num_processes, gather=lambda x: x, reduce=lambda x, reduction: x,
            pad_across_processes=lambda x, dim, pad_index: x, sync_gradients=True)  # fmt: skip
    return trainer


def tensor(values, dtype=torch.float64):
    return torch.tensor([[math.nan if v is None else v for v in row] for row in values], dtype=dtype)


def run_trl(case):
    options = config(case)
    logps = tensor(case["per_token_logps"]).requires_grad_()
    entropies = tensor(case["entropies"]).requires_grad_()
    mask = tensor(case["completion_mask"], torch.int64)
    inputs = {"prompt_ids": mask[:, :1], "prompt_mask": mask[:, :1], "completion_ids": mask, "completion_mask": mask,
              "advantages": torch.tensor(case["advantages"], dtype=torch.float64),
              "num_items_in_batch": torch.tensor(float(case["num_items_in_batch"]), dtype=torch.float64)}  # fmt: skip
    if case.get("tool_mask"):
        inputs["tool_mask"] = tensor(case["tool_mask"], torch.int64)
    for name in ("old_per_token_logps", "ref_per_token_logps", "sampling_per_token_logps"):
        if case.get(name) is not None:
            inputs[name] = tensor(case[name])
    trainer = bare_trainer(options, logps, entropies)
    if options.is_correction:
        old = inputs.get("old_per_token_logps", logps.detach())
        scope = {"self": trainer, "torch": torch, "math": math, "completion_mask": mask,
                 "tool_mask": inputs.get("tool_mask"), "old_per_token_logps": old,
                 "sampling_per_token_logps": inputs["sampling_per_token_logps"]}  # fmt: skip
        exec(RATIO, scope)
        inputs["importance_sampling_ratio"] = scope["vllm_importance_sampling_ratio"]
    loss = trainer._compute_loss(None, inputs)
    loss.backward()
    bonus = options.entropy_coef != 0
    metrics = {k: v[0] for k, v in trainer._metrics["train"].items()}
    return {
        "loss": loss.item(),
        "dlogp": (logps.grad if logps.grad is not None else torch.zeros_like(logps)).tolist(),
        "dentropy": entropies.grad.tolist() if bonus else None,
        "metrics": {k: v for k, v in metrics.items() if k.split("/")[0] in ("kl", "entropy", "clip_ratio")},
    }


def f32(value):
    """TRL finds the entropy threshold in float32: let the data be exact there."""
    return torch.tensor(value, dtype=torch.float32).item()


def make_case(rng, options, rows, width):
    def matrix(draw):
        return [[round(draw(), 5) for _ in range(width)] for _ in range(rows)]

    logps = matrix(lambda: -rng.expovariate(0.8))
    spread = rng.choice([0.05, 0.3, 1.0])
    near = lambda: [[round(v + rng.gauss(0, spread), 5) for v in row] for row in logps]  # noqa: E731
    lengths = [rng.randint(1, width) for _ in range(rows)]
    if rng.random() < 0.3:
        lengths[rng.randrange(rows)] = 0
    case = {"config": options, "per_token_logps": logps,
            "old_per_token_logps": near() if rng.random() < 0.8 else None,
            "entropies": [[f32(round(rng.uniform(0, 4) * 64) / 64) for _ in range(width)] for _ in range(rows)],
            "completion_mask": [[int(t < n) for t in range(width)] for n in lengths],
            "advantages": [round(rng.gauss(0, 1), 4) if rng.random() > 0.1 else 0.0 for _ in range(rows)]}  # fmt: skip
    if options.get("beta"):
        case["ref_per_token_logps"] = near()
    if options.get("is_correction") or options.get("off_policy_mask_threshold"):
        sampling = near()
        for row in sampling:
            for t in range(width):
                if rng.random() < 0.15:
                    row[t] = None
        case["sampling_per_token_logps"] = sampling
    if rng.random() < 0.25:
        case["tool_mask"] = [[int(rng.random() < 0.7) for _ in range(width)] for _ in range(rows)]
    kept = sum(
        m * (case["tool_mask"][i][t] if "tool_mask" in case else 1)
        for i, row in enumerate(case["completion_mask"])
        for t, m in enumerate(row)
    )
    accumulated = options.get("gradient_accumulation_steps", 1) * options.get("num_processes", 1)
    case["num_items_in_batch"] = kept + (rng.randint(0, 30) if accumulated > 1 else 0)
    if "max_completion_length" in options:
        options["max_completion_length"] = width + 3
    return case


def random_options(rng, loss):
    o = {"loss_type": loss}
    maybe = lambda p, key, draw: o.__setitem__(key, draw()) if rng.random() < p else None  # noqa: E731
    maybe(0.3, "importance_sampling_level", lambda: rng.choice(["token", "sequence"]))
    maybe(0.5, "epsilon", lambda: rng.choice([0.1, 0.2, 0.3]))
    maybe(0.5, "epsilon_high", lambda: rng.choice([0.28, 0.4, 2.0]))
    maybe(0.3, "delta", lambda: rng.choice([1.1, 1.5, 4.0]))
    maybe(0.5, "beta", lambda: rng.choice([0.001, 0.04, 0.5]))
    maybe(0.5, "use_bias_correction_kl", lambda: rng.random() < 0.5)
    maybe(0.4, "entropy_coef", lambda: rng.choice([0.01, -0.02, 0.3]))
    maybe(0.3, "top_entropy_quantile", lambda: rng.choice([0.0, 0.2, 0.3, 0.5, 0.8]))
    corrections = CORRECTIONS[:2] if loss == "vespo" else CORRECTIONS
    maybe(0.3, "is_correction", lambda: rng.choice(corrections))
    maybe(0.3, "vllm_importance_sampling_clip_max", lambda: rng.choice([1.2, 2.0, 10.0]))
    maybe(0.2, "vllm_importance_sampling_clip_min", lambda: rng.choice([0.5, 0.9]))
    maybe(0.2, "off_policy_mask_threshold", lambda: rng.choice([0.01, 0.1]))
    maybe(0.3, "gradient_accumulation_steps", lambda: rng.choice([2, 4]))
    maybe(0.2, "steps_per_generation", lambda: rng.choice([2, 8]))
    maybe(0.15, "num_processes", lambda: 2)
    if loss == "dr_grpo":
        o["max_completion_length"] = 0
    return o


def ragged(case, expected):
    """Cuts the padding that the completion mask leaves out."""
    lengths = [sum(row) for row in case["completion_mask"]]
    cut = lambda rows: [row[:n] for row, n in zip(rows, lengths)]  # noqa: E731
    out = {k: (cut(v) if isinstance(v, list) and v and isinstance(v[0], list) else v) for k, v in case.items()}
    del out["completion_mask"]
    expected = {k: (cut(v) if isinstance(v, list) else v) for k, v in expected.items()}
    return out, expected


def objectives(rng):
    plans = []
    for loss in LOSSES:
        for level in ("token", "sequence"):
            for beta, bias in ((0.0, True), (0.05, True), (0.05, False)):
                base = {"loss_type": loss, "importance_sampling_level": level, "beta": beta,
                        "use_bias_correction_kl": bias}  # fmt: skip
                plans.append({**base, "max_completion_length": 0} if loss == "dr_grpo" else base)
        plans += [random_options(rng, loss) for _ in range(16)]
    plans.append({})  # all defaults
    with open(OUT / "objectives.jsonl", "w") as file:
        for i, plan in enumerate(plans):
            case = make_case(rng, plan, rng.randint(2, 4), rng.randint(3, 6))
            expected = run_trl(case)
            if i % 3 == 0:
                case, expected = ragged(case, expected)
            finite = {k: v for k, v in expected["metrics"].items() if math.isfinite(v)}
            row = {"id": i, **case, "expected": {**expected, "metrics": finite}}
            file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")


def advantages(rng):
    block = statements("unscorable_mask", "advantages")
    with open(OUT / "advantages.jsonl", "w") as file:
        for i in range(60):
            size, groups = rng.randint(2, 5), rng.randint(1, 4)
            pool = rng.choice([[0.0, 1.0], [0.1, 0.1, 0.7], [1e6, 1e6 + 1], [-0.5, 0.25, 3.0]])
            rewards = [rng.choice(pool) for _ in range(size * groups)]
            if i % 3 == 1:
                rewards = [None if rng.random() < 0.4 else r for r in rewards]
            if i % 7 == 2:
                rewards[:size] = [0.3] * size
            if i % 11 == 3:
                rewards[:size] = [None] * size
            for scale in ("group", "none", "batch"):
                trainer = types.SimpleNamespace(
                    multi_objective_aggregation="sum_then_normalize", scale_rewards=scale,
                    reward_weights=torch.ones(1, dtype=torch.float64),
                    accelerator=types.SimpleNamespace(process_index=0))  # fmt: skip
                values = tensor([[r] for r in rewards])
                scope = {**vars(grpo_trainer), "self": trainer, "rewards_per_func": values, "num_generations": size,
                         "device": "cpu", "prompts": [None] * len(rewards)}  # fmt: skip
                exec(block, scope)
                row = {"scale_rewards": scale, "num_generations": size, "rewards": rewards,
                       "advantages": scope["advantages"].tolist(),
                       "frac_reward_zero_std": scope["is_std_zero"].double().mean().item()}  # fmt: skip
                file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")


def several_rewards(rng):
    """multi_objective_aggregation="normalize_then_sum"."""
    block = statements("unscorable_mask", "advantages")
    with open(OUT / "advantages_gdpo.jsonl", "w") as file:
        for i in range(12):
            size, groups, n = rng.randint(2, 4), rng.randint(1, 3), rng.randint(1, 3)
            pool = rng.choice([[0.0, 1.0], [0.1, 0.1, 0.7], [-0.5, 0.25, 3.0]])
            scores = [[rng.choice(pool) for _ in range(n)] for _ in range(size * groups)]
            if i % 3 == 1:
                scores = [[None if rng.random() < 0.3 else s for s in row] for row in scores]
            if i % 4 == 2:
                for row in scores[:size]:
                    row[0] = 0.3
            weights = [rng.choice([1.0, 0.5, 2.0]) for _ in range(n)]
            trainer = types.SimpleNamespace(
                multi_objective_aggregation="normalize_then_sum", scale_rewards="group",
                reward_weights=torch.tensor(weights), reward_funcs=[None] * n,
                accelerator=types.SimpleNamespace(process_index=0))  # fmt: skip
            scope = {**vars(grpo_trainer), "self": trainer, "rewards_per_func": tensor(scores), "num_generations": size,
                     "device": "cpu", "prompts": [None] * len(scores)}  # fmt: skip
            exec(block, scope)
            row = {"num_generations": size, "weights": weights, "scores": scores,
                   "advantages": scope["advantages"].tolist()}  # fmt: skip
            file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")


def entropy_control(rng):
    """use_adaptive_entropy: the coefficient after each optimizer step, and the one that its gradient shows."""
    with open(OUT / "entropy_control.jsonl", "w") as file:
        for start, target, least, most, delta in [(0.0, 0.2, 0.0, 1.0, 0.005), (0.3, 1.0, 0.1, 0.4, 0.05), (0.02, 0.5, 0.0, 0.03, 0.015)]:
            steps = []
            options = config({"config": {"entropy_coef": start, "entropy_coef_min": least, "entropy_coef_max": most,
                                         "entropy_coef_delta": delta, "entropy_target": target}})  # fmt: skip
            trainer = bare_trainer(options, None, None)
            trainer.use_adaptive_entropy = trainer._entropy_bonus_enabled = True
            trainer._last_world_entropy, trainer._entropy_window_stats = math.inf, None
            for _ in range(14):
                values = [[round(rng.uniform(0, 2 * target), 4) for _ in range(3)] for _ in range(2)]
                entropies = tensor(values).requires_grad_()
                logps, mask = torch.zeros(2, 3).requires_grad_(), torch.ones(2, 3, dtype=torch.int64)
                trainer._get_per_token_logps_and_entropies = lambda *a, **k: (logps, entropies, None)  # noqa: B023
                inputs = {"prompt_ids": mask[:, :1], "prompt_mask": mask[:, :1], "completion_ids": mask, "completion_mask": mask,
                          "advantages": torch.zeros(2), "num_items_in_batch": torch.tensor(6.0)}  # fmt: skip
                trainer._compute_loss(None, inputs).backward()
                applied = -entropies.grad.sum().item()
                steps.append({"entropies": values, "applied": applied, "coefficient": trainer.entropy_coef})
            row = {"coefficient": start, "target": target, "minimum": least, "maximum": most, "delta": delta, "steps": steps}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


def schedules():
    cases = [("constant", 0, 0.0), ("constant_with_warmup", 5, 0.0), ("linear", 0, 0.0), ("linear", 3, 0.0),
             ("cosine", 0, 0.0), ("cosine", 4, 0.0), ("cosine_with_min_lr", 4, 0.1), ("cosine_with_min_lr", 0, 0.5),
             ("linear", 12, 0.0), ("cosine", 20, 0.0)]  # fmt: skip
    with open(OUT / "schedules.jsonl", "w") as file:
        for kind, warmup, least in cases:
            parameter = torch.nn.Parameter(torch.zeros(1))
            optimizer = torch.optim.SGD([parameter], lr=2e-5)
            extra = {"min_lr_rate": least} if kind == "cosine_with_min_lr" else None
            scheduler = transformers.get_scheduler(
                kind, optimizer, num_warmup_steps=warmup, num_training_steps=20, scheduler_specific_kwargs=extra
            )
            rates = []
            for _ in range(24):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            row = {"kind": kind, "warmup_steps": warmup, "min_ratio": least, "peak": 2e-5, "total": 20, "rates": rates}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    if not trl.__version__.startswith("1.16"):
        raise SystemExit(f"made for trl 1.16, this is {trl.__version__}")
    torch.set_default_dtype(torch.float64)  # TRL's Bessel correction divides integers
    OUT.mkdir(parents=True, exist_ok=True)
    objectives(random.Random(20260701))
    advantages(random.Random(7))
    several_rewards(random.Random(13))
    entropy_control(random.Random(17))
    schedules()
