"""grpo: reward plugins, objectives, text and training, over libgrpo.so.

    import grpo

    math = grpo.Reward("math", options={"wrong": -0.5})          # TRL, verl and lm-evaluation-harness take it as it is
    math.score(["so it is \\\\boxed{4}"], ground_truth=["4"]).scores

    grpo.advantages([1.0, 0.0, 0.0, 1.0], group_size=4)
    grpo.extract("The answer is 42.")
    with grpo.Trainer("run.yaml") as trainer:
        for metrics in trainer:
            print(metrics["step"], metrics["reward"])

The library is found through GRPO_LIBRARY, beside this package, in the build tree that this package lies in, or where the
system keeps libraries. Importing loads nothing; the first use does. Every call releases the interpreter's lock.
"""
from ._library import Error, LibraryNotFound, library_path, set_log_level, version
from .algorithm import Objective, ObjectiveResult, advantages, objective, objective_row
from .plugins import Plugins, components, plugin_directories
from .reward import Reward, Scores
from .text import Answer, ChatTemplate, Tokenizer, extract, extract_gold, find_answer, grade
from .trainer import Trainer

__all__ = [
    "Answer", "ChatTemplate", "Error", "LibraryNotFound", "Objective", "ObjectiveResult", "Plugins", "Reward", "Scores",
    "Tokenizer", "Trainer", "advantages", "components", "extract", "extract_gold", "find_answer", "grade", "library_path",
    "objective", "objective_row", "plugin_directories", "set_log_level", "version",
]
__version__ = "0.1.0"
