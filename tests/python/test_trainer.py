"""A trainer step by step, over a model that is a plugin."""
import json
import unittest

import grpo
from support import DEMO_MODEL, FAKE_MODEL, Scratch


class Trainer(Scratch):
    def setUp(self):
        super().setUp()
        rows = [{"prompt": f"{i}+1=", "answer": str(i + 1)} for i in range(8)]
        (self.scratch / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.config = {
            "run": {"output_dir": "out", "max_steps": 3, "seed": 5},
            "data": {"path": "data.jsonl", "raw_prompt": True},
            "model": {"plugin": "fake", "path": str(DEMO_MODEL)},
            "sampler": {"max_new_tokens": 5},
            "rewards": [{"plugin": "length", "options": {"form": "short", "minimum": 1, "maximum": 5}}],
            "algorithm": {"group_size": 3, "prompts_per_step": 2},
            "optimizer": {"learning_rate": 0.01},
            "checkpoint": {"final": False},
        }
        self.plugins = grpo.plugin_directories() + [FAKE_MODEL]

    def open(self, config=None, *overrides, **more):
        return grpo.Trainer(config or self.config, overrides, plugins=self.plugins, base=self.scratch, **more)

    def test_step_by_step(self):
        seen = []
        with self.open(on_step=lambda step, metrics: seen.append((step, metrics["loss"]))) as trainer:
            first = trainer.step()
            self.assertEqual(first["step"], 1)
            self.assertTrue(trainer.save().endswith("checkpoint-1"))
            rest = list(trainer)
            self.assertEqual([m["step"] for m in rest], [2, 3])
            self.assertIsNone(trainer.step())
            state = trainer.state
        self.assertEqual(seen, [(m["step"], m["loss"]) for m in [first, *rest]])
        self.assertEqual((state["step"], state["ended"]), (3, True))
        with self.open(None, "run.resume=must") as trainer:
            self.assertEqual([m["loss"] for m in trainer], [m["loss"] for m in rest])

    def test_the_same_from_a_file(self):
        (self.scratch / "run.yaml").write_text(json.dumps(self.config))
        with grpo.Trainer(self.scratch / "run.yaml", ["run.max_steps=1"], plugins=self.plugins) as trainer:
            self.assertEqual(len(list(trainer)), 1)
            self.assertEqual(trainer.state["output_dir"], str(self.scratch / "out"))

    def test_a_callback_that_raises_ends_the_run(self):
        def stop(step, metrics):
            raise KeyError("enough")

        with self.open(on_step=stop) as trainer:
            with self.refused(KeyError, "enough"):
                trainer.step()
            self.assertIsNone(trainer.step())

    def test_the_transformer(self):
        """The model that ships, of which this library knows nothing: a few random weights, three steps."""
        if not any(c["name"] == "transformer" for c in grpo.components(kind="model")):
            self.skipTest("the plugin transformer is not built (GRPO_WITH_LIBTORCH)")
        config = {**self.config, "model": {"plugin": "transformer", "path": str(DEMO_MODEL), "init": "random"}}
        with self.open(config) as trainer:
            losses = [(m["loss"], m["grad_norm"]) for m in trainer]
        self.assertEqual(len(losses), 3)
        self.assertTrue(any(norm > 0 for _, norm in losses))

    def test_mistakes(self):
        with self.refused(grpo.Error, "max_steps"):
            self.open({**self.config, "run": {"max_step": 1}})
        with self.open() as trainer:
            with self.refused(grpo.Error, "open in this process already"):
                self.open()
        with self.refused(grpo.Error, "not open"):
            trainer.__class__.step(_closed())


def _closed():
    trainer = grpo.Trainer.__new__(grpo.Trainer)
    trainer._handle = None
    return trainer


if __name__ == "__main__":
    unittest.main()
