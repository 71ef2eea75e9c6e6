"""What verl and AReaL do with log-probabilities and rewards: run from their own source.

    python tests/golden/make/objectives_verl.py

needs the sources of verl 0.9.1 and areal 1.0.4 (`pip install --no-deps verl==0.9.1 areal==1.0.4`), torch and numpy. Only
their files of loss functions are executed: what these import from the rest of the package (Ray, OmegaConf, engines) is
replaced by empty modules, none of which is called. Arithmetic is float64, AReaL's behaviour weight float32.

Writes tests/algorithm/golden/objectives_verl.jsonl (rows of the `objective` filter with verl's and AReaL's loss and
autograd's gradient), advantages_verl.jsonl, kl_verl.jsonl, rollout_ratio_verl.jsonl and rejection_verl.jsonl (verl's
rejection sampling with its metrics, AReaL's M2PO).
"""

import ast
import importlib.util
import json
import pathlib
import random
import sys
import types

import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "algorithm" / "golden"


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])


def module(name, path=None, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    if path is not None:
        made.__path__ = [str(path)]
    sys.modules[name] = made
    return made


class Config(types.SimpleNamespace):
    """Stands for verl's ActorConfig and AlgoConfig: attributes, and `get`."""

    global_batch_info = {}

    def get(self, key, default=None):
        return getattr(self, key, default)


class AlgoConfig(Config):
    pass


def load_verl():
    root = package("verl")
    for name in ("verl", "verl.utils", "verl.trainer", "verl.trainer.ppo", "verl.workers"):
        module(name, root.joinpath(*name.split(".")[1:]))
    for name, members in {"omegaconf": {"DictConfig": dict}, "tensordict": {"TensorDict": dict}, "ray": {},
                          "verl.trainer.config": {"AlgoConfig": AlgoConfig},
                          "verl.trainer.config.algorithm": {"RolloutCorrectionConfig": Config},
                          "verl.workers.config": {"ActorConfig": Config},
                          "verl.workers.config.actor": {"PolicyLossConfig": Config},
                          "verl.utils.device": {"get_device_name": lambda: "cpu", "get_torch_device": None},
                          "verl.protocol": {"DataProto": types.SimpleNamespace}}.items():  # fmt: skip
        module(name, **members)
    from verl.utils.groupwise import as_torch_index, group_mean_std

    sys.modules["verl.utils"].__dict__.update(as_torch_index=as_torch_index, group_mean_std=group_mean_std)
    import verl.trainer.ppo.core_algos as core
    import verl.trainer.ppo.rollout_corr_helper as correction

    return core, correction


def load_areal():
    root = package("areal")
    module("areal", root)
    module("areal.api")
    module("areal.utils", root / "utils")
    module("areal.api.cli_args", RejectionSamplingConfig=Config)
    module("areal.utils.data", KLEstimator=None)
    spec = importlib.util.spec_from_file_location("areal_functional", root / "utils" / "functional" / "functional.py")
    functional = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(functional)
    # Of the actor, which imports the whole package, the functions of M2PO alone.
    source = ast.parse((root / "trainer" / "ppo" / "actor.py").read_text())
    source.body = [node for node in source.body if isinstance(node, ast.FunctionDef) and "m2po" in node.name]
    actor = types.ModuleType("areal_actor")
    actor.torch = torch
    exec(compile(source, "actor.py", "exec"), actor.__dict__)
    return functional, actor._apply_m2po_masking


core, correction = load_verl()
areal, m2po_mask = load_areal()


def tensor(rows, width, fill=0.0):
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows], dtype=torch.float64)


def ragged(rng, lengths, draw):
    return [[round(draw(), 5) for _ in range(n)] for n in lengths]


def case(rng):
    """Rows of at least one token: verl leaves a row without any out of the rows that it divides by."""
    lengths = [rng.randint(1, 6) for _ in range(rng.randint(2, 4))]
    logps = ragged(rng, lengths, lambda: -rng.expovariate(0.8))
    spread = rng.choice([0.05, 0.3, 1.0])
    near = lambda: [[round(v + rng.gauss(0, spread), 5) for v in row] for row in logps]  # noqa: E731
    row = {"per_token_logps": logps, "old_per_token_logps": near(),
           "advantages": [round(rng.gauss(0, 1.5), 4) if rng.random() > 0.1 else 0.0 for _ in lengths]}  # fmt: skip
    return row, near


