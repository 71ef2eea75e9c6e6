#!/usr/bin/env python3
"""Options of other systems and their defaults, for tests/config/options/<system>.json.

    python tests/golden/make/options.py trl               installed: trl 1.16, transformers 5.23
    python tests/golden/make/options.py verl              installed: the source of verl 0.9.1 (pip install --no-deps)
    python tests/golden/make/options.py areal             installed: the source of areal 1.0.4 (pip install --no-deps)
    python tests/golden/make/options.py areal_boba DIR    a checkout of inclusionAI/AReaL at v0.2.0
    python tests/golden/make/options.py easyr1 DIR        a checkout of hiyouga/EasyR1
    python tests/golden/make/options.py mindspeed DIR     a checkout of Ascend/MindSpeed-RL, which MindSpeed-LLM's and -MM's
                                                          GRPO run on

TRL's are the fields of its dataclasses and the parameters of its trainers; verl's the leaves of its generated
ppo_trainer.yaml; the others are read from the syntax trees of their configuration classes, nothing of them is executed.
What is no literal there (None, an expression, another option) is null; a part named in WHOLE is one option, "part.*".
tests/config/coming_from_test.cpp holds
docs/coming-from to these lists.
"""
import ast
import dataclasses
import fnmatch
import importlib.util
import inspect
import json
import pathlib
import sys

OUT = pathlib.Path(__file__).parents[2] / "config" / "options"


# Parts that are told of as a whole: engines, schedulers, profilers, critics.
WHOLE = {
    "verl": ["critic", "distillation", "transfer_queue", "global_profiler", "skip", "ray_kwargs", "trainer.v1", "*.profiler",
             "*.qat", "*.fsdp_config", "*.turbo_config", "*.mtp", "*.fused_kernel_options", "*.tiled_mlp", "*.rollout.agent",
             "*.rollout.trace", "*.rollout.multi_turn", "*.rollout.server", "*.rollout.prometheus", "*.checkpoint_engine",
             "*.disaggregation", "*.sandbox_fusion", "sandbox_fusion", "reward.reward_model", "reward_model", "*.engine_kwargs",
             "*.val_kwargs", "*.checkpoint", "*.megatron", "*.lora", "*.skip", "*.router_replay", "*.layer_name_map"],
    "areal": ["critic", "ref", "teacher", "vllm", "sglang", "*.archon", "*.fsdp", "*.megatron", "*.scheduling_spec",
              "*.scheduling_strategy", "rollout", "cluster", "scheduler", "perf_tracer", "*.session_tracer", "*.wandb", "*.swanlab", "*.trackio",
              "*.tensorboard", "eval_gconfig", "valid_dataset", "memory_profiler", "*.reward_norm"],
    "areal_boba": ["critic", "rew", "ref", "critic_train", "critic_inf", "rew_inf", "ref_inf", "actor_inf", "actor_gen", "*.vllm",
                   "*.sglang", "*.megatron", "*.parallel", "wandb", "tensorboard", "auto_eval_config"],
    "easyr1": ["worker.critic", "worker.ref", "*.fsdp", "*.offload"],
}  # fmt: skip


def whole(system, options):
    out = {}
    for name, default in options.items():
        parts = name.split(".")
        above = [".".join(parts[: i + 1]) for i in range(len(parts) - 1)]
        part = next((a for a in above if any(fnmatch.fnmatchcase(a, w) for w in WHOLE.get(system, []))), None)
        out[f"{part}.*" if part else name] = None if part else default
    return out


def plain(value):
    return value if isinstance(value, (bool, int, float, str)) else None


