"""A reward as EasyR1 takes it: a list of {response, response_length, ground_truth} in, a list of scores by name out."""
import re

REWARD_NAME = "math"
REWARD_TYPE = "batch"


def last_boxed(text):
    found = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return found[-1].replace(",", "").strip() if found else None


def compute_score(reward_inputs, format_weight=0.1):
    scores = []
    for sample in reward_inputs:
        gold = sample["ground_truth"].split("####")[-1].replace(",", "").strip()
        answer = last_boxed(sample["response"])
        form = float(bool(re.search(r"<think>.*</think>.*\\boxed\{.+\}", sample["response"], re.DOTALL)))
        accuracy = float(answer == gold)
        scores.append({"overall": (1 - format_weight) * accuracy + format_weight * form, "format": form,
                       "accuracy": accuracy})
    return scores
