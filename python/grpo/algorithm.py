"""Advantages and objectives (loss and gradient) on the caller's arrays."""
from __future__ import annotations

import ctypes
import json
from array import array
from ctypes import byref, c_double, c_void_p
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from ._arrays import View, like, view
from ._library import Gradient, Handle, Text, Tokens, asked, call, taken
from ._pack import address, starts, zeros


def advantages(rewards: Any, group_size: Optional[int] = None, *, group_start: Optional[Sequence[int]] = None,
               kind: str = "group", epsilon: float = 1e-4, statistics: bool = False) -> Any:
    """From rewards to advantages, group by group.

    rewards: an array or list, NaN where no reward applies. Groups lie together: group_size samples each, or group g is
    [group_start[g], group_start[g + 1]). kind: "group" (GRPO), "none" (Dr. GRPO), "batch", "rloo", "passk",
    "reinforce_pp" and the others of docs/algorithms.md, but "gdpo", which needs every reward by itself: objective_row
    takes them. What weighs by length ("opo", "reinforce_pp") takes all completions for equally long. epsilon is added
    to the standard deviation. The result is of the rewards' kind (fp64); with statistics it is (advantages, dict).
    """
    given = view(rewards, "d")
    if group_start is None:
        if not group_size or given.n % group_size:
            raise ValueError(f"advantages: {given.n} rewards do not make groups of group_size={group_size}; "
                             "give the size of a group, or group_start")
        start = array("q", range(0, given.n + 1, group_size))
    else:
        start = array("q", group_start)
    out, text = zeros("d", given.n), Text()
    call("advantages", kind.encode(), given.n, given.address, len(start) - 1, address(start), epsilon, address(out),
         byref(text) if statistics else None)
    made = given.back(out)
    return (made, json.loads(taken(text))) if statistics else made


@dataclass
class ObjectiveResult:
    loss: float
    dlogprob: Any  # dL/dlogprob, in the shape and kind of the log-probabilities
    dentropy: Any  # dL/dentropy, or None without entropies
    metrics: Dict[str, Optional[float]]


class Objective:
    """An objective: options as in the section `algorithm` of a configuration, or by TRL's and verl's names
    (docs/algorithms.md has them all).

        dapo = grpo.Objective(objective="dapo", clip_high=0.28)
        result = dapo(logprobs, advantages, old=old_logprobs, mask=mask)
        logprobs.backward(result.dlogprob)                      # torch

    grpo.torch.Objective is the same as a loss that torch differentiates.
    """

    def __init__(self, options: Optional[Mapping[str, Any]] = None, **more: Any):
        self.options = {**(options or {}), **more}
        handle = c_void_p()
        call("objective_open", json.dumps(self.options).encode(), byref(handle))
        self._handle = Handle(handle, "objective_close")

    def __call__(self, logprobs: Any, advantages: Any, *, old: Any = None, ref: Any = None, sampled: Any = None,
                 entropy: Any = None, mask: Any = None, weight: Any = None, start: Optional[Sequence[int]] = None,
                 total_rows: float = 0, total_tokens: float = 0, max_completion_length: float = 0,
                 out: Any = None) -> ObjectiveResult:
        """Loss and gradient.

        logprobs: [rows, tokens] with a mask over the padding, or ragged: lists of lists, or flat with start [rows + 1].
        fp32 and fp64 are taken as they are; other types are converted. old, ref, sampled, entropy, mask, weight: the
        same shape. advantages: [rows], or the shape of logprobs. total_rows, total_tokens: of the whole optimizer step,
        where these are a part of it. max_completion_length: for dr_grpo; 0: the second dimension of logprobs.
        out: an array of the caller's for the gradient, written in place.
        """
        logp = view(logprobs, "fd")
        ends = _starts(logp, start)
        rows, kept = len(ends) - 1, [logp, ends]
        tokens = Tokens(flags=1 if logp.typecode == "d" else 0, n_rows=rows, start=address(ends), logprob=logp.address,
                        total_rows=total_rows, total_tokens=total_tokens,
                        max_completion_length=max_completion_length or (logp.shape[1] if len(logp.shape) == 2 else 0))

        def set_array(name: str, given: Any, typecode: str, n: int = logp.n) -> None:
            if given is None:
                return
            v = view(given, typecode)
            if v.n != n:
                raise ValueError(f"objective: {name} has {v.n} elements where {n} are expected")
            kept.append(v)
            setattr(tokens, name, v.address)

        set_array("old_logprob", old, logp.typecode)
        set_array("reference_logprob", ref, logp.typecode)
        set_array("sampled_logprob", sampled, logp.typecode)
        set_array("entropy", entropy, logp.typecode)
        set_array("mask", mask, "B")
        set_array("policy_weight", weight, "d")
        of_rows = view(advantages, "d")
        by_row = of_rows.n == rows and len(of_rows.shape) == 1
        set_array("advantage" if by_row else "token_advantage", advantages, "d", rows if by_row else logp.n)

        loss, metrics = c_double(), Text()
        gradient = Gradient(loss=ctypes.pointer(loss), metrics=ctypes.pointer(metrics))
        dlogp = _gradient(logp, out)
        gradient.logprob = dlogp[1].address
        dentropy = like(logp) if entropy is not None else None
        if dentropy:
            gradient.entropy = dentropy[1].address
        call("objective_evaluate", self._handle, byref(tokens), byref(gradient))
        return ObjectiveResult(loss.value, out if out is not None else _as_given(logp, dlogp),
                               _as_given(logp, dentropy) if dentropy else None, json.loads(taken(metrics)))


