"""Advantages, and a loss that torch differentiates, in a training loop of one's own."""
import grpo
import grpo.torch
import torch

objective = grpo.torch.Objective(objective="dapo", clip_high=0.28)


def loss_of(logprobs, old_logprobs, mask, rewards, group_size):
    """logprobs, old_logprobs, mask: [completions, tokens]. rewards: [completions], NaN where there is none."""
    advantages = grpo.advantages(rewards, group_size)
    return objective(logprobs, advantages, old=old_logprobs, mask=mask)


if __name__ == "__main__":
    logprobs = torch.full((4, 3), -1.0, requires_grad=True)
    loss = loss_of(logprobs, logprobs.detach(), torch.ones(4, 3), torch.tensor([1.0, 0.0, 0.0, 1.0]), group_size=4)
    loss.backward()
    print(loss.item(), logprobs.grad, objective.metrics["ratio/mean"])
