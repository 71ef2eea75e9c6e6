"""Numbers as Python prints them: tests/data/samples/python_repr.jsonl. Needs any Python 3.

Usage: python3 tests/golden/make/python_repr.py > tests/data/samples/python_repr.jsonl
"""
import json
import random
import struct

random.seed(1)
values = [0.0, -0.0, 1.0, 27.0, 0.1, -2.5, 1e15, 1e16, 123456789012345.0, 1234567890123456.7, 1e-4, 9.999e-5, 1e-5, 5e-324,
          1.7976931348623157e308, 1e22, 1e23, 2**53 + 2.0, 100000.0, 0.30000000000000004, 1 / 3]
values += [random.uniform(-1e4, 1e4) for _ in range(60)]
values += [round(random.uniform(-1e3, 1e3), random.randrange(4)) for _ in range(40)]
while len(values) < 200:
    value = struct.unpack("<d", random.randbytes(8))[0]
    if value == value and abs(value) != float("inf"):
        values.append(value)
for value in values:
    print(json.dumps({"value": value, "text": str(value)}))
for value in [0, -7, 9007199254740993, 9223372036854775807]:
    print(json.dumps({"value": value, "text": str(value)}))
