"""The functions of signatures.py called in this process, as their trainers call them: what the plugin must equal.

Reads {"rows": [...], "functions": {name: style}} and prints {name: [score or null, ...]}. Loops over samples as EasyR1's
reward managers and verl's naive manager do; for TRL, tests/golden/make/python_reward.py compares with TRL's own code.
"""
import asyncio
import json
import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "functions"))
import signatures


def number(value):
    if isinstance(value, dict):
        value = value["overall"] if "overall" in value else value["score"]
    return None if value is None else float(value)


def called(function, style, samples, kwargs):
    if style.startswith("easyr1"):
        inputs = [{"response": s["completion"], "response_length": len(s["ids"]), "ground_truth": s["truth"]}
                  for s in samples]
        return function(inputs, **kwargs) if style == "easyr1 batch" else [function(one, **kwargs) for one in inputs]
    if style.startswith("verl"):
        ones = [(s["columns"].get("data_source"), s["completion"], s["truth"], s["columns"].get("extra_info"))
                for s in samples]
        return (function(*map(list, zip(*ones)), **kwargs) if style == "verl batch" else
                [function(data_source=d, solution_str=c, ground_truth=t, extra_info=e, **kwargs) for d, c, t, e in ones])
    chat = bool(samples[0]["messages"])
    columns = {key: [s["columns"][key] for s in samples] for key in samples[0]["columns"]
               if key not in ("prompt", "completion", "completion_ids")}
    result = function(
        prompts=[s["messages"] if chat else s["prompt"] for s in samples],
        completions=[[{"role": "assistant", "content": s["completion"]}] if chat else s["completion"] for s in samples],
        completion_ids=[s["ids"] for s in samples], trainer_state=SimpleNamespace(global_step=0),
        log_metric=lambda *_: None, log_extra=lambda *_: None, **columns, **kwargs)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def main():
    task = json.load(sys.stdin)
    samples = [{**row, "completion": c, "ids": ids} for row in task["rows"] for c, ids in zip(row["completions"], row["ids"])]
    print(json.dumps({name: [number(v) for v in called(getattr(signatures, name), f["style"], samples, f["kwargs"])]
                      for name, f in task["functions"].items()}))


main()
