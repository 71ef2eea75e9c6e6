#!/usr/bin/env python3
"""Greedy answers of SmolLM2-135M-Instruct from transformers, in fp32, and which are right by math-verify.

Usage: smollm2_answers.py MODEL_DIR DATA_DIR > tests/e2e/smollm2_answers.jsonl
MODEL_DIR is what tools/get-smollm2 makes; DATA_DIR holds gsm8k/test.jsonl and eval/svamp.jsonl. Needs a Python with
transformers 5.23, torch 2.11, math-verify 0.9. A line a question: its set and text, the true answer, the new ids up to and
with the end of text, their text without special tokens, and whether its answer is right. One sequence at a time: no padding
and no batch, so nothing but the model decides.
"""
import json
import sys

import torch
from math_verify import parse, verify
from transformers import AutoModelForCausalLM, AutoTokenizer

# Answers that end by themselves, and others that are cut. Of the first 160 of GSM8K the model gets one right, of the first 64
# of SVAMP three: these four are among them.
ROWS = {"gsm8k": [1, 2, 3, 4, 9, 18, 19, 21, 22, 24, 26, 29, 30, 35, 49, 72], "svamp": [7, 8, 23, 25, 27, 33, 49, 53]}
TEMPLATE = "{} Please reason step by step, and put your final answer within \\boxed{{}}."  # of configs/eval-math.yaml
MAX_NEW_TOKENS = 128


def rows(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


model_dir, data = sys.argv[1:3]
tokenizer = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
gsm8k, svamp = rows(data + "/gsm8k/test.jsonl"), rows(data + "/eval/svamp.jsonl")
asked = [("gsm8k", gsm8k[r]["question"], gsm8k[r]["answer"].split("####")[-1].strip()) for r in ROWS["gsm8k"]]
asked += [("svamp", svamp[r]["Body"].strip() + " " + svamp[r]["Question"].strip(), f"{svamp[r]['Answer']:g}") for r in ROWS["svamp"]]
conversations = [[{"role": "user", "content": TEMPLATE.format(question.strip())}] for _, question, _ in asked]
tokenizer.padding_side = "left"
prompts = tokenizer.apply_chat_template(conversations, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True)
with torch.no_grad():
    made = model.generate(**prompts, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)[:, prompts["input_ids"].shape[1]:].tolist()
for (name, question, answer), ids in zip(asked, made):
    if tokenizer.eos_token_id in ids:
        ids = ids[:ids.index(tokenizer.eos_token_id) + 1]
    text = tokenizer.decode(ids, skip_special_tokens=True)
    right = verify(parse(f"${answer}$"), parse(text))
    print(json.dumps({"set": name, "question": question, "answer": answer, "ids": ids, "text": text, "right": right},
                     ensure_ascii=False), flush=True)
