"""What the tests share: the build's fakes, and a directory of their own."""
import os
import pathlib
import tempfile
import unittest

import grpo

BUILD = pathlib.Path(os.environ["GRPO_TEST_BUILD"])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
MOODY = BUILD / "tests/plugins/test_moody_rewards.so"
FAKE_MODEL = BUILD / "tests/fakes/fake_model.so"
DEMO_MODEL = SOURCE / "host/demo"


class Scratch(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.scratch = pathlib.Path(directory.name)

    def refused(self, kind, *parts):
        """with self.refused(grpo.Error, "names", "these"): the exception's text holds them."""
        test = self

        class Refused:
            def __enter__(self):
                return self

            def __exit__(self, exception_type, exception, traceback):
                test.assertIsNotNone(exception_type, "nothing was raised")
                if not issubclass(exception_type, kind):
                    return False
                for part in parts:
                    test.assertIn(part, str(exception))
                return True

        return Refused()


def moody(**arguments):
    return grpo.Reward("moody", plugins=[MOODY], **arguments)
