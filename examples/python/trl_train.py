"""A reward plugin in TRL's GRPOTrainer. Usage: trl_train.py MODEL_DIRECTORY DATA.jsonl OUTPUT_DIRECTORY

DATA has the columns prompt and answer.
"""
import sys

import grpo
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer


def main(model, data, output, **arguments):
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[grpo.Reward("math", options={"wrong": -0.5}), grpo.Reward("length", label="short")],
        args=GRPOConfig(output_dir=output, reward_weights=[1.0, 0.1], report_to=[], **arguments),
        train_dataset=load_dataset("json", data_files=data, split="train"),
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    main(*sys.argv[1:])
