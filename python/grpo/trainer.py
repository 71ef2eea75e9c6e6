"""The trainer of grpo-host, a step at a time."""
from __future__ import annotations

import json
import os
from ctypes import byref, c_void_p
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Union

from ._library import Error, Handle, OnStep, Text, TrainerWanted, asked, call, taken
from ._pack import c_texts, encoded
from .plugins import Places, places_of

Metrics = Dict[str, Optional[float]]


class Trainer:
    """A run from a configuration: a YAML file's path, a dict with the same sections, or YAML text.

        with grpo.Trainer("run.yaml", overrides=["run.max_steps=50"]) as trainer:
            for metrics in trainer:
                print(metrics["step"], metrics["reward"])
            trainer.save()

    plugins:  searched before run.plugins of the configuration; None: grpo.plugin_directories()
    stage:    "train" or "sft"
    base:     what relative paths in a dict or a text are relative to; None: the current directory
    on_step:  called with (step, metrics) after each step, and with step 0 after an evaluation before the first; what it
              raises ends the run and is raised by step()

    One trainer a process at a time. Other Python threads run while a step does.
    """

    def __init__(self, config: Union[str, "os.PathLike[str]", Mapping[str, Any], None] = None,
                 overrides: Sequence[str] = (), *, plugins: Places = None, stage: str = "train",
                 base: Union[str, "os.PathLike[str]", None] = None,
                 on_step: Optional[Callable[[int, Metrics], Any]] = None):
        self._on_step, self._raised = on_step, None
        self._callback = OnStep(self._stepped)
        places = places_of(plugins)
        wanted = TrainerWanted(stage=encoded(stage), overrides=c_texts(overrides), n_overrides=len(overrides),
                               places=c_texts(places), n_places=len(places), on_step=self._callback)
        if isinstance(config, Mapping):
            wanted.config_text = json.dumps(config).encode()  # YAML, too
        elif isinstance(config, str) and ("\n" in config or ": " in config):
            wanted.config_text = encoded(config)
        elif config is not None:
            wanted.config_path = os.fsencode(config)
        if base is not None:
            wanted.config_base = os.fsencode(base)
        handle = c_void_p()
        self._handle = None
        call("trainer_open", byref(wanted), byref(handle))
        self._handle = Handle(handle, "trainer_close", own_process=True)
        self._raise()

    def _stepped(self, user: Any, step: int, metrics: bytes) -> int:
        if self._on_step is None:
            return 0
        try:
            self._on_step(step, json.loads(metrics))
            return 0
        except BaseException as e:  # no exception crosses C
            self._raised = e
            return 1

    def _raise(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def step(self) -> Optional[Metrics]:
        """One step; its metrics, or None when the run is over."""
        text = Text()
        if not call("trainer_step", self._need(), byref(text)):
            return None
        metrics = json.loads(taken(text))
        self._raise()
        return metrics

    def __iter__(self) -> Iterator[Metrics]:
        while True:
            metrics = self.step()
            if metrics is None:
                return
            yield metrics

    def save(self) -> str:
        """Writes a checkpoint of the steps done; gives its path."""
        return asked("trainer_save", self._need())

    @property
    def state(self) -> Dict[str, Any]:
        """stage, step, ended, output_dir, checkpoint (the last one), config (YAML)."""
        return json.loads(asked("trainer_describe", self._need()))

    def close(self) -> None:
        """Ends the run where it is, without a checkpoint."""
        if self._handle:
            self._handle.close()

    def _need(self) -> Handle:
        if not self._handle:
            raise Error("the trainer is not open", "invalid")
        return self._handle

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
