#!/usr/bin/env python3
"""Scores of Open-R1's len_reward, for tests/rewards/length_in_group.json.

    python tests/golden/make/open_r1.py DIR      a checkout of huggingface/open-r1

needs math-verify. Of DIR/src/open_r1/rewards.py the function len_reward alone is executed; the rest of that file imports
services that run code.
"""
import ast
import json
import pathlib
import random
import sys
from typing import Dict

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify

OUT = pathlib.Path(__file__).parents[2] / "rewards" / "length_in_group.json"
tree = ast.parse((pathlib.Path(sys.argv[1]) / "src/open_r1/rewards.py").read_text())
tree.body = [node for node in tree.body if getattr(node, "name", "") == "len_reward"]
known = {"Dict": Dict, "NormalizationConfig": NormalizationConfig, "LatexExtractionConfig": LatexExtractionConfig,
         "parse": parse, "verify": verify}  # fmt: skip
exec(compile(tree, "rewards.py", "exec"), known)

random.seed(5)
groups = []
for size in (1, 2, 3, 4, 6, 8, 8, 12, 16):
    solution = f"$\\boxed{{{random.randrange(9)}}}$"
    completions = []
    for _ in range(size):
        words = "größer " if random.random() < 0.2 else "so "
        completions.append(words * random.randrange(12) + random.choice(["", "no answer", *["$\\boxed{%d}$" % n for n in range(9)],
                                                                         *[solution] * 5]))
    if size == 3:
        completions = [solution, solution, solution]
    scores = known["len_reward"]([[{"content": c}] for c in completions], [solution] * size)
    groups.append({"solution": solution, "completions": completions, "scores": scores})
OUT.write_text("[" + ",\n".join(json.dumps(g, ensure_ascii=False) for g in groups) + "]\n")
