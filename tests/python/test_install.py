"""pip install ./python: into a folder of the test's own, without a network."""
import importlib.util
import os
import shutil
import subprocess
import sys
import unittest

from support import SOURCE, Scratch


class Install(Scratch):
    def test_pip_install(self):
        import setuptools
        if int(setuptools.__version__.split(".")[0]) < 71 and not importlib.util.find_spec("wheel"):
            self.skipTest(f"setuptools {setuptools.__version__} builds no wheel without the package wheel; it takes a network "
                          "to get it: pip install wheel")
        copy = self.scratch / "python"  # setuptools writes beside its sources
        shutil.copytree(SOURCE / "python", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        target = self.scratch / "site"
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation",
                               "--no-deps", "--disable-pip-version-check", "--target", str(target), str(copy)],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((target / "grpo/py.typed").exists())
        said = subprocess.run([sys.executable, "-c", "import grpo; print(grpo.__file__, grpo.version())"],
                              env={**os.environ, "PYTHONPATH": str(target)}, capture_output=True, text=True)
        self.assertEqual(said.stdout.split(), [str(target / "grpo/__init__.py"), "0.1.0"], said.stderr)


if __name__ == "__main__":
    unittest.main()
