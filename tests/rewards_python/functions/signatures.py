"""Rewards in the styles of three trainers. The test and in_process.py call the same ones."""
import asyncio

KWARG = 0.25


# EasyR1
def easy(reward_input, format_weight=0.1):
    text = reward_input["response"]
    right = float(text == reward_input["ground_truth"])
    form = float(text.startswith("<"))
    return {"overall": (1 - format_weight) * right + format_weight * form, "format": form, "accuracy": right,
            "length": reward_input["response_length"]}


def easy_batch(reward_inputs, format_weight=0.1):
    return [easy(one, format_weight) for one in reward_inputs]


# TRL
def trl_plain(prompts, completions, answer, **kwargs):
    return [None if not c else float(c == a) + len(p) / 7 for p, c, a in zip(prompts, completions, answer)]


def trl_chat(completions, **kwargs):
    return [len(c[0]["content"]) / 3 if c[0]["role"] == "assistant" else -1 for c in completions]


def trl_prompt_chat(prompts, completions, **kwargs):
    return [float(len(p)) + float(len(p[-1]["content"])) + len(c[0]["content"]) for p, c in zip(prompts, completions)]


def trl_ids(completion_ids, level, tags, **kwargs):
    assert "completions" in kwargs and "prompt" not in kwargs
    return [sum(ids) / 10 + lv + len(t) for ids, lv, t in zip(completion_ids, level, tags)]


def trl_strict(completions, answer):
    return [float(c == a) for c, a in zip(completions, answer)]


def trl_group(prompts, completions, **kwargs):
    """A completion against the others of its prompt."""
    out = []
    for p, c in zip(prompts, completions):
        others = [d for q, d in zip(prompts, completions) if q == p]
        out.append(float(len(c) >= max(map(len, others))))
    return out


async def trl_async(completions, **kwargs):
    await asyncio.sleep(0.01)
    return [float(len(c)) for c in completions]


def trl_state(completions, trainer_state, log_metric, log_extra, **kwargs):
    log_metric("lengths", sum(map(len, completions)))
    log_extra("texts", completions)
    return [float(trainer_state.global_step)] * len(completions)


def trl_numpy(completions, **kwargs):
    class Scalar:
        def __init__(self, x):
            self.x = x

        def __float__(self):
            return self.x

    return (Scalar(len(c) / 4) for c in completions)


# verl
def verl(data_source, solution_str, ground_truth, extra_info=None):
    right = solution_str == ground_truth
    return {"score": 1.0 if right else -0.5, "acc": right, "pred": solution_str} if data_source == "dict" else float(right)


def verl_extra(data_source, solution_str, ground_truth, extra_info=None, bonus=0):
    return extra_info["index"] + bonus


def verl_batch(data_sources, solution_strs, ground_truths, extra_infos, bonus=0):
    return [verl_extra(*one, bonus=bonus) for one in zip(data_sources, solution_strs, ground_truths, extra_infos)]


async def verl_async(data_source, solution_str, ground_truth, extra_info=None):
    await asyncio.sleep(0.2)
    if solution_str == "bad":
        raise RuntimeError("the judge hung up")
    return float(len(solution_str))


class Judge:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, completions, **kwargs):
        return [self.scale * len(c) for c in completions]


judge = Judge(0.5)
