"""The objectives as losses that torch differentiates.

    loss = grpo.torch.Objective(objective="dapo", clip_high=0.28)(logprobs, advantages, old=old, mask=mask)
    loss.backward()
"""
from __future__ import annotations

from typing import Any

import torch

from . import algorithm


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logprobs: torch.Tensor, entropy: Any, objective: "Objective", advantages: Any,
                arrays: dict) -> torch.Tensor:
        result = algorithm.Objective.__call__(objective, logprobs, advantages, entropy=entropy, **arrays)
        to = dict(dtype=logprobs.dtype, device=logprobs.device)
        ctx.dlogprob = result.dlogprob.to(**to)
        ctx.dentropy = result.dentropy.to(**to) if result.dentropy is not None else None
        objective.metrics = result.metrics
        return torch.tensor(result.loss, **to)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple:
        return grad * ctx.dlogprob, grad * ctx.dentropy if ctx.dentropy is not None else None, None, None, None


class Objective(algorithm.Objective):
    """As grpo.Objective, but a call gives the loss as a tensor that depends on logprobs (and entropy). `metrics`: of the
    last call."""

    def __call__(self, logprobs: torch.Tensor, advantages: Any, *, entropy: Any = None, **arrays: Any) -> torch.Tensor:
        return _Loss.apply(logprobs, entropy, self, advantages, arrays)
