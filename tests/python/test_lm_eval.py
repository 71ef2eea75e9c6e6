"""The real lm-evaluation-harness, on the task in examples/python/lm_eval, with a model that says what it is told."""
import json
import os
import unittest

import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from support import SOURCE, Scratch


class Parrot(LM):
    """Says the next of its sentences."""

    def __init__(self, sentences):
        super().__init__()
        self.sentences = iter(sentences)

    def generate_until(self, requests, **more):
        return [next(self.sentences) for _ in requests]

    def loglikelihood(self, requests, **more):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


class Task(Scratch):
    def test_the_example(self):
        rows = [{"question": f"{i}+1?", "answer": f"{i}+1\n#### {i + 1}"} for i in range(4)]
        (self.scratch / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.scratch)
        tasks = TaskManager(include_path=str(SOURCE / "examples/python/lm_eval"), include_defaults=False)
        results = lm_eval.simple_evaluate(model=Parrot([" it is 1", " \\boxed{2}", " 7", " #### 4"]), tasks=["gsm8k_grpo"],
                                          task_manager=tasks, bootstrap_iters=0)
        self.assertEqual(results["results"]["gsm8k_grpo"]["accuracy,none"], 0.75)


if __name__ == "__main__":
    unittest.main()
