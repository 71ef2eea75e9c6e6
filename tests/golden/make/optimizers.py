#!/usr/bin/env python3
"""Runs torch.optim.AdamW and torch.optim.SGD for 20 steps and keeps where the parameters were on the way.

Needs a Python with torch 2.11. Usage: optimizers.py > tests/optimizers/golden.json
The start and the gradients are integers from a small generator, divided by a power of two, so that the test makes the
same ones. They are exact in bfloat16 too: the same runs check the master weights.
"""
import json

import torch

N, STEPS, KEEP = 48, 20, [1, 2, 3, 10, 20]


def numbers(seed, n):
    """Multiples of 1/64 in -2 .. 2, by a 32-bit linear congruential generator: its high byte."""
    out, x = [], seed
    for _ in range(n):
        x = (1664525 * x + 1013904223) % 2**32
        out.append(((x >> 24) - 128) / 64)
    return out


def rate(step):
    return 0.02 * (1 - step / 40)


def run(make, gradient_scale):
    w = torch.tensor(numbers(1, N), dtype=torch.float32, requires_grad=True)
    optimizer = make([w])
    kept = {}
    for step in range(1, STEPS + 1):
        w.grad = torch.tensor(numbers(1000 + step, N), dtype=torch.float32) * gradient_scale
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        if step in KEEP:
            kept[str(step)] = [float(f"{x:.9g}") for x in w.detach().tolist()]
    return kept


CASES = [
    ("adamw", {}, 1.0),
    ("adamw", {"weight_decay": 0.1}, 1.0),
    ("adamw", {"beta1": 0.8, "beta2": 0.95, "epsilon": 0.01, "weight_decay": 0.5}, 0.25),
    ("sgd", {}, 1.0),
    ("sgd", {"weight_decay": 0.1}, 0.5),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.01}, 1.0),
    ("sgd", {"momentum": 0.9, "nesterov": 1, "weight_decay": 0.1}, 1.0),
]


def make(kind, options):
    if kind == "sgd":
        return lambda p: torch.optim.SGD(
            p, lr=1, momentum=options.get("momentum", 0), nesterov=bool(options.get("nesterov")),
            weight_decay=options.get("weight_decay", 0), foreach=False)
    return lambda p: torch.optim.AdamW(
        p, lr=1, betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)), eps=options.get("epsilon", 1e-8),
        weight_decay=options.get("weight_decay", 0), foreach=False)


cases = [{"kind": kind, "options": options, "gradient_scale": scale, "steps": run(make(kind, options), scale)}
         for kind, options, scale in CASES]
print(json.dumps({"torch": torch.__version__, "n": N, "cases": cases}, separators=(",", ":")).replace('{"kind"', '\n{"kind"'))
