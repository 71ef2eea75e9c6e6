#!/usr/bin/env python3
"""Golden values of pass@k: exact, by counting, beside numpy's product as the Codex paper (arXiv:2107.03374) gives it.

Usage: pass_at_k.py > tests/train/pass_at_k.json
"""
import json
from fractions import Fraction
from math import comb

import numpy as np

cases = []
for n in (1, 2, 5, 16, 32, 200):
    for c in sorted({0, 1, 2, n // 3, n // 2, n - 1, n} & set(range(n + 1))):
        for k in sorted({1, 2, 8, 16, n} & set(range(1, n + 1))):
            exact = float(1 - Fraction(comb(n - c, k), comb(n, k)))
            paper = 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
            assert abs(exact - paper) < 1e-12
            cases.append([n, c, k, exact])
values = [[1.0, 0.0, 0.5, 0.25, 1.0], [0.0, 0.0, 0.0], [0.125, 0.375]]
errors = [[v, float(np.mean(v)), float(np.std(v, ddof=1) / np.sqrt(len(v)))] for v in values]
print(json.dumps({"pass_at_k": cases, "standard_error": errors}))
