"""Rewards that do next to nothing, for bench_python_reward."""


def sample(reward_input):
    return 1.0


def batch(reward_inputs):
    return [1.0] * len(reward_inputs)


def trl(completions, **kwargs):
    return [1.0] * len(completions)
