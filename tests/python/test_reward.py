"""A reward as TRL, verl and lm-evaluation-harness call it. No NumPy."""
import copy
import gc
import math
import multiprocessing
import pickle
import threading
import time
import unittest
import warnings

import grpo
from support import DEMO_MODEL, MOODY, Scratch, moody

BOXED = [r"so \boxed{4}", r"\boxed{5}", "no idea"]


class Scoring(Scratch):
    def test_a_time_limit_is_a_number_of_seconds(self):
        for seconds in (1e12, float("inf"), 3600, None, 0):
            self.assertEqual(moody().score(["four"], timeout=seconds).status, ["ok"])
        for seconds in (-1, float("nan")):
            with self.assertRaisesRegex(ValueError, "seconds above 0"):
                moody().score(["four"], timeout=seconds)

    def test_every_part_of_an_answer(self):
        scores = grpo.Reward("math", {"wrong": -0.5, "missing": -1}).score(BOXED, ground_truth=["4", "4", "4"])
        self.assertEqual(scores.scores, [1.0, -0.5, -1.0])
        self.assertEqual(scores.status, ["ok"] * 3)
        self.assertEqual(scores.components, {"accuracy": [1, 0, 0], "format": [1, 1, 0]})
        self.assertEqual((len(scores), scores[1]), (3, -0.5))

    def test_prompts_and_truths_are_one_for_each_completion(self):
        """Too few are told by name; they are no missing column, whose score would be None."""
        reward = grpo.Reward("math")
        with self.assertRaisesRegex(ValueError, "math: 1 prompts for 3 completions"):
            reward(prompts=["q"], completions=BOXED, answer=["4"] * 3)
        with self.assertRaisesRegex(ValueError, "1 ground truths .'answer'. for 3 completions"):
            reward(prompts=["q"] * 3, completions=BOXED, answer=["4"])

    def test_what_is_missing_is_none_and_says_why(self):
        scores = moody().score(["four", "error", "nan", "na"])
        self.assertEqual(scores.scores, [4, None, None, None])
        self.assertEqual(scores.status, ["ok", "error", "error", "not_applicable"])
        self.assertEqual(scores.messages[1], "a bad sample")
        self.assertIn("NaN", scores.messages[2])

    def test_every_call_can_be_held_against_the_contract(self):
        """A layer of the SDK, by a key of the configuration."""
        scores = moody(settings={"check_plugins": True}).score(["four", "nan"])
        self.assertEqual(scores.status, ["ok", "error"])
        self.assertIn("[reward.score.nan]", scores.messages[1])

    def test_a_timeout_is_told(self):
        scores = moody().score(["four", "slow"], timeout=0.001)
        self.assertEqual((scores.scores, scores.status), ([4, None], ["ok", "timeout"]))
        self.assertEqual(moody(settings={"timeout": 0.001}).score(["slow"]).status, ["timeout"])

    def test_groups_ids_and_lengths(self):
        whole = grpo.Reward("whole", plugins=[MOODY])
        scores = whole.score(["a", "b", "c"], rows=[0, 0, 1], prompts=["p", "q"], finish=["stop", "length", "stop"],
                             completion_ids=[[1], [], [2, 3]], prompt_ids=[[7], [8]], step=3,
                             columns={"i": [1, 2], "f": [0.5, None], "t": ["x", None], "j": [{"a": 1}, [2]], "b": [True, False]})
        self.assertEqual(scores.scores, [3, 3, 3])
        self.assertTrue(whole.describe()["whole_batch"])

    def test_any_text_gets_through(self):
        scores = moody().score(["", "\0\0", "\ud800", "\U0001f600", "x" * 100000])
        self.assertEqual(scores.scores, [0, 2, 9, 4, 100000])  # a lone surrogate: three bytes, each U+FFFD

    def test_an_empty_batch(self):
        self.assertEqual(moody().score([]).scores, [])

    def test_mistakes_name_the_way_out(self):
        with self.refused(grpo.Error, "'maths'", "math"):
            grpo.Reward("maths")
        with self.refused(grpo.Error, "wrong", "wron"):
            grpo.Reward("math", {"wron": 1})
        with self.refused(grpo.Error, "timeout_second", "timeout_seconds"):
            grpo.Reward("math", settings={"timeout_second": 1})
        with self.refused(grpo.Error, "/no/such/folder"):
            grpo.Reward("math", plugins="/no/such/folder")
        with self.refused(ValueError, "rows has 1 elements for 2"):
            moody().score(["a", "b"], rows=[0])
        with self.refused(grpo.Error, "batch.row[1] is 5"):
            moody().score(["a", "b"], rows=[0, 5], prompts=["p"])
        reward = moody()
        reward.close()
        with self.refused(grpo.Error, "closed"):
            reward.score(["a"])

    def test_pickled_and_copied(self):
        reward = pickle.loads(pickle.dumps(grpo.Reward("math", {"wrong": -2}, truth="answer", label="m")))
        self.assertEqual(reward.score(BOXED, ground_truth=["4"] * 3).scores, [1, -2, 0])
        self.assertEqual((reward.__name__, reward.truth), ("m", "answer"))

    def test_copies_are_of_the_same_kind_and_keep_what_was_set(self):
        class Mine(grpo.Reward):
            def __init__(self):
                super().__init__("math", {"wrong": -2})
                self.extra = [1]
        reward = Mine()
        reward.__name__ = "renamed"
        for other in (copy.copy(reward), copy.deepcopy(reward)):
            reward.extra.append(2)
            self.assertIs(type(other), Mine)
            self.assertEqual(other.__name__, "renamed")
            self.assertEqual(other.extra[0], 1)
            reward_scores = other.score(BOXED, ground_truth=["4"] * 3).scores
            self.assertEqual(reward_scores, [1, -2, 0])
            other.close()
        self.assertEqual(reward.score(BOXED, ground_truth=["4"] * 3).scores, [1, -2, 0])

    def test_a_forked_child_opens_its_own(self):
        isolated = grpo.Reward("math", settings={"isolate": True})
        rewards = [grpo.Reward("math"), isolated, grpo.Reward("math", tokenizer=grpo.Tokenizer(DEMO_MODEL))]
        closed = grpo.Reward("math")
        closed.close()
        for reward in rewards:
            self.assertEqual(reward.score(BOXED, ground_truth=["4"] * 3).scores[0], 1)

        def child():
            for reward in rewards:
                assert reward.score(BOXED, ground_truth=["4"] * 3).scores[0] == 1
                assert reward.describe()["name"] == "math"
            del reward
            rewards.clear()
            gc.collect()
            try:
                closed.score(["a"])
            except grpo.Error as e:
                assert "closed" in str(e), e
            else:
                raise AssertionError("a closed reward was opened again")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which is what this is about
            worker = multiprocessing.get_context("fork").Process(target=child)
            worker.start()
        worker.join()
        self.assertEqual(worker.exitcode, 0)
        for reward in rewards:  # the child has closed what was its own, and nothing of this process
            self.assertEqual(reward.score(BOXED, ground_truth=["4"] * 3).scores[0], 1)

    def test_it_may_be_forgotten_while_another_thread_scores(self):
        for _ in range(20):
            reward = moody()
            score, found = reward.score, []
            thread = threading.Thread(target=lambda: found.append(score(["good"] * 500).scores))
            thread.start()
            del reward, score
            gc.collect()
            thread.join()
            self.assertEqual(found, [[4.0] * 500])

    def test_wrong_types_are_told(self):
        with self.refused(TypeError, "options is a list"):
            grpo.Reward("math", options=[1])
        with self.refused(TypeError, "settings is a str"):
            grpo.Reward("math", settings="isolate")
        with self.refused(grpo.Error, "math.record is 5; it must be a text"):
            grpo.Reward("math", settings={"record": 5})
        with self.refused(grpo.Error, "math.isolate", "true or false"):
            grpo.Reward("math", settings={"isolate": 3})
        with self.refused(ValueError, "options: "):
            grpo.Reward("math", options={"wrong": float("nan")})
        with self.refused(TypeError, "options: "):
            grpo.Reward("math", options={"wrong": object()})
        with self.refused(TypeError, "tokenizer is a str"):
            grpo.Reward("math", tokenizer="gpt2")
        with self.refused(TypeError, "timeout is a str"):
            grpo.Reward("math", timeout="5")
        with self.refused(ValueError, "seconds above 0"):
            grpo.Reward("math", timeout=-1)
        with self.refused(TypeError, "completions is one text"):
            moody().score("good")

    def test_listing(self):
        found = {c["name"]: c for c in grpo.components(kind="reward")}
        self.assertIn("wrong", found["math"]["options"])
        self.assertTrue(found["math"]["path"].endswith("reward_math.so"))

    def test_close_waits_for_the_calls_of_other_threads(self):
        for _ in range(10):
            reward = moody()
            def score():
                try:
                    while True:
                        reward.score(["good"] * 200)
                except grpo.Error as e:
                    said.append(str(e))
            said = []
            threads = [threading.Thread(target=score) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.02)
            reward.close()
            for thread in threads:
                thread.join()
            self.assertEqual(said, ["it is closed"] * 3)


