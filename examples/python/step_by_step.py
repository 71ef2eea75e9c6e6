"""A run of grpo-host from Python. Usage: step_by_step.py CONFIG.yaml [section.key=value ...]"""
import sys

import grpo


def main(config, *overrides):
    with grpo.Trainer(config, overrides) as trainer:
        for metrics in trainer:
            print(f"step {metrics['step']:.0f}: reward {metrics['reward']:.3f}, loss {metrics['loss']:.4f}")
            if metrics["reward"] > 0.95:
                break
        return trainer.save()


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
