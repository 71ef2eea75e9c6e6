#!/usr/bin/env python3
"""Golden values of SmolLM2-135M-Instruct from transformers, in fp32.

Usage: smollm2.py MODEL_DIR GSM8K_JSONL > tests/e2e/smollm2.jsonl
MODEL_DIR is what tools/get-smollm2 makes. Needs a Python with transformers 5.23 and torch 2.11.
A line a case: ids of a text with the log-probability and entropy of each token after the first, and of a chat prompt the
32 tokens that greedy decoding adds.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model_dir, data = sys.argv[1:3]
tokenizer = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()

with open(data, encoding="utf-8") as f:
    rows = [json.loads(next(f)) for _ in range(3)]
texts = [r["question"] + "\n" + r["answer"] for r in rows] + ["Ünïcödé — 数学 ½ ² ٣ 🙂\n\tdef f(x): return x ** 2  # 1,234.5"]
for text in texts:
    ids = tokenizer(text)["input_ids"]
    messages = [{"role": "user", "content": text[:160]}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    with torch.no_grad():
        logp = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        greedy = model.generate(prompt, max_new_tokens=32, do_sample=False)[0, prompt.shape[1]:].tolist()
    picked = logp[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(-1)[:-1]
    print(json.dumps({"text": text, "ids": ids, "logprobs": [round(x, 6) for x in picked.tolist()],
                      "entropy": [round(x, 6) for x in entropy.tolist()], "messages": messages,
                      "prompt_ids": prompt[0].tolist(), "greedy": greedy}, ensure_ascii=False))