def literal(node):
    """The value of a literal, or of one in int(...)."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "int":
        node = node.args[0]
        return int(ast.literal_eval(node))
    try:
        return plain(ast.literal_eval(node))
    except ValueError:
        return None


# ---- installed packages ----
def trl():
    import trl

    out = {}
    for config in (trl.GRPOConfig, trl.SFTConfig):
        for field in dataclasses.fields(config):
            inherited = config is trl.SFTConfig and field.name not in inspect.get_annotations(config)
            if not inherited:  # of transformers' TrainingArguments, which GRPOConfig has told already
                out[f"{config.__name__}.{field.name}"] = plain(field.default)
    for trainer in (trl.GRPOTrainer, trl.SFTTrainer):
        for name in list(inspect.signature(trainer.__init__).parameters)[1:]:
            out[f"{trainer.__name__}.{name}"] = None
    return out


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])


def verl():
    import yaml

    def leaves(tree, prefix):
        for key, value in tree.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, f"{prefix}{key}.")
            elif key != "_target_":
                yield prefix + key, value

    tree = yaml.safe_load((package("verl") / "trainer/config/_generated_ppo_trainer.yaml").read_text())
    # "${...}" is another option's value.
    return {k: None if str(v).startswith(("${", "???")) else plain(v) for k, v in leaves(tree, "")}


# ---- dataclasses, by their syntax ----
class Classes:
    def __init__(self, paths):
        self.known = {}
        for path in paths:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    self.known[node.name] = node

    def named(self, annotation):
        """The class that a field is of, inside Optional[...] and X | None too."""
        for node in ast.walk(annotation):
            name = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else None
            if name in self.known and self.fields(name):
                return name
        return None

    def fields(self, name, prefix=""):
        out = {}
        for base in self.known[name].bases:
            if isinstance(base, ast.Name) and base.id in self.known:
                out |= self.fields(base.id, prefix)
        for node in self.known[name].body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            given, set_outside, default = node.value, True, None
            if isinstance(given, ast.Call) and getattr(given.func, "id", "") == "field":
                for keyword in given.keywords:
                    if keyword.arg == "default":
                        default = literal(keyword.value)
                    elif keyword.arg == "init":
                        set_outside = literal(keyword.value)
            elif given is not None:
                default = literal(given)
            inner = self.named(node.annotation)
            if inner:
                out |= self.fields(inner, f"{prefix}{node.target.id}.")
            elif set_outside:
                out[prefix + node.target.id] = default
        return out


def easyr1(folder):
    paths = [folder / "verl/trainer/config.py", folder / "verl/workers/config.py"]
    paths += [folder / f"verl/workers/{part}/config.py" for part in ("actor", "critic", "reward", "rollout")]
    return Classes(paths).fields("PPOConfig")


def arguments(path, prefix):
    """Of an ArgumentParser."""
    out = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            default = next((literal(k.value) for k in node.keywords if k.arg == "default"), None)
            out[prefix + node.args[0].value] = default
    return out


def areal():
    return Classes([package("areal") / "api/cli_args.py"]).fields("GRPOConfig")


def areal_boba(folder):
    known = Classes([folder / "realhf/api/cli_args.py"])
    evaluation = arguments(folder / "evaluation/eval_and_aggregate.py", "eval_and_aggregate.")
    return known.fields("BaseExperimentConfig") | known.fields("PPOMATHExperimentOptions") | evaluation


def mindspeed(folder):
    """self.NAME = value in the constructors; a dictionary's entries are options too."""
    out = {}
    for section, file in (("megatron_training", "megatron_config"), ("rl_config", "rl_config"), ("generate_config", "generate_config")):
        for node in ast.walk(ast.parse((folder / f"mindspeed_rl/config_cls/{file}.py").read_text())):
            if not isinstance(node, ast.Assign) or getattr(getattr(node.targets[0], "value", None), "id", "") != "self":
                continue
            name, value = f"{section}.{node.targets[0].attr}", node.value
            if isinstance(value, ast.Call) and getattr(value.func, "attr", "") == "get" and len(value.args) > 1:
                value = value.args[1]  # config_dict.get(name, default)
            if isinstance(value, ast.Dict):
                out |= {f"{name}.{k.value}": literal(v) for k, v in zip(value.keys, value.values)}
            else:
                out.setdefault(name, literal(value))
    return out


def main():
    system = sys.argv[1]
    options = whole(system, globals()[system](*[pathlib.Path(p) for p in sys.argv[2:]]))
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in options.items())
    (OUT / f"{system}.json").write_text("{\n" + rows + "\n}\n")
    print(f"{system}: {len(options)} options")


if __name__ == "__main__":
    main()
