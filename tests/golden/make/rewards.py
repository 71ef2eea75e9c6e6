#!/usr/bin/env python3
"""Scores of the rewards in Python, for tests/rewards/golden.json.

Needs a Python with TRL 1.16 and math-verify. TRL's own functions give the repetition, cosine and overlong scores; the five
GSM8K rewards, and Open-R1's penalty over words and its cosine over characters, are stated here again from what those
recipes do. Usage: rewards.py > ../../rewards/golden.json
"""
import json
import math
import random
import re

from trl.rewards import get_cosine_scaled_reward, get_repetition_penalty_reward, get_soft_overlong_punishment

random.seed(7)

# ---- completions ----
GOOD = "<reasoning>\nShe has 3 + 4 = 7.\n</reasoning>\n<answer>\n7\n</answer>\n"
texts = [
    GOOD, GOOD[:-1], GOOD + "\n", GOOD + "\n\n", GOOD + " Well done.", "So: " + GOOD, GOOD + GOOD, "", "7", " 7 \n", "\n",
    GOOD.replace("She", "First this.\nThen she"), GOOD.replace("7\n</a", "7\n8\n</a"), GOOD.replace("\n", ""), GOOD.replace("\n", " "),
    GOOD.replace("\n", "\r\n"), GOOD.replace("<answer>", "<answer><answer>"), GOOD.replace("</answer>", ""), GOOD.replace("</reasoning>", ""),
    GOOD.replace("\n7\n", "\n7 \n"), GOOD.replace("\n7\n", "\n\u00a07\u3000\n"), GOOD.replace("\n7\n", "\n7.0\n"), GOOD.replace("\n7\n", "\n-7\n"),
    GOOD.replace("\n7\n", "\n1,007\n"), GOOD.replace("\n7\n", "\n$7\n"), GOOD.replace("\n7\n", "\n\n"), GOOD.replace("\n7\n", "\n\\boxed{7}\n"),
    "<answer>7</answer>", "<answer>7", "7</answer>", "</answer>7<answer>", "<reasoning>a</reasoning> \u2003\n<answer>7</answer> and more",
    "<reasoning>a</reasoning>b<answer>7</answer>", "<reasoning>a</reasoning></reasoning><answer>7</answer>",
    "<reasoning>a</reasoning><answer>7</reasoning><answer>8</answer>", "<reasoning>a</reasoning>\n<answer>7\n</answer><answer>8</answer>",
    "<reasoning>\n\n</reasoning>\n<answer>\n\n</answer>\n", "<reasoning>\n</reasoning>\n<answer>\n</answer>\n", "\n</reasoning>\n</reasoning>\n",
    "<reasoning>\n" * 2 + "a\n</reasoning>\n<answer>\n7\n</answer>\n\u00fcber \u20ac\n", "</reasoning><reasoning><answer></answer>",
    "<think>\nabc\n</think>\n<answer>\n7\n</answer>\n", "so the so the so the so the end", "The cat the Cat THE CAT sat",
    "a b c d e f g h i j", "no no no no no no no no no no no no", "one", "one two", "one two three", "x\ty\nx y  x\ry",
    "\\boxed{7}", "\\boxed{8}", "the answer is 7", "\\boxed{7} " + "and again, " * 30, "\\boxed{9} " + "and again, " * 30,
]
words = "red green blue one two three four five".split()
for n in [5, 20, 60]:
    for pool in [2, 4, 8]:
        texts.append(" ".join(random.choice(words[:pool]) for _ in range(n)))
pieces = ["<reasoning>", "</reasoning>", "<answer>", "</answer>", "\n", "\n", " ", "7", "a b"]
for _ in range(150):
    texts.append("".join(random.choice(pieces) for _ in range(random.randrange(3, 14))))
truths = ["3 + 4 = 7\n#### 7", "7", "#### $1,007", "It is 8.\n#### 8 "]

samples = []
for i, text in enumerate(texts):
    known = {}
    ids = [known.setdefault(w, 5 + len(known)) for w in re.findall(r"\w+|\W", text)]
    samples.append({"completion": text, "truth": truths[0] if i < 80 else truths[i % 4], "ids": ids})


# ---- the GSM8K recipe ----
def gold_of(truth):
    return truth.split("####")[1].strip().replace(",", "").replace("$", "") if "####" in truth else truth


def answer_of(text, tag="answer"):
    return text.split(f"<{tag}>")[-1].split(f"</{tag}>")[0].strip()


def correctness(s):
    return 2.0 if answer_of(s["completion"]) == gold_of(s["truth"]) else 0.0


def integer(s):
    return 0.5 if answer_of(s["completion"]).isdigit() else 0.0


def form(pattern, flags=0):
    return lambda s: 0.5 if re.match(pattern, s["completion"], flags) else 0.0


def strict(a="reasoning", b="answer"):
    return rf"^<{a}>\n.*?\n</{a}>\n<{b}>\n.*?\n</{b}>\n$"


