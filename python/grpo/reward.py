"""A reward plugin, as TRL, verl and lm-evaluation-harness call rewards.

    math = grpo.Reward("math", options={"wrong": -0.5})

    GRPOTrainer(..., reward_funcs=[math])                       # TRL
    compute_score = math                                        # verl: custom_reward_function.path, .name
    process_results = math.process_results                      # lm-evaluation-harness: !function utils.process_results

Scores are never guessed: a completion on which the reward has no opinion, or on which it failed, has the score None.
"""
from __future__ import annotations

import ctypes
import json
import math
import os
import threading
import warnings
from array import array
from ctypes import byref, c_void_p
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from ._columns import completion_text, optional_texts, prompt_texts, text_of, typed_column
from ._library import Batch, Column, Components, Error, Handle, RewardWanted, ScoreArrays, Texts, asked, call, library
from ._pack import address, encoded, pack_ids, unpack_texts, zeros
from .plugins import Places, Plugins, shared
from .text import Tokenizer

STATUS = ("ok", "not_applicable", "error", "timeout")
# Where the truth of a record is looked for when `truth` does not say.
TRUTH_COLUMNS = ("ground_truth", "answer", "solution", "target", "gold", "label")
# What trainers pass beside columns of the data set.
_NOT_COLUMNS = frozenset(("trainer_state", "log_extra", "log_metric", "environments", "prompts", "completions"))


@dataclass
class Scores:
    """What a reward said, by sample."""

    scores: List[Optional[float]]  # None: there is none, and status says why
    status: List[str]  # ok, not_applicable, error, timeout
    messages: List[str]  # why there is no score; mostly empty
    components: Dict[str, List[Optional[float]]] = field(default_factory=dict)  # parts that the reward reported by name

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, i: int) -> Optional[float]:
        return self.scores[i]


def _nanoseconds(seconds: Optional[float]) -> int:
    if seconds is None or seconds == 0:
        return 0
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"timeout is a {type(seconds).__name__}; it is a number of seconds, or None for no limit")
    if not seconds > 0:
        raise ValueError(f"timeout is {seconds!r}; it is seconds above 0, or None for no limit")
    return int(min(seconds, 1e9) * 1e9)  # 30 years are no limit either


