"""How the library is found, errors of threads apart, and the interpreter's lock."""
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import unittest

import grpo
from support import BUILD, SOURCE, Scratch, moody


def python(code, **environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("GRPO_LIBRARY", "GRPO_PLUGINS", "PYTHONPATH")}
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True)
    return done.stdout + done.stderr


class Finding(Scratch):
    SHOW = "import grpo; print(grpo.library_path()); print(grpo.plugin_directories())"

    def test_the_variable_wins(self):
        library = str(BUILD / "lib/libgrpo.so.1")
        self.assertIn(library, python(self.SHOW, GRPO_LIBRARY=library, PYTHONPATH=str(SOURCE / "python")))

    def test_a_wrong_variable_is_told_with_the_way_out(self):
        said = python(self.SHOW, GRPO_LIBRARY="/no/libgrpo.so", PYTHONPATH=str(SOURCE / "python"))
        for part in ("LibraryNotFound", "GRPO_LIBRARY=/no/libgrpo.so", "cmake --build"):
            self.assertIn(part, said)
        other = python(self.SHOW, GRPO_LIBRARY="libc.so.6", PYTHONPATH=str(SOURCE / "python"))
        self.assertIn("is not the libgrpo.so that this package needs", other)

    def test_beside_the_package(self):
        """A copy of the package with the library in it, as a wheel would have it."""
        package = self.scratch / "grpo"
        shutil.copytree(SOURCE / "python/grpo", package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(BUILD / "lib/libgrpo.so.1", package / "libgrpo.so.1")
        (package / "plugins").mkdir()
        shutil.copy(BUILD / "plugins/reward_math.so", package / "plugins")
        shutil.copy(BUILD / "bin/grpo-plugin-probe", package)
        said = python(self.SHOW + "; print(grpo.Reward('math').score(['#### 1'], ground_truth=['1']).scores)",
                      PYTHONPATH=str(self.scratch), GRPO_CACHE=str(self.scratch / "cache"))
        self.assertIn(str(package / "libgrpo.so.1"), said)
        self.assertIn("[1.0]", said)

    def test_nowhere_is_told_with_the_way_out(self):
        shutil.copytree(SOURCE / "python/grpo", self.scratch / "grpo", ignore=shutil.ignore_patterns("__pycache__"))
        said = python(self.SHOW, PYTHONPATH=str(self.scratch))
        if "LibraryNotFound" not in said:
            self.skipTest("the system has a libgrpo.so of its own: " + said)
        self.assertIn("set GRPO_LIBRARY", said)

    def test_importing_needs_no_library(self):
        self.assertEqual(python("import grpo; print('fine')", GRPO_LIBRARY="/no/libgrpo.so",
                                PYTHONPATH=str(SOURCE / "python")), "fine\n")


class Threads(Scratch):
    def test_another_thread_runs_while_a_reward_scores(self):
        """The interpreter takes its lock from nobody here (the switch interval), so this thread goes on only when another
        one gives the lock up. If the call kept it, this thread would find the call over whenever it came to look."""
        reward, interval = moody(), sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1000)
        for seconds in (0.2, 1, 5):  # the reward spins until its deadline; more than once, for a busy machine
            state = {"called": False, "result": None}

            def score():
                state["called"] = True
                state["result"] = reward.score(["slow"], timeout=seconds)

            thread = threading.Thread(target=score)
            thread.start()
            while not state["called"]:
                time.sleep(0)
            ran_meanwhile = state["result"] is None
            thread.join()
            self.assertEqual(state["result"].status, ["timeout"])
            if ran_meanwhile:
                return
        self.fail("no other thread ran while a reward scored")

    def test_errors_belong_to_their_thread(self):
        seen = {}

        def fail(name):
            for _ in range(20):
                try:
                    grpo.Tokenizer(f"/no/{name}")
                except grpo.Error as e:
                    seen.setdefault(name, set()).add(str(e))

        threads = [threading.Thread(target=fail, args=(str(i) * 4,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(seen), 4)
        for name, texts in seen.items():
            self.assertEqual(len(texts), 1)
            self.assertIn(name, texts.pop())


class Layout(unittest.TestCase):
    def test_structs_are_those_of_the_header(self):
        """The sizes that a C compiler sees in grpo/embed.h."""
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if not compiler:
            self.skipTest("no C compiler")
        from grpo import _library as l
        names = {l.ErrorText: "error", l.Text: "text", l.Texts: "texts", l.Ids: "ids", l.Components: "components",
                 l.RewardWanted: "reward_wanted", l.Column: "column", l.Batch: "batch", l.ScoreArrays: "scores",
                 l.Tokens: "tokens", l.Gradient: "gradient", l.TrainerWanted: "trainer_wanted"}
        lines = ["#include <grpo/embed.h>", "#include <stdio.h>", "int main(void) {"]
        for kind, name in names.items():
            lines.append(f'printf("{name} %d", (int)sizeof(grpo_embed_{name}));')
            lines += [f'printf(" %d", (int)offsetof(grpo_embed_{name}, {f[0]}));' for f in kind._fields_]
            lines.append('printf("\\n");')
        source = "\n".join(lines + ["return 0; }"])
        import ctypes
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "layout"
            subprocess.run([compiler, "-x", "c", "-", "-o", str(program), f"-I{SOURCE}/c_api/include"], input=source,
                           text=True, check=True)
            printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
        for line, (kind, name) in zip(printed, names.items()):
            own = [ctypes.sizeof(kind)] + [getattr(kind, f[0]).offset for f in kind._fields_]
            self.assertEqual(line, " ".join([name, *map(str, own)]))
        self.assertEqual(len(printed), len(names))


if __name__ == "__main__":
    unittest.main()