def soft(a="reasoning", b="answer"):
    return rf"<{a}>.*?</{a}>\s*<{b}>.*?</{b}>"


def xml_count(s, a="reasoning", b="answer"):
    text, total = s["completion"], 0.0
    total += 0.125 if text.count(f"<{a}>\n") == 1 else 0
    total += 0.125 if text.count(f"\n</{a}>\n") == 1 else 0
    if text.count(f"\n<{b}>\n") == 1:
        total += 0.125
        total -= len(text.split(f"\n</{b}>\n")[-1]) * 0.001
    if text.count(f"\n</{b}>") == 1:
        total += 0.125
        total -= (len(text.split(f"\n</{b}>")[-1]) - 1) * 0.001
    return total


# ---- Open-R1 ----
def repeated_words(n, penalty):
    def score(s):
        w = s["completion"].lower().split()
        if len(w) < n:
            return 0.0
        grams = [tuple(w[i:i + n]) for i in range(len(w) - n + 1)]
        return (1 - len(set(grams)) / len(grams)) * penalty
    return score


# ---- TRL ----
def trl(function):
    def score(s):
        got = function(completion_ids=[s["ids"]], completions=[[{"content": s["completion"]}]], solution=[gold_of(s["truth"])])[0]
        return None if got is None else float(got)
    return score


BOXED = [s for s in samples if "\\boxed" in s["completion"] and "<" not in s["completion"]]  # where all graders find the same answer


def cosine_characters(length, right_range, wrong_range):
    """Open-R1's, which counts characters; held at the end, where Open-R1's own goes up again."""
    def score(s):
        right = "\\boxed{7}" in s["completion"]
        start, end = right_range if right else wrong_range
        return end + 0.5 * (start - end) * (1 + math.cos(min(len(s["completion"]) / length, 1.0) * math.pi))
    return score


rewards = []


def reward(library, component, options, score, origin, over=None):
    rows = samples if over is None else over
    rewards.append({"library": library, "component": component, "options": options, "origin": origin,
                    "samples": [samples.index(s) for s in rows], "scores": [score(s) for s in rows]})


RECIPE = "the GSM8K recipe"
reward("reward_gsm8k", "gsm8k_correctness", {}, correctness, RECIPE)
reward("reward_gsm8k", "gsm8k_integer", {}, integer, RECIPE)
reward("reward_gsm8k", "gsm8k_strict_format", {}, form(strict(), re.DOTALL), RECIPE)
reward("reward_gsm8k", "gsm8k_strict_format", {"dotall": False}, form(strict()), RECIPE + ", first edition")
reward("reward_gsm8k", "gsm8k_strict_format", {"reasoning_tag": "think"}, form(strict("think"), re.DOTALL), RECIPE)
reward("reward_gsm8k", "gsm8k_soft_format", {}, form(soft(), re.DOTALL), RECIPE)
reward("reward_gsm8k", "gsm8k_soft_format", {"dotall": False}, form(soft()), RECIPE + ", first edition")
reward("reward_gsm8k", "gsm8k_xml_count", {}, xml_count, RECIPE)
reward("reward_gsm8k", "gsm8k_xml_count", {"reasoning_tag": "think"}, lambda s: xml_count(s, "think"), RECIPE)
for n, penalty in [(1, -1.0), (2, -0.5), (3, -1.0), (5, -2.0), (20, -1.0)]:
    reward("reward_repetition", "repetition", {"ngram_size": n, "max_penalty": penalty}, trl(get_repetition_penalty_reward(n, penalty)),
           "TRL")
    reward("reward_repetition", "repetition", {"ngram_size": n, "max_penalty": penalty, "unit": "words"}, repeated_words(n, penalty),
           "Open-R1")
for most, cache in [(30, 10), (60, 60), (20, 5)]:
    reward("reward_length", "length", {"form": "overlong", "minimum": most - cache, "maximum": most},
           trl(get_soft_overlong_punishment(most, cache)), "TRL, DAPO eq. 13")
for most, bounds in [(100, (-1.0, -0.5, 0.5, 1.0)), (20, (-10.0, 0.0, 1.0, 2.0))]:
    names = ("min_value_wrong", "max_value_wrong", "min_value_correct", "max_value_correct")
    values = dict(zip(names, bounds))
    reward("reward_length", "length", {"form": "cosine", "maximum": most, **values}, trl(get_cosine_scaled_reward(most, *bounds)), "TRL",
           BOXED)
    reward("reward_length", "length", {"form": "cosine", "maximum": most, "unit": "characters", **values},
           cosine_characters(most, (bounds[3], bounds[2]), (bounds[0], bounds[1])), "Open-R1", BOXED)

print("{\"samples\":[")
print(",\n".join(json.dumps(s, ensure_ascii=False, separators=(",", ":")) for s in samples))
print("],\"rewards\":[")
print(",\n".join(json.dumps(r, separators=(",", ":")) for r in rewards))
print("]}")