def padded(row):
    width = max(len(r) for r in row["per_token_logps"])
    logps = tensor(row["per_token_logps"], width).requires_grad_()
    old = tensor(row["old_per_token_logps"], width)
    mask = tensor([[1.0] * len(r) for r in row["per_token_logps"]], width)
    advantages = torch.tensor(row["advantages"], dtype=torch.float64).unsqueeze(-1) * mask
    return logps, old, mask, advantages, width


def expected(row, loss, logps):
    loss.backward()
    gradient = [g[: len(r)] for g, r in zip(logps.grad.tolist(), row["per_token_logps"])]
    return {"loss": loss.item(), "dlogp": gradient}


# ours -> (verl's function, its own options by ours)
def run_verl(name, row, options):
    logps, old, mask, advantages, width = padded(row)
    low, high = options.get("epsilon", 0.2), options.get("epsilon_high", options.get("epsilon", 0.2))
    config = Config(clip_ratio=low, clip_ratio_low=low, clip_ratio_high=high,
                    clip_ratio_c=options.get("clip_ratio_c", 1e30),
                    tau_pos=options.get("sapo_temperature_pos", 1.0), tau_neg=options.get("sapo_temperature_neg", 1.05),
                    policy_loss=Config(clip_cov_ratio=options.get("clip_cov_ratio"),
                                       clip_cov_lb=options.get("clip_cov_lb"), clip_cov_ub=options.get("clip_cov_ub"),
                                       kl_cov_ratio=options.get("kl_cov_ratio"),
                                       ppo_kl_coef=options.get("ppo_kl_coef"), dro_beta=options.get("dro_beta")))  # fmt: skip
    if "rollout_rs" in options:
        log_ratio = (old - tensor(row["sampling_per_token_logps"], width)) * mask
        mask, _ = correction.compute_rollout_rejection_mask(log_ratio, mask, options["rollout_rs"],
                                                            options["rollout_rs_threshold"])  # fmt: skip
        config.global_batch_info = {"global_batch_size": len(row["per_token_logps"])}
    function = core.POLICY_LOSS_REGISTRY[name]
    weights = row.get("rollout_is_weights")
    loss, _ = function(old_log_prob=old, log_prob=logps, advantages=advantages, response_mask=mask,
                       loss_agg_mode=options["loss_agg_mode"], config=config,
                       rollout_is_weights=tensor(weights, width) if weights else None)  # fmt: skip
    return expected(row, loss, logps)


VERL = {"vanilla": "vanilla", "gspo_token": "gspo", "sapo": "sapo", "cispo": "cispo", "clip_cov": "clip_cov",
        "kl_cov": "kl_cov", "gmpo": "geo_mean", "dppo_tv": "dppo_tv", "dppo_kl": "dppo_kl", "gpg": "gpg",
        "dro": "dro"}  # fmt: skip
MODES = ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "token-sum"]


def verl_options(rng, ours, i):
    options = {"loss_agg_mode": "seq-mean-token-mean" if ours in ("sapo", "gmpo") else MODES[i % 4]}
    options["epsilon"] = rng.choice([0.1, 0.2, 0.4]) if ours != "gspo_token" else rng.choice([0.003, 0.1])
    options["epsilon_high"] = rng.choice([0.28, 0.5])
    if ours == "dro":
        options["dro_beta"] = rng.choice([0.05, 0.1, 1.0])
    if ours.startswith("dppo"):
        options["epsilon"], options["epsilon_high"] = rng.choice([(0.02, 0.05), (0.1, 0.1), (0.001, 0.004)])
        options["clip_ratio_c"] = rng.choice([1.1, 3.0, 10000.0])
    if ours == "vanilla" and i % 2:
        options["clip_ratio_c"] = rng.choice([1.6, 3.0])
    if ours == "sapo":
        options["sapo_temperature_pos"], options["sapo_temperature_neg"] = rng.choice([(1.0, 1.05), (0.5, 2.0)])
    if ours == "clip_cov":  # a share of 1 takes every token in the range, so nothing is drawn
        options.update(clip_cov_ratio=1.0, clip_cov_lb=rng.choice([0.05, 0.3]), clip_cov_ub=rng.choice([1.0, 5.0]))
    if ours == "kl_cov":
        options.update(kl_cov_ratio=rng.choice([0.0002, 0.3, 1.0]), ppo_kl_coef=rng.choice([0.1, 1.0]))
    return options


