#!/usr/bin/env python3
"""Golden values of supervised training from TRL's SFTTrainer on SmolLM2-135M-Instruct, in fp32.

Usage: sft.py MODEL_DIR > tests/e2e/sft.json
Needs a Python with trl 1.16 and torch 2.11. For each case two optimizer steps of AdamW on the same four rows: loss and
gradient norm of both steps, and some weights afterwards. Cases: every assistant message of a conversation (the template
says which by {% generation %}), and prompts with completions.
"""
import contextlib
import json
import sys
import tempfile

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

model_dir = sys.argv[1]
template = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
conversations = [
    [("user", "What is 2+2?"), ("assistant", "It is 4."), ("user", "And 3+3?"), ("assistant", "That makes 6.")],
    [("system", "Answer briefly."), ("user", "Name a colour."), ("assistant", "Blue.")],
    [("user", "Wie heißt du? 🙂"), ("assistant", "Ich heiße SmolLM, und du?"), ("user", "Ada."), ("assistant", "Hallo Ada!")],
    [("user", "Count to five."), ("assistant", "1, 2, 3, 4, 5.\n\nDone.")],
]
messages = [[{"role": r, "content": c} for r, c in rows] for rows in conversations]
pairs = [{"prompt": f"Question {i}: {a} + {b} =", "completion": f" {a + b}\nBecause {a} and {b} are {a + b}."}
         for i, (a, b) in enumerate([(1, 2), (30, 4), (17, 25), (100, 11)])]
probes = {"model.embed_tokens.weight": [504, 7, 100], "model.layers.0.self_attn.q_proj.weight": [3, 0, 9],
          "model.layers.17.mlp.down_proj.weight": [5, 2, 30], "model.norm.weight": [0, 0, 0]}


def run(data, **options):
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    tokenizer.chat_template = template
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(output_dir=out, max_steps=2, per_device_train_batch_size=4, learning_rate=1e-4,
                           lr_scheduler_type="constant", optim="adamw_torch", weight_decay=0.0, max_grad_norm=1.0,
                           bf16=False, use_cpu=True, report_to="none", logging_steps=1, save_strategy="no",
                           gradient_checkpointing=False, **options)
        trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
        batch = next(iter(trainer.get_train_dataloader()))
        learnt = int((batch["labels"] != -100).sum())
        with contextlib.redirect_stdout(sys.stderr):  # the trainer prints its log
            trainer.train()
        log = [row for row in trainer.state.log_history if "loss" in row]
    weights = dict(model.named_parameters())
    picked = {}
    for name, (row, first, last) in probes.items():
        w = weights[name].detach()
        picked[name] = [round(float(x), 7) for x in (w[first:first + 5] if w.dim() == 1 else w[row, last - 2:last + 3])]
    return {"targets": learnt, "loss": [r["loss"] for r in log], "grad_norm": [r["grad_norm"] for r in log],
            "weights": picked}


print(json.dumps({
    "template": template, "messages": messages, "pairs": pairs, "probes": probes,
    "assistant": run(Dataset.from_list([{"messages": m} for m in messages]), assistant_only_loss=True),
    "completion": run(Dataset.from_list(pairs), completion_only_loss=True),
}, ensure_ascii=False))
