"""One idea in the words of three trainers: is the number that the completion ends with the right one?"""
import re


def last_number(text):
    found = re.findall(r"-?\d+", text)
    return found[-1] if found else None


# As for EasyR1: one sample, or `reward_inputs` with a list of them. The parts are metrics of their own.
def easyr1(reward_input, brief_weight=0.1):
    right = float(last_number(reward_input["response"]) == reward_input["ground_truth"])
    brief = float(len(reward_input["response"]) < 40)
    return {"overall": (1 - brief_weight) * right + brief_weight * brief, "accuracy": right, "brief": brief}


# As for TRL: lists, and a list back; every column of the data is an argument. None: no opinion.
def trl(completions, answer, **kwargs):
    texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
    return [None if a == "" else float(last_number(t) == a) for t, a in zip(texts, answer)]


# As for verl.
def verl(data_source, solution_str, ground_truth, extra_info=None):
    number = last_number(solution_str)
    return {"score": float(number == ground_truth), "no_number": number is None}