def run_areal(row, options):
    logps, old, mask, advantages, width = padded(row)
    sampled = tensor(row["sampling_per_token_logps"], width)
    action = {"token_mask": "mask", "token_truncate": "clamp"}[options["is_correction"]]
    config = Config(level="token", action=action, metric="ratio", agg="mean",
                    upper=options["vllm_importance_sampling_clip_max"],
                    lower=options.get("vllm_importance_sampling_clip_min"))  # fmt: skip
    loss, _ = areal.ppo_actor_loss_fn(
        logps, old, sampled, advantages, options["epsilon"], mask.bool(), eps_clip_higher=options["epsilon_high"],
        c_clip=options.get("clip_ratio_c"), rejection_sampling=config)  # fmt: skip
    return expected(row, loss, logps)


def write(name, rows):
    with open(OUT / f"{name}.jsonl", "w") as file:
        for row in rows:
            file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")


def objectives(rng):
    rows = []
    for ours, theirs in VERL.items():
        for i in range(8):
            row, near = case(rng)
            options = verl_options(rng, ours, i)
            if ours.startswith("dppo"):  # of probabilities, which are below 1
                row["old_per_token_logps"] = [[min(v, -0.01) for v in r] for r in row["old_per_token_logps"]]
            if i % 3 == 2 and ours != "gmpo":
                row["rollout_is_weights"] = [[round(rng.uniform(0, 2), 4) for _ in r] for r in row["per_token_logps"]]
            answer = run_verl(theirs, row, options)
            given = {"loss_type": ours, **options}
            if ours == "cispo":
                given["cispo_min_ratio"] = 1 - options["epsilon"]
                given["cispo_max_ratio"] = 1 + options["epsilon_high"]
            rows.append({"id": f"verl {theirs} {i}", **row, "config": given, "expected": answer})
    for i in range(10):  # decoupled: ratio to the proximal policy, weight to the one that sampled
        row, near = case(rng)
        row["sampling_per_token_logps"] = near()
        options = {"epsilon": 0.2, "epsilon_high": 0.3, "is_correction": ["token_mask", "token_truncate"][i % 2],
                   "vllm_importance_sampling_clip_max": rng.choice([1.2, 5.0])}  # fmt: skip
        if i % 3 == 1:
            options["vllm_importance_sampling_clip_min"] = 0.8
        if i % 4 == 3:
            options["clip_ratio_c"] = 3.0
        answer = run_areal(row, options)
        rows.append({"id": f"areal {i}", **row, "config": {"loss_type": "dapo", **options}, "expected": answer})
    for i in range(12):  # rejected tokens are out of the mask, as in verl's trainer; completions stay counted
        answer = {"loss": float("nan")}
        while answer["loss"] != answer["loss"]:  # of nothing left verl's token mean is 0 / 0
            row, near = case(rng)
            row["sampling_per_token_logps"] = near()
            options = {"loss_agg_mode": MODES[i % 4], "epsilon": 0.2, "epsilon_high": 0.3, **rejection_options(rng, i)}
            answer = run_verl(["vanilla", "gspo"][i % 4 == 1], row, options)
        rows.append({"id": f"verl rejection {i}", **row,
                     "config": {"loss_type": ["vanilla", "gspo_token"][i % 4 == 1], **options},
                     "expected": answer})  # fmt: skip
    write("objectives_verl", rows)


KINDS = {"group": core.compute_grpo_outcome_advantage, "none": core.compute_grpo_outcome_advantage,
         "rloo": core.compute_rloo_outcome_advantage, "opo": core.compute_opo_outcome_advantage,
         "passk": core.compute_grpo_passk_outcome_advantage,
         "reinforce_pp": core.compute_reinforce_plus_plus_outcome_advantage,
         "reinforce_pp_baseline": core.compute_reinforce_plus_plus_baseline_outcome_advantage,
         "gpg": core.compute_gpg_outcome_advantage}  # fmt: skip