class AsTrlCallsIt(Scratch):
    def test_plain(self):
        reward = grpo.Reward("math")
        self.assertEqual(reward.__name__, "math")
        self.assertEqual(reward(prompts=["2+2?"] * 3, completions=BOXED, completion_ids=[[1], [2], [3]],
                                answer=["4"] * 3, trainer_state=object()), [1, 0, 0])

    def test_conversations(self):
        prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "2+2?"}]}]
        completions = [[{"role": "assistant", "content": text}] for text in BOXED]
        self.assertEqual(grpo.Reward("math")(prompts=[prompt] * 3, completions=completions, completion_ids=None,
                                             solution=["#### 4"] * 3), [1, 0, 0])

    def test_a_column_has_a_value_for_each_completion(self):
        math = grpo.Reward("math")
        with self.refused(ValueError, "math: the column 'level' has 2 values for 3 completions"):
            math(prompts=["p"] * 3, completions=BOXED, answer=["4"] * 3, level=[1, 2])
        with self.refused(TypeError, "math: the column 'answer' is one str"):
            math(prompts=["p"] * 3, completions=BOXED, answer="4")
        # What is no column at all is not the reward's.
        self.assertEqual(math(prompts=["p"] * 3, completions=BOXED, answer=["4"] * 3, trainer=object(), more=None,
                              hook=print), [1, 0, 0])

    def test_no_truth_is_none_and_a_named_one_must_be_there(self):
        self.assertEqual(grpo.Reward("math")(prompts=["a"], completions=["4"], completion_ids=[[1]]), [None])
        with self.refused(KeyError, "'gold_answer'", "answer"):
            grpo.Reward("math", truth="gold_answer")(prompts=["a"], completions=["4"], completion_ids=[[1]], answer=["4"])

    def test_groups_are_completions_of_one_prompt(self):
        class Seen(grpo.Reward):
            def score(self, completions, **arguments):
                self.seen = arguments
                return super().score(completions, **arguments)

        reward = Seen("moody", plugins=[MOODY])
        reward(prompts=["p", "p", "q", "q"], completions=["a"] * 4, completion_ids=None, answer=["1", "1", "2", "2"])
        self.assertEqual(reward.seen["rows"], [0, 0, 1, 1])
        self.assertEqual(reward.seen["ground_truth"], ["1", "2"])
        self.assertEqual(reward.seen["columns"], {"answer": ["1", "2"]})
        reward(prompts=["p", "p"], completions=["a"] * 2, completion_ids=None, answer=["1", "2"])
        self.assertEqual(reward.seen["rows"], [0, 1])

    def test_failures_are_none_with_a_warning_or_raised(self):
        logged = {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            got = moody()(prompts=["p"] * 3, completions=["four", "error", "na"], completion_ids=None,
                          log_metric=logged.__setitem__)
        self.assertEqual(got, [4, None, None])
        self.assertIn("1 of 3 completions have no score: a bad sample", str(caught[0].message))
        self.assertEqual(logged, {"moody/errors": 1, "moody/mean": 7})
        with self.refused(grpo.Error, "a bad sample"):
            moody(on_error="raise")(prompts=["p"], completions=["error"], completion_ids=None)

    def test_columns_that_are_no_json_are_left_out_aloud(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertEqual(moody()(prompts=["p"] * 2, completions=["abc"] * 2, completion_ids=None,
                                     image=[None, object()]), [3, 3])
        self.assertIn("'image' does not reach the reward", str(caught[0].message))

    def test_numbers_that_json_has_not(self):
        self.assertEqual(moody()(prompts=[[{"role": "user", "content": [{"type": "image", "image": object()}]}]],
                                 completions=["abc"], completion_ids=None, nested=[{"a": [math.nan, 1]}],
                                 large=[2**70]), [3])


class AsVerlCallsIt(Scratch):
    def test_compute_score(self):
        compute_score = grpo.Reward("math", {"wrong": -0.5})
        arguments = dict(data_source="gsm8k", ground_truth="4", extra_info={"index": 3, "split": "train"})
        self.assertEqual(compute_score(solution_str=BOXED[0], **arguments), 1.0)
        self.assertEqual(compute_score(solution_str=BOXED[1], **arguments), -0.5)
        self.assertIs(type(compute_score(solution_str=BOXED[1], **arguments)), float)
        self.assertEqual(compute_score.compute_score("gsm8k", BOXED[0], "4"), 1.0)

    def test_the_batch_manager(self):
        self.assertEqual(grpo.Reward("math")(data_sources=["a"] * 3, solution_strs=BOXED, ground_truths=["4"] * 3,
                                             extra_infos=[{"k": 1}, None, {"l": "x"}]), [1, 0, 0])

    def test_no_score_is_never_a_zero(self):
        with self.refused(grpo.Error, "ground truth", "missing=NUMBER"):
            grpo.Reward("math")(data_source="x", solution_str="4", ground_truth=None, extra_info=None)
        self.assertEqual(grpo.Reward("math", missing=-9)(data_source="x", solution_str="4", ground_truth=None), -9)


class AsLmEvalCallsIt(Scratch):
    def test_process_results(self):
        process_results = grpo.Reward("math", label="accuracy").process_results
        doc = {"question": "2+2?", "answer": "so\n#### 4", "level": 1}
        self.assertEqual(process_results(doc, [BOXED[0]]), {"accuracy": 1.0})
        self.assertEqual(process_results(doc, [[BOXED[0], BOXED[1]]]), {"accuracy": 0.5})  # repeats

    def test_metric(self):
        metric = grpo.Reward("math").metric
        self.assertEqual(metric(references=["4"], predictions=["#### 4"]), 1.0)
        self.assertEqual(metric(references=["4", "5"], predictions=["#### 4", "#### 4"], anything=1), 0.5)


class Lists(unittest.TestCase):
    """Advantages and objectives from lists, without NumPy."""

    def test_advantages(self):
        got, about = grpo.advantages([1, 0, 0, math.nan], group_size=4, epsilon=0, statistics=True)
        self.assertAlmostEqual(got[0], 2 / math.sqrt(3))
        self.assertEqual((got[3], about["not_applicable"]), (0, 1))
        self.assertEqual(grpo.advantages([3, 1, 5], group_start=[0, 2, 3], kind="none"), [1, -1, 5])

    def test_objective(self):
        ragged = grpo.objective([[-1.0, -2.0], [-3.0]], [1, -1], options={"objective": "grpo"})
        self.assertEqual((ragged.loss, ragged.dlogprob), (0.0, [[-0.25, -0.25], [0.5]]))
        row = grpo.objective_row({"per_token_logps": [[-1.0, -2.0]], "advantages": [1.0]})
        self.assertEqual(row["dlogp"], [[-0.5, -0.5]])

    def test_mistakes(self):
        for arguments, part in ((dict(clip_hi=1), "clip_high"), (dict(objective="best"), "dapo")):
            with self.assertRaises(grpo.Error) as caught:
                grpo.Objective(**arguments)
            self.assertIn(part, str(caught.exception))
        with self.assertRaisesRegex(ValueError, "2 elements where 3"):
            grpo.objective([[-1.0, -2.0], [-3.0]], [1, -1], old=[-1.0, -2.0])
        with self.assertRaisesRegex(ValueError, "group_size=3"):
            grpo.advantages([1, 2], group_size=3)


if __name__ == "__main__":
    unittest.main()