def _starts(logp: View, start: Optional[Sequence[int]]) -> array:
    if start is not None:
        return array("q", start)
    if len(logp.shape) == 2:
        rows, width = logp.shape
        return array("q", [i * width for i in range(rows + 1)])
    lengths = getattr(logp, "lengths", None)
    if lengths is None:
        raise ValueError("objective: flat log-probabilities need start, [rows + 1]: where each row begins")
    return starts(lengths)


def _gradient(logp: View, out: Any) -> Tuple[Any, View]:
    if out is None:
        return like(logp)
    v = view(out, logp.typecode)
    if v.n != logp.n or not v.in_place:
        raise ValueError("objective: out must be a contiguous array in the type and size of the log-probabilities")
    return out, v


def _as_given(logp: View, made: Tuple[Any, View]) -> Any:
    return made[0] if logp.like else logp.back(made[0])


def objective(logprobs: Any, advantages: Any, *, old: Any = None, ref: Any = None, sampled: Any = None,
              entropy: Any = None, mask: Any = None, weight: Any = None, start: Optional[Sequence[int]] = None,
              total_rows: float = 0, total_tokens: float = 0, max_completion_length: float = 0, out: Any = None,
              options: Optional[Mapping[str, Any]] = None, **more: Any) -> ObjectiveResult:
    """One evaluation of an objective: see Objective. `objective` among the options is its name:
    grpo.objective(logp, adv, options={"objective": "gspo"})."""
    return Objective(options, **more)(logprobs, advantages, old=old, ref=ref, sampled=sampled, entropy=entropy, mask=mask,
                                      weight=weight, start=start, total_rows=total_rows, total_tokens=total_tokens,
                                      max_completion_length=max_completion_length, out=out)


def objective_row(row: Union[Mapping[str, Any], str]) -> Dict[str, Any]:
    """The objective from lists under TRL's names, with TRL's defaults: {"per_token_logps": [[...]], "advantages": [...],
    "config": {"loss_type": "dapo", ...}} gives {"loss", "dlogp", "dentropy", "metrics"}, and "advantages" where the row
    has rewards in their place."""
    return json.loads(asked("objective_row", (row if isinstance(row, str) else json.dumps(row)).encode()))
