"""tests/rewards_python/trl.json: rewards as TRL's own GRPOTrainer computes them from the functions of signatures.py.

Its method _calculate_rewards is run on a stand-in for the trainer. Needs trl 1.16 and torch.
Usage: python tests/golden/make/python_reward.py
"""
import asyncio
import json
import math
import os
import sys
import threading
from types import SimpleNamespace

import torch
from trl import GRPOTrainer

here = os.path.dirname(os.path.abspath(__file__))
target = os.path.join(here, "..", "..", "rewards_python")
sys.path.insert(0, os.path.join(target, "functions"))
import signatures

GROUP = 2
PLAIN = ["trl_plain", "trl_ids", "trl_group", "trl_async", "trl_state", "trl_numpy", "judge"]
CHAT = ["trl_chat", "trl_prompt_chat"]


def rows(chat):
    out = []
    for i, (prompt, answer) in enumerate([("1+1?", "2"), ("Grüße an 世界", "hallo"), ("a\0b", "")]):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}] if i == 1 else [
            {"role": "user", "content": prompt}]
        out.append({"prompt": prompt, "messages": messages if chat else "", "truth": answer,
                    "columns": {"answer": answer, "level": i, "weight": i + 0.5, "tags": ["t"] * i,
                                "extra_info": {"index": i}, "data_source": "dict" if i == 0 else "plain"},
                    "completions": [answer, "<longer> " + prompt], "ids": [[5 * i, 7], list(range(i + 1))]})
    return out


def calculated(functions, table):
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu"), state=SimpleNamespace(global_step=0), environments=None, async_loop=loop,
        reward_funcs=[getattr(signatures, f) for f in functions], reward_func_names=functions,
        reward_processing_classes=[None] * len(functions), _log_completion_extra=lambda *_: None, _log_metric=lambda *_: None)
    trainer.args = SimpleNamespace(report_to=[])
    inputs, completions, ids = [], [], []
    for row in table:
        for text, numbers in zip(row["completions"], row["ids"]):
            inputs.append({"prompt": row["messages"] or row["prompt"], **row["columns"]})
            completions.append([{"role": "assistant", "content": text}] if row["messages"] else text)
            ids.append(numbers)
    method = GRPOTrainer._calculate_rewards
    method = getattr(method, "__wrapped__", method)  # without its timer, which wants a whole trainer
    import trl.trainer.grpo_trainer as module
    from contextlib import nullcontext

    module.profiling_context = lambda *_: nullcontext()
    out = method(trainer, inputs, [i["prompt"] for i in inputs], completions, ids)
    return {f: [None if math.isnan(x) else x for x in out[:, i].tolist()] for i, f in enumerate(functions)}


golden = [{"rows": rows(chat), "rewards": calculated(functions, rows(chat))} for functions, chat in ((PLAIN, False), (CHAT, True))]
with open(os.path.join(target, "trl.json"), "w") as file:
    json.dump(golden, file, indent=1, ensure_ascii=True)
    file.write("\n")