class Reward:
    """A reward plugin.

    name:      of the reward: "math"; grpo.components(kind="reward") lists them
    options:   of the plugin, checked against its manifest
    plugins:   directories or .so files with plugins, or a grpo.Plugins; None: grpo.plugin_directories()
    truth:     the column with the ground truth; None: the first of TRUTH_COLUMNS that there is
    on_error:  for TRL, where the reward fails on a completion: "warn" (a warning, and None) or "raise"
    missing:   what verl and lm-evaluation-harness get, which have no word for "no score"; None: grpo.Error is raised
    timeout:   seconds that scoring a batch may take; None: no limit
    tokenizer: a grpo.Tokenizer, for rewards that ask for one
    label:     what trainers call it in their metrics; None: the name
    settings:  further keys that an entry of `rewards` in a configuration has (docs/configuration.md), and check_plugins

    Any thread may score, several at a time where the plugin allows it; meanwhile other Python threads run. An object can
    be pickled and copied: the plugin is opened again on the other side. So it is at the first use in a child that was
    forked off, as the workers of data loaders are.
    """

    def __init__(self, name: str, options: Optional[Mapping[str, Any]] = None, plugins: Union[Places, Plugins] = None, *,
                 truth: Optional[str] = None, on_error: str = "warn", missing: Optional[float] = None,
                 timeout: Optional[float] = None, tokenizer: Optional[Tokenizer] = None, label: Optional[str] = None,
                 settings: Optional[Mapping[str, Any]] = None):
        if on_error not in ("warn", "raise"):
            raise ValueError(f"on_error is {on_error!r}; it is \"warn\" or \"raise\"")
        _nanoseconds(timeout)
        for what, given in (("options", options), ("settings", settings)):
            if given is not None and not isinstance(given, Mapping):
                raise TypeError(f"{what} is a {type(given).__name__}; it is a dict with the names of {what}")
        if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
            raise TypeError(f"tokenizer is a {type(tokenizer).__name__}; it is a grpo.Tokenizer(DIRECTORY)")
        self._arguments = dict(name=name, options=dict(options or {}), truth=truth, on_error=on_error, missing=missing,
                               timeout=timeout, tokenizer=tokenizer, label=label,
                               settings=dict(settings or {}))
        self._plugins = shared(plugins)
        self.name, self.truth, self.on_error, self.missing, self.timeout = name, truth, on_error, missing, timeout
        self.__name__ = self.__qualname__ = label or name  # TRL names metrics by it
        self._handle = self._opened()

    def _opened(self) -> Handle:
        a = self._arguments
        wanted = RewardWanted(name=encoded(a["name"]), options=_json_of("options", a["options"]),
                              tokenizer=a["tokenizer"]._handle.need() if a["tokenizer"] else None,
                              settings=_json_of("settings", a["settings"]))
        handle = c_void_p()
        call("reward_open", self._plugins._handle, byref(wanted), byref(handle))
        return Handle(handle, "reward_close", own_process=True)

    def _need(self) -> Handle:
        """The plugin's handle; in a child that was forked off, one of its own."""
        if self._handle.foreign():
            with _opening[0]:
                if self._handle.foreign():
                    self._plugins = shared(self._plugins.places)
                    self._handle = self._opened()
        return self._handle

    def __repr__(self) -> str:
        return f"grpo.Reward({self.name!r}, options={self._arguments['options']!r})"

    def __reduce__(self):
        own = {k: v for k, v in self.__dict__.items() if k not in ("_arguments", "_plugins", "_handle")}
        return _reopened, (type(self), self._arguments, self._plugins.places), own

    def close(self) -> None:
        """Gives the plugin's handle back; also done when the object goes."""
        self._handle.close()

    def __enter__(self) -> "Reward":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def describe(self) -> Dict[str, Any]:
        """Name, plugin, version, path, options with defaults filled in, and what the reward asks of its batches."""
        return json.loads(asked("reward_describe", self._need()))

    # --- scoring

    def score(self, completions: Sequence[str], *, prompts: Optional[Sequence[str]] = None,
              ground_truth: Optional[Sequence[str]] = None, messages: Optional[Sequence[str]] = None,
              columns: Optional[Mapping[str, Sequence[Any]]] = None, rows: Optional[Sequence[int]] = None,
              prompt_ids: Optional[Sequence[Sequence[int]]] = None,
              completion_ids: Optional[Sequence[Sequence[int]]] = None, finish: Optional[Sequence[str]] = None,
              step: int = 0, timeout: Optional[float] = None) -> Scores:
        """Scores a batch.

        completions, completion_ids, finish ("stop", "length", "cancelled") are by sample; prompts, ground_truth,
        messages (JSON), prompt_ids and columns by row. rows: the row of each sample; None: as many samples a row.
        """
        if isinstance(completions, (str, bytes)):
            raise TypeError("completions is one text; it is a list of them")
        by_row = [given for given in (prompts, ground_truth, messages, prompt_ids, *(columns or {}).values())
                  if given is not None]
        n = len(completions)
        n_rows = len(by_row[0]) if by_row else (max(rows) + 1 if rows else n)
        batch = Batch(n_rows=n_rows, n_samples=n, step=step, completion=optional_texts(completions),
                      prompt=optional_texts(prompts), messages=optional_texts(messages),
                      ground_truth=optional_texts(ground_truth))
        if prompt_ids is not None:
            batch.prompt_ids = ctypes.pointer(pack_ids(prompt_ids))
        if completion_ids is not None:
            batch.completion_ids = ctypes.pointer(pack_ids(completion_ids))
        kept: List[Any] = []
        if rows is not None:
            kept.append(_numbers("q", rows, n, "rows"))
            batch.row = address(kept[-1])
        if finish is not None:
            kept.append(_numbers("i", [_FINISH[f] for f in finish], n, "finish"))
            batch.finish = address(kept[-1])
        table = [typed_column(name, values) for name, values in (columns or {}).items()]
        for name, values in (columns or {}).items():
            if len(values) != n_rows:
                raise ValueError(f"the column {name!r} has {len(values)} values for {n_rows} rows")
        pointers = (ctypes.POINTER(Column) * len(table))(*[ctypes.pointer(c) for c in table])
        batch.n_columns, batch.columns = len(table), pointers
        seconds = self.timeout if timeout is None else timeout
        batch.timeout_ns = _nanoseconds(seconds)
        return self._scored(batch, n)

    def _scored(self, batch: Batch, n: int) -> Scores:
        score, status, message, components = zeros("d", n), zeros("i", n), Texts(), Components()
        to = ScoreArrays(score=address(score), status=address(status), message=ctypes.pointer(message),
                         components=ctypes.pointer(components))
        call("reward_score", self._need(), byref(batch), byref(to))
        messages = unpack_texts(message)
        try:
            parts = {components.name[c].decode(): _or_none((ctypes.c_double * n).from_address(components.value[c])[:])
                     for c in range(components.n)}
        finally:
            library().grpo_embed_free(components.owner)
        return Scores(_or_none(score), [STATUS[s] for s in status], messages, parts)

    # --- TRL (and verl, which names its arguments)

    def __call__(self, prompts: Any = None, completions: Any = None, completion_ids: Any = None, **columns: Any) -> Any:
        """TRL's reward function: a score or None for each completion. Called with verl's arguments it is compute_score."""
        if "solution_str" in columns:
            return self.compute_score(**columns)
        if "solution_strs" in columns:
            return self.compute_scores(**columns)
        if completions is None:
            raise TypeError(f"{self.__name__}: called without completions (TRL) and without solution_str (verl)")
        log = columns.get("log_metric")
        state = columns.get("trainer_state")
        scores = self._grouped(prompts, completions, completion_ids,
                               {k: v for k, v in columns.items() if k not in _NOT_COLUMNS},
                               step=int(getattr(state, "global_step", 0) or 0) + 1 if state is not None else 0)
        self._report(scores, log)
        return scores.scores

    def _grouped(self, prompts: Any, completions: Sequence[Any], completion_ids: Any, columns: Mapping[str, Any],
                 step: int) -> Scores:
        """Completions whose prompts and columns are equal, and which follow each other, are a group."""
        n = len(completions)
        if prompts is not None and len(prompts) != n:
            raise ValueError(f"{self.__name__}: {len(prompts)} prompts for {n} completions; "
                             "give each completion its prompt, as TRL does")
        truth = self._truth_column(columns)
        truths = columns.get(truth) if truth is not None else None
        if isinstance(truths, (list, tuple)) and len(truths) != n:
            raise ValueError(f"{self.__name__}: {len(truths)} ground truths ({truth!r}) for {n} completions; "
                             "give each completion its own, as TRL does")
        columns = {name: values for name, values in self._by_completion(columns, n).items() if self._can_take(name, values)}
        rows, first = [], []
        for i in range(n):
            same = i > 0 and (prompts is None or prompts[i] == prompts[i - 1]) and all(
                _equal(values[i], values[i - 1]) for values in columns.values())
            if not same or prompts is None:
                first.append(i)
            rows.append(len(first) - 1)
        asked_for = [prompt_texts(prompts[i]) for i in first] if prompts is not None else None
        return self.score(
            [completion_text(c) for c in completions], rows=rows, step=step,
            prompts=[text for text, _ in asked_for] if asked_for else None,
            messages=[conversation for _, conversation in asked_for] if asked_for else None,
            ground_truth=[text_of(columns[truth][i]) for i in first] if truth in columns else None,
            columns={name: [values[i] for i in first] for name, values in columns.items()},
            completion_ids=completion_ids)

    def _by_completion(self, columns: Mapping[str, Any], n: int) -> Dict[str, Sequence[Any]]:
        """The columns among what a trainer passes; each has a value for each completion."""
        found = {}
        for name, values in columns.items():
            if hasattr(values, "tolist") and getattr(values, "ndim", 0) > 0:
                values = values.tolist()
            if isinstance(values, (list, tuple)):
                if len(values) != n:
                    raise ValueError(f"{self.__name__}: the column {name!r} has {len(values)} values for {n} completions; "
                                     "give each completion its own, as TRL does")
                found[name] = values
            elif isinstance(values, (str, bytes, int, float, Mapping)):
                raise TypeError(f"{self.__name__}: the column {name!r} is one {type(values).__name__}; it is a list with a "
                                "value for each completion, as TRL gives it")
        return found

    def _truth_column(self, columns: Mapping[str, Any]) -> Optional[str]:
        if self.truth is not None:
            if self.truth not in columns:
                raise KeyError(f"{self.__name__}: there is no column {self.truth!r} with the ground truth; there are "
                               f"{', '.join(columns) or 'none'}")
            return self.truth
        return next((name for name in TRUTH_COLUMNS if name in columns), None)

    def _can_take(self, name: str, values: Sequence[Any]) -> bool:
        if all(isinstance(v, (str, int, float, type(None))) for v in values):
            return True
        try:
            typed_column(name, values)
            return True
        except TypeError as e:  # images and the like
            warnings.warn(f"{self.__name__}: the column {name!r} does not reach the reward: {e}", stacklevel=4)
            return False

    def _report(self, scores: Scores, log: Optional[Callable[[str, float], Any]]) -> None:
        failed = [i for i, s in enumerate(scores.status) if s in ("error", "timeout")]
        if failed:
            text = f"{self.__name__}: {len(failed)} of {len(scores)} completions have no score: {scores.messages[failed[0]]}"
            if self.on_error == "raise":
                raise Error(text)
            warnings.warn(text, stacklevel=3)
        if log is None:
            return
        log(f"{self.__name__}/errors", float(len(failed)))
        for name, values in scores.components.items():
            known = [v for v in values if v is not None]
            if known:
                log(f"{self.__name__}/{name}", sum(known) / len(known))

    # --- verl

    def compute_score(self, data_source: Any = None, solution_str: str = "", ground_truth: Any = None,
                      extra_info: Optional[Mapping[str, Any]] = None, **more: Any) -> float:
        """verl's compute_score: the score of one solution. data_source and extra_info reach the reward as columns."""
        return self.compute_scores([data_source], [solution_str], [ground_truth], [extra_info])[0]

    def compute_scores(self, data_sources: Sequence[Any], solution_strs: Sequence[str], ground_truths: Sequence[Any],
                       extra_infos: Optional[Sequence[Any]] = None, **more: Any) -> List[float]:
        """The same for verl's batch reward manager."""
        columns: Dict[str, List[Any]] = {}
        if any(source is not None for source in data_sources):
            columns["data_source"] = [text_of(source) for source in data_sources]
        infos = [dict(info) if info is not None else {} for info in (extra_infos if extra_infos is not None else [])]
        for name in dict.fromkeys(name for info in infos for name in info):
            values = [info.get(name) for info in infos]
            if self._can_take(name, values):
                columns.setdefault(name, values)
        scores = self.score([text_of(s) for s in solution_strs], ground_truth=[text_of(t) for t in ground_truths],
                            columns=columns)
        return [self._number(scores, i) for i in range(len(scores))]

    def _number(self, scores: Scores, i: int) -> float:
        score = scores.scores[i]
        if score is not None:
            return score
        if self.missing is not None:
            return self.missing
        why = scores.messages[i] or ("the reward does not apply to this row; is there a ground truth?"
                                     if scores.status[i] == "not_applicable" else scores.status[i])
        raise Error(f"{self.__name__}: no score: {why} (Reward(..., missing=NUMBER) gives that instead)")

    # --- lm-evaluation-harness

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> Dict[str, float]:
        """A task's process_results: {label: mean score of the results}. The task's metric_list names the label."""
        said = [r for result in results for r in (result if isinstance(result, (list, tuple)) else [result])]
        columns = {name: [value] * len(said) for name, value in doc.items() if self._can_take(name, [value])}
        truth = self._truth_column(columns)
        scores = self.score([text_of(s) for s in said], rows=[0] * len(said),
                            ground_truth=[text_of(doc[truth])] if truth else [""],
                            columns={name: values[:1] for name, values in columns.items()})
        return {self.__name__: sum(self._number(scores, i) for i in range(len(said))) / max(1, len(said))}

    def metric(self, references: Sequence[Any], predictions: Sequence[str], **more: Any) -> float:
        """A metric function (metric_list: [{metric: !function utils.metric, ...}]): the mean score."""
        references = list(references)
        if len(references) == 1:
            references *= len(predictions)
        scores = self.score([text_of(p) for p in predictions], ground_truth=[text_of(r) for r in references])
        return sum(self._number(scores, i) for i in range(len(scores))) / max(1, len(scores))


_FINISH = {"none": 0, "stop": 1, "length": 2, "cancelled": 3}


_opening = [threading.Lock()]  # a list: a child that was forked off has another


def _after_fork() -> None:
    _opening[0] = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _reopened(kind: type, arguments: Dict[str, Any], places: List[str]) -> Reward:
    reward = kind.__new__(kind)  # a class made from Reward may take other arguments
    Reward.__init__(reward, plugins=places, **arguments)
    return reward


def _json_of(what: str, given: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as e:
        raise type(e)(f"{what}: {e}") from None


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    equal = a == b
    return equal if isinstance(equal, bool) else bool(getattr(equal, "all", lambda: equal)())


def _or_none(values: Sequence[float]) -> List[Optional[float]]:
    return [None if math.isnan(v) else v for v in values]


def _numbers(typecode: str, values: Sequence[int], n: int, name: str) -> array:
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} elements for {n} completions")
    return array(typecode, values)
