"""The examples in examples/python, as their readers run them; those that need torch or TRL where these are installed."""
import contextlib
import importlib.util
import io
import json
import runpy
import sys
import unittest

from support import DEMO_MODEL, FAKE_MODEL, SOURCE, Scratch

EXAMPLES = SOURCE / "examples/python"
HAVE_TORCH = importlib.util.find_spec("torch") is not None


class Examples(Scratch):
    def run_example(self, name, *arguments):
        said, old = io.StringIO(), sys.argv
        sys.argv = [name, *map(str, arguments)]
        self.addCleanup(setattr, sys, "argv", old)
        with contextlib.redirect_stdout(said):
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return said.getvalue()

    def test_verl(self):
        """As verl loads and calls it."""
        function = runpy.run_path(str(EXAMPLES / "verl_reward.py"))["compute_score"]
        self.assertEqual(function(data_source="gsm8k", solution_str="#### 4", ground_truth="4", extra_info={"i": 1}), 1)
        self.assertEqual(function(data_source="gsm8k", solution_str="#### 5", ground_truth="4", extra_info=None), -0.5)

    def test_lm_eval(self):
        """As lm-evaluation-harness calls it: a document and what the model said."""
        process_results = runpy.run_path(str(EXAMPLES / "lm_eval/utils.py"))["process_results"]
        task = (EXAMPLES / "lm_eval/gsm8k_grpo.yaml").read_text()
        doc = {"question": "2+2?", "answer": "2+2=4\n#### 4"}
        self.assertEqual(process_results(doc, [" it is 4"]), {"accuracy": 1.0})
        for key in process_results(doc, [" it is 5"]):
            self.assertIn(f"metric: {key},", task)

    def test_text(self):
        said = self.run_example("text.py", DEMO_MODEL)
        for part in ("12+34=", "<user>2+2?", "\\frac{3}{4} True", "math ["):
            self.assertIn(part, said)

    def test_step_by_step(self):
        (self.scratch / "data.jsonl").write_text('{"prompt": "1+1=", "answer": "2"}\n' * 4)
        config = {"run": {"output_dir": "out", "max_steps": 2, "plugins": [str(FAKE_MODEL)]},
                  "data": {"path": "data.jsonl", "raw_prompt": True}, "sampler": {"max_new_tokens": 5},
                  "model": {"plugin": "fake", "path": str(DEMO_MODEL)}, "rewards": ["math"],
                  "algorithm": {"group_size": 2, "prompts_per_step": 2}}
        (self.scratch / "run.yaml").write_text(json.dumps(config))
        said = self.run_example("step_by_step.py", self.scratch / "run.yaml", "optimizer.learning_rate=0.01")
        self.assertIn("step 2: reward", said)
        self.assertIn("out/checkpoint-2", said)

    @unittest.skipUnless(HAVE_TORCH, "torch is not installed")
    def test_own_loop(self):
        self.assertIn("tensor([[", self.run_example("own_loop.py"))


if __name__ == "__main__":
    unittest.main()
