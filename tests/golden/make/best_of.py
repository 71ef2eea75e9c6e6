#!/usr/bin/env python3
"""Golden values of best@n, worst@n and maj@n: what verl's own process_validation_metrics says.

    python tests/golden/make/best_of.py > tests/train/best_of.json

needs the source of verl 0.9.1 (`pip install --no-deps verl==0.9.1`) and numpy. Of its metric_utils.py only
bootstrap_metric, calc_maj_val and process_validation_metrics are executed, which need numpy alone.
"""
import ast
import importlib.util
import json
import pathlib
import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

FUNCTIONS = ("bootstrap_metric", "calc_maj_val", "process_validation_metrics")
root = pathlib.Path(importlib.util.find_spec("verl").submodule_search_locations[0])
tree = ast.parse((root / "trainer" / "ppo" / "metric_utils.py").read_text())
tree.body = [node for node in tree.body if getattr(node, "name", "") in FUNCTIONS]
assert len(tree.body) == len(FUNCTIONS)
verl = {"np": np, "partial": partial, "Any": Any, "Callable": Callable, "defaultdict": defaultdict}
exec(compile(tree, "metric_utils.py", "exec"), verl)

random.seed(3)
questions = []
for samples, answers in ((2, 2), (4, 2), (5, 3), (8, 4), (16, 5), (16, 1), (32, 8)):
    pred = [f"answer {random.randrange(answers)}" for _ in range(samples)]
    acc = [float(p == "answer 0") for p in pred]
    reward = [round(random.gauss(0, 1), 3) for _ in range(samples)]
    found = verl["process_validation_metrics"](["set"] * samples, ["q"] * samples,
                                               {"acc": acc, "reward": reward, "pred": pred})["set"]
    sizes = sorted(int(k[len("best@"):-len("/mean")]) for k in found["acc"] if k.startswith("best@") and k.endswith("/mean"))
    questions.append({
        "pred": pred, "acc": acc, "reward": reward,
        "expected": [[n, *(float(found[v][f"{what}@{n}/mean"]) for v in ("acc", "reward") for what in ("best", "worst", "maj"))]
                     for n in sizes]})  # fmt: skip
print(json.dumps({"questions": questions}))
