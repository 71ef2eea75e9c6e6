"""Named as EasyR1 names its own: it must not stand in for Python's math, nor hide what lies beside it."""
import math as own_math

from helper_beside import twice


def compute_score(reward_input):
    return twice(own_math.floor(len(reward_input["response"]) + 0.5))