def advantages(rng):
    rows = []
    for i in range(12):
        sizes = [rng.randint(2, 4) for _ in range(rng.randint(1, 3))]
        lengths = [rng.randint(1, 5) for _ in range(sum(sizes))]
        pool = rng.choice([[0.0, 1.0], [0.1, 0.1, 0.7], [-0.5, 0.25, 3.0]])
        rewards = [rng.choice(pool) for _ in lengths]
        if i % 4 == 1:
            rewards[: sizes[0]] = [0.25] * sizes[0]
        index = np.array([g for g, n in enumerate(sizes) for _ in range(n)])
        width = max(lengths)
        mask = tensor([[1.0] * n for n in lengths], width)
        for kind, function in KINDS.items():
            penalty = [[round(rng.gauss(0, 0.2), 4) for _ in range(n)] for n in lengths] if i % 3 == 2 else None
            gamma = rng.choice([1.0, 0.9]) if kind == "reinforce_pp" and penalty else 1.0
            token_rewards = -tensor(penalty, width) if penalty else torch.zeros_like(mask)
            for row, n in enumerate(lengths):
                token_rewards[row, n - 1] += rewards[row]
            config = AlgoConfig(gamma=gamma, norm_adv_by_std_in_grpo=True)
            more = {"norm_adv_by_std_in_grpo": kind == "group"} if kind in ("group", "none") else {}
            keys = {} if kind == "reinforce_pp" else {"index": index}
            values, _ = function(token_level_rewards=token_rewards, response_mask=mask, config=config, **keys, **more)
            by_token = [v[:n] for v, n in zip(values.tolist(), lengths)]
            answer = by_token if kind == "reinforce_pp" else [v[0] for v in by_token]
            row = {"kind": kind, "sizes": sizes, "tokens": lengths, "rewards": rewards, "gamma": gamma,
                   "advantages": answer}  # fmt: skip
            rows.append({**row, "penalty": penalty} if penalty else row)
    write("advantages_verl", rows)


