#!/usr/bin/env python3
"""Makes tests/transformer/models/: tiny random checkpoints and what transformers computes with them.

Needs a Python with transformers 5.23, torch and safetensors. Usage: models.py OUTPUT_DIRECTORY

Each model is a Hugging Face directory plus golden.json:
  ids            three sequences
  logprobs, entropies   for each sequence, of each next token (n - 1 values), at `temperature`
  weights_a, weights_b  the objective is sum(a * logprob + b * entropy) over all of them
  gradients      {parameter: {"norm", "at": [flat indices], "values"}} of that objective
  greedy         {"prompt": ids, "continuation": 32 ids}
"""
import json
import math
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

SMALL = dict(vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=None)

# name -> (class of config, class of model, overrides, how it is stored)
MODELS = {
    "llama_tied": (LlamaConfig, LlamaForCausalLM, dict(tie_word_embeddings=True), {}),
    "llama_bias": (LlamaConfig, LlamaForCausalLM, dict(attention_bias=True, mlp_bias=True), dict(shards=True)),
    "llama_head_dim": (LlamaConfig, LlamaForCausalLM, dict(head_dim=12, rms_norm_eps=1e-5), dict(old=True)),
    "llama_linear": (LlamaConfig, LlamaForCausalLM,
                     dict(rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=500.0)), dict(old=True)),
    "llama_llama3": (LlamaConfig, LlamaForCausalLM,
                     dict(num_key_value_heads=1, rope_parameters=dict(
                         rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                         original_max_position_embeddings=32, rope_theta=10000.0)), dict(dtype=torch.bfloat16)),
    "llama_yarn": (LlamaConfig, LlamaForCausalLM,
                   dict(head_dim=16, rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0,
                                                          original_max_position_embeddings=32)),
                   dict(dtype=torch.float16)),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM,
              dict(use_sliding_window=False, sliding_window=4, max_window_layers=1, tie_word_embeddings=True,
                   rms_norm_eps=1e-6), dict(old=True)),
    "qwen2_window": (Qwen2Config, Qwen2ForCausalLM,
                     dict(use_sliding_window=True, sliding_window=7, max_window_layers=1, num_hidden_layers=3), {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=16, tie_word_embeddings=True), dict(shards=True)),
    "qwen3_bias": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=8, attention_bias=True), dict(old=True)),
    "mistral": (MistralConfig, MistralForCausalLM, dict(sliding_window=None, head_dim=10), dict(dtype=torch.bfloat16)),
    "mistral_window": (MistralConfig, MistralForCausalLM, dict(sliding_window=5, num_key_value_heads=4), dict(old=True)),
}
TEMPERATURE = 0.8


def rounded(values, digits=9):
    return [float(f"%.{digits}g" % v) for v in values]


def old_style(config):
    """The file as transformers 4 wrote it."""
    config["torch_dtype"] = config.pop("dtype", "float32")
    rope = config.pop("rope_parameters", None) or {}
    config["rope_theta"] = rope.pop("rope_theta", 10000.0)
    kind = rope.pop("rope_type", "default")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config.pop("layer_types", None)
    return config


def store(model, directory, dtype=torch.float32, shards=False, old=False):
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    if shards:
        names = sorted(state)
        parts = [names[::2], names[1::2]]
        weight_map = {}
        for i, part in enumerate(parts):
            file = f"model-{i + 1:05d}-of-00002.safetensors"
            save_file({k: state[k] for k in part}, directory / file, metadata={"format": "pt"})
            weight_map |= {k: file for k in part}
        index = {"metadata": {"total_size": sum(v.numel() * v.element_size() for v in state.values())},
                 "weight_map": weight_map}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    else:
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config = {k: v for k, v in config.items() if not k.startswith("_") and k not in ("transformers_version",)}
    config["architectures"] = [type(model).__name__]
    config["dtype"] = str(dtype).removeprefix("torch.")
    if old:
        config = old_style(config)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def golden(directory, model):
    g = torch.Generator().manual_seed(11)
    lengths = [24, 9, 40]
    ids = [torch.randint(0, 128, (n,), generator=g) for n in lengths]
    out = {"temperature": TEMPERATURE, "ids": [i.tolist() for i in ids], "logprobs": [], "entropies": [],
           "weights_a": [], "weights_b": []}
    total = 0
    for sequence in ids:
        logits = model(sequence[None]).logits[0, :-1].double() / TEMPERATURE
        logp = torch.log_softmax(logits, -1)
        chosen = logp.gather(1, sequence[1:, None])[:, 0]
        entropy = -(logp.exp() * logp).sum(-1)
        a = torch.randn(len(chosen), generator=g, dtype=torch.float64).float()
        b = (0.3 * torch.randn(len(chosen), generator=g, dtype=torch.float64)).float()
        total = total + (a.double() * chosen + b.double() * entropy).sum()
        out["logprobs"].append(rounded(chosen.tolist()))
        out["entropies"].append(rounded(entropy.tolist()))
        out["weights_a"].append(rounded(a.tolist()))
        out["weights_b"].append(rounded(b.tolist()))
    total.backward()
    out["gradients"] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        flat = parameter.grad.double().flatten()
        at = sorted({0, len(flat) // 3, len(flat) // 2, len(flat) - 1, int(flat.abs().argmax())})
        out["gradients"][name.replace(".default", "")] = {"norm": rounded([math.sqrt(float((flat * flat).sum()))])[0], "at": at,
                                  "values": rounded([float(flat[i]) for i in at])}
    prompt = ids[1][:6]
    sequence = prompt.tolist()
    with torch.no_grad():
        for _ in range(32):
            sequence.append(int(model(torch.tensor([sequence])).logits[0, -1].argmax()))
    out["greedy"] = {"prompt": prompt.tolist(), "continuation": sequence[len(prompt):]}
    (directory / "golden.json").write_text(json.dumps(out) + "\n")


def main():
    root = pathlib.Path(sys.argv[1])
    for index, (name, (config_cls, model_cls, overrides, how)) in enumerate(MODELS.items()):
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        torch.manual_seed(100 + index)
        model = model_cls(config_cls(**{**SMALL, **overrides}))
        with torch.no_grad():  # weights large enough that every feature shows in the numbers
            for parameter_name, parameter in model.named_parameters():
                if parameter_name.endswith("norm.weight"):
                    parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
                elif parameter_name.endswith("bias"):
                    parameter.copy_(0.3 * torch.randn_like(parameter))
                elif "embed" in parameter_name or "lm_head" in parameter_name:
                    parameter.copy_(0.5 * torch.randn_like(parameter))
                else:
                    parameter.copy_(1.5 * torch.randn_like(parameter) / math.sqrt(parameter.shape[1]))
        store(model, directory, **how)
        # What is scored is what a user of transformers loads from the directory.
        golden(directory, model_cls.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval())
        print(name, sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main()