def kl(rng):
    names = ["kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "k1+", "abs+", "k2+", "k3+", "low_var_kl+"]
    logps = [round(-rng.expovariate(0.8), 4) for _ in range(8)]
    reference = [round(v + rng.gauss(0, 0.8), 4) for v in logps]
    rows = []
    for name in names:
        x = torch.tensor(logps, dtype=torch.float64, requires_grad=True)
        value = core.kl_penalty(x, torch.tensor(reference, dtype=torch.float64), name)
        value.sum().backward()
        rows.append({"estimator": name, "logps": logps, "reference": reference, "value": value.tolist(),
                     "gradient": x.grad.tolist()})  # fmt: skip
    controller = core.AdaptiveKLController(0.05, 0.1, 1000)
    measured = [0.02, 0.09, 0.1, 0.11, 0.5, 0.13, 0.0]
    values = []
    for value in measured:
        controller.update(value, 64)
        values.append(float(controller.value))
    rows.append({"adaptive": {"coefficient": 0.05, "target": 0.1, "horizon": 1000, "samples": 64},
                 "measured": measured, "coefficients": values})  # fmt: skip
    write("kl_verl", rows)


def rollout_ratio(rng):
    rows = []
    forms = [("token_truncate", "token", "{high}"), ("sequence_truncate", "sequence", "{high}"),
             ("token_mask", "token", "{low}_{high}"), ("sequence_mask", "sequence", "{low}_{high}")]  # fmt: skip
    for i in range(8):
        row, near = case(rng)
        kind, level, form = forms[i % 4]
        low, high = rng.choice([0.5, 0.8]), rng.choice([1.25, 2.0])
        sampled = near()
        logps, old, mask, _, width = padded(row)
        log_ratio = (old - tensor(sampled, width)) * mask
        weights, _ = correction.compute_rollout_correction_weights(log_ratio, mask, level, form.format(low=low, high=high))
        normalized, _ = correction.compute_rollout_correction_weights(
            log_ratio, mask, level, form.format(low=low, high=high), rollout_is_batch_normalize=True
        )
        answer, to_one = ([w[: len(r)] for w, r in zip(x.tolist(), row["per_token_logps"])] for x in (weights, normalized))
        rows.append({"kind": kind, "min": low if "low" in form else None, "max": high, "old": row["old_per_token_logps"],
                     "sampled": sampled, "ratio": answer, "normalized": to_one})  # fmt: skip
    write("rollout_ratio_verl", rows)


K1 = ["0.8_1.3", "0.95_1.1", "1.5", 1.2]
REJECTION = {"token_k1": K1, "token_k2": ["0.02", 0.1], "token_k3": [0.01, "0.1"], "binary_kl": ["0.002", "0.02"],
             "seq_sum_k1": K1, "seq_sum_k2": [0.02, 0.2, 2], "seq_sum_k3": [0.02, 0.2, 2], "seq_mean_k1": K1,
             "seq_mean_k2": [0.001, 0.04, 0.5], "seq_mean_k3": [0.001, 0.04, 0.5], "seq_max_k2": [0.05, 0.3],
             "seq_max_k3": [0.05, 0.3]}  # fmt: skip


def rejection_options(rng, i):
    modes = sorted(correction.SUPPORTED_ROLLOUT_RS_OPTIONS - {"binary_kl"})
    chosen = [modes[i % len(modes)]] if i % 3 else rng.sample(modes, 2)
    thresholds = [str(rng.choice(REJECTION[mode])) for mode in chosen]
    return {"rollout_rs": ",".join(chosen), "rollout_rs_threshold": ",".join(thresholds)}


MEASURED = {"mean": "mean", "min": "min", "max": "max", "fraction_high": "high", "fraction_low": "low",
            "masked_fraction": "tokens", "seq_masked_fraction": "completions"}  # fmt: skip


DIVERGENCE = {"kl": "kl", "kl_k3": "k3_kl", "chi2": "chi2_token", "perplexity/model": "training_ppl",
              "perplexity/sampler": "rollout_ppl", "perplexity/ratio": "ppl_ratio"}  # fmt: skip


def rejection(rng):
    rows = []
    supported = correction.SUPPORTED_ROLLOUT_RS_OPTIONS
    assert supported <= REJECTION.keys(), supported
    modes = sorted(supported)
    for i in range(4 * len(modes)):
        chosen = [modes[i % len(modes)]] if i < 3 * len(modes) else rng.sample(modes, 2)
        share = None  # that is rejected: in the first rows of each mode some, not none and not all
        while share is None or (i < 2 * len(modes) and share in (0, 1)):
            row, near = case(rng)
            sampled = near()
            _, old, mask, _, width = padded(row)
            rolled = tensor(sampled, width)
            thresholds = [rng.choice(REJECTION[mode]) for mode in chosen]
            given = thresholds[0] if len(thresholds) == 1 else ",".join(map(str, thresholds))
            whole = {"old_log_prob": old, "rollout_log_prob": rolled} if "binary_kl" in supported else {}
            kept, metrics = correction.compute_rollout_rejection_mask((old - rolled) * mask, mask, ",".join(chosen), given, **whole)
            share = 1 - (kept.sum() / mask.sum()).item()
        told = {"tokens": metrics["rollout_rs_masked_fraction"], "completions": metrics["rollout_rs_seq_masked_fraction"]}
        for mode in chosen:
            told.update({f"{mode}/{ours}": metrics[f"rollout_rs_{mode}_{theirs}"] for theirs, ours in MEASURED.items()
                         if theirs != "fraction_low" or mode.endswith("k1")})  # fmt: skip
        rows.append({"modes": ",".join(chosen), "thresholds": str(given), "old": row["old_per_token_logps"],
                     "sampled": sampled, "accepted": [k[: len(r)] for k, r in zip(kept.int().tolist(), sampled)],
                     "metrics": told})  # fmt: skip
        if i < len(modes):
            measured = correction.compute_offpolicy_metrics(old, rolled, mask)
            rows[-1]["divergence"] = {ours: measured[theirs] for ours, theirs in DIVERGENCE.items()}
    for i in range(12):  # the bypass mode: by the policy of now, of the policy term alone
        row, near = case(rng)
        logps, old, mask, advantages, _ = padded(row)
        chosen = rejection_options(rng, i)
        config = Config(clip_ratio=0.2, clip_ratio_low=0.2, clip_ratio_high=0.2, clip_ratio_c=1e30,
                        policy_loss=Config(rollout_correction=Config(loss_type="ppo_clip", **chosen)),
                        global_batch_info={"batch_num_tokens": mask.sum().item(), "global_batch_size": len(mask)})  # fmt: skip
        loss, _ = core.compute_policy_loss_bypass_mode(old, logps, advantages, mask, MODES[i % 4], config)
        rows.append({"modes": chosen["rollout_rs"], "thresholds": chosen["rollout_rs_threshold"], "bypass": MODES[i % 4],
                     **row, "expected": expected(row, loss, logps)})  # fmt: skip
    for i in range(8):
        row, near = case(rng)
        sampled = near()
        _, old, mask, _, width = padded(row)
        threshold = rng.choice([0.0001, 0.01, 0.04, 0.2])
        kept = m2po_mask(tensor(sampled, width), old, mask.bool(), threshold)
        rows.append({"modes": "m2", "thresholds": str(threshold), "old": row["old_per_token_logps"], "sampled": sampled,
                     "accepted": [k[: len(r)] for k, r in zip(kept.int().tolist(), sampled)]})  # fmt: skip
    write("rejection_verl", rows)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    objectives(random.Random(20261120))
    advantages(random.Random(11))
    kl(random.Random(3))
    rollout_ratio(random.Random(5))
    rejection(random.Random(7))
