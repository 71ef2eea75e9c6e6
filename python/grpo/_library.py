"""libgrpo.so: finding it, its functions and structs (grpo/embed.h), and errors."""
from __future__ import annotations

import ctypes
import glob
import os
import threading
import weakref
from contextlib import ExitStack
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64, c_uint32, c_void_p
from typing import Any, List, Optional

_OK, _END = 0, 8
_STATUS_NAMES = {1: "failed", 2: "invalid", 3: "unsupported", 4: "cancelled", 5: "deadline", 6: "no memory"}
_NAMES = ("libgrpo.so.1", "libgrpo.so")


class Error(RuntimeError):
    """What libgrpo.so reports. `status`: "failed", "invalid", "unsupported", ..."""

    def __init__(self, text: str, status: str = "failed"):
        super().__init__(text)
        self.status = status


class LibraryNotFound(ImportError):
    """libgrpo.so is not there, or cannot be loaded. The text says where it was looked for and what to do."""


class ErrorText(Structure):
    _fields_ = [("text", c_char_p), ("room", c_int64), ("size", c_int64)]


class Text(Structure):
    _fields_ = [("data", c_void_p), ("size", c_int64), ("owner", c_void_p)]


class Texts(Structure):
    _fields_ = [("n", c_int64), ("data", c_void_p), ("start", c_void_p), ("owner", c_void_p)]


class Ids(Structure):
    _fields_ = [("n", c_int64), ("id", c_void_p), ("start", c_void_p), ("owner", c_void_p)]


class Components(Structure):
    _fields_ = [("n", c_int64), ("name", POINTER(c_char_p)), ("value", POINTER(c_void_p)), ("owner", c_void_p)]


class _Growing(Structure):
    def __init__(self, **fields: Any):
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


class RewardWanted(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("name", c_char_p), ("options", c_char_p),
                ("tokenizer", c_void_p), ("settings", c_char_p)]


class Column(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("name", c_char_p), ("type", c_int32),
                ("reserved", c_int32), ("text", POINTER(Texts)), ("integer", c_void_p), ("number", c_void_p)]


class Batch(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("n_rows", c_int64), ("n_samples", c_int64),
                ("completion", POINTER(Texts)), ("prompt", POINTER(Texts)), ("messages", POINTER(Texts)),
                ("ground_truth", POINTER(Texts)), ("prompt_ids", POINTER(Ids)), ("completion_ids", POINTER(Ids)),
                ("row", c_void_p), ("index", c_void_p), ("finish", c_void_p), ("n_columns", c_int64),
                ("columns", POINTER(POINTER(Column))), ("step", c_int64), ("timeout_ns", c_int64)]


class ScoreArrays(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("score", c_void_p), ("status", c_void_p),
                ("message", POINTER(Texts)), ("components", POINTER(Components))]


class Tokens(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("n_rows", c_int64), ("start", c_void_p),
                ("logprob", c_void_p), ("old_logprob", c_void_p), ("reference_logprob", c_void_p),
                ("sampled_logprob", c_void_p), ("entropy", c_void_p), ("mask", c_void_p), ("advantage", c_void_p),
                ("token_advantage", c_void_p), ("policy_weight", c_void_p), ("total_rows", c_double),
                ("total_tokens", c_double), ("max_completion_length", c_double)]


class Gradient(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("loss", POINTER(c_double)), ("logprob", c_void_p),
                ("entropy", c_void_p), ("metrics", POINTER(Text))]


OnStep = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, c_char_p)


class TrainerWanted(_Growing):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("stage", c_char_p), ("config_path", c_char_p),
                ("config_text", c_char_p), ("config_base", c_char_p), ("overrides", POINTER(c_char_p)),
                ("places", POINTER(c_char_p)), ("n_overrides", c_int64), ("n_places", c_int64), ("user", c_void_p),
                ("on_step", OnStep)]


_P = c_void_p
# Arguments without the last one, which is the error's.
_FALLIBLE = {
    "plugins_open": [POINTER(c_char_p), c_int64, POINTER(_P)],
    "plugins_list": [_P, POINTER(Text)],
    "tokenizer_open": [c_char_p, POINTER(_P)],
    "tokenizer_describe": [_P, POINTER(Text)],
    "encode": [_P, POINTER(Texts), c_uint32, POINTER(Ids)],
    "decode": [_P, POINTER(Ids), c_uint32, POINTER(Texts)],
    "template_open": [c_char_p, c_char_p, POINTER(_P)],
    "render": [_P, c_char_p, c_char_p, c_char_p, c_int32, POINTER(Text)],
    "extract": [POINTER(Texts), c_uint32, POINTER(Texts), _P],
    "grade": [POINTER(Texts), POINTER(Texts), _P],
    "reward_open": [_P, POINTER(RewardWanted), POINTER(_P)],
    "reward_describe": [_P, POINTER(Text)],
    "reward_score": [_P, POINTER(Batch), POINTER(ScoreArrays)],
    "advantages": [c_char_p, c_int64, _P, c_int64, _P, c_double, _P, POINTER(Text)],
    "objective_open": [c_char_p, POINTER(_P)],
    "objective_evaluate": [_P, POINTER(Tokens), POINTER(Gradient)],
    "objective_row": [c_char_p, POINTER(Text)],
    "trainer_open": [POINTER(TrainerWanted), POINTER(_P)],
    "trainer_step": [_P, POINTER(Text)],
    "trainer_save": [_P, POINTER(Text)],
    "trainer_describe": [_P, POINTER(Text)],
}
_CLOSING = ["free", "plugins_close", "tokenizer_close", "template_close", "reward_close", "objective_close",
            "trainer_close"]


def _candidates() -> List[str]:
    """Where the library may be, in the order in which it is looked for; the last are names for the dynamic linker."""
    here = os.path.dirname(os.path.abspath(__file__))
    found = [os.path.join(here, name) for name in _NAMES]
    tree = os.path.dirname(os.path.dirname(here))  # <tree>/python/grpo
    if os.path.exists(os.path.join(tree, "c_api", "include", "grpo", "embed.h")):
        for build in ("build", "build/*"):
            for name in _NAMES:
                found += sorted(glob.glob(os.path.join(tree, build, "lib", name)))
    return [path for path in found if os.path.exists(path)] + list(_NAMES)


def _open() -> ctypes.CDLL:
    given = os.environ.get("GRPO_LIBRARY")
    problems = []
    for path in [given] if given else _candidates():
        try:
            return ctypes.CDLL(path)  # RTLD_LOCAL; calls release the interpreter's lock
        except OSError as e:
            problems.append(str(e))
    tried = "GRPO_LIBRARY=" + given if given else "beside the package, its build tree, and where the system looks"
    raise LibraryNotFound(
        f"libgrpo.so cannot be loaded ({tried}). Build it (cmake --build build --target grpo_embed) or install it "
        "(cmake --install build --component embed), and set GRPO_LIBRARY to the file if it is somewhere else. "
        "The loader said: " + "; ".join(dict.fromkeys(problems)))


_lock = threading.Lock()
_loaded: Optional[ctypes.CDLL] = None


def library() -> ctypes.CDLL:
    """The library, loaded by the first call."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _prepared(_open())
    return _loaded


def _prepared(lib: ctypes.CDLL) -> ctypes.CDLL:
    try:
        for name, arguments in _FALLIBLE.items():
            function = getattr(lib, "grpo_embed_" + name)
            function.argtypes = arguments + [POINTER(ErrorText)]
            function.restype = c_int32
        for name in _CLOSING:
            function = getattr(lib, "grpo_embed_" + name)
            function.argtypes, function.restype = [c_void_p], None
        lib.grpo_embed_version.restype = c_char_p
        lib.grpo_embed_set_log_level.argtypes, lib.grpo_embed_set_log_level.restype = [c_int32], None
    except AttributeError as e:
        raise LibraryNotFound(f"{lib._name} is not the libgrpo.so that this package needs: {e}. "
                              "Set GRPO_LIBRARY to the right one.") from None
    return lib


class _ThreadsError(threading.local):
    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(65536)
        self.error = ErrorText(ctypes.cast(self.buffer, c_char_p), len(self.buffer), 0)


_errors = _ThreadsError()


def call(name: str, *arguments: Any) -> bool:
    """Calls grpo_embed_<name>; a Handle among the arguments stays open until it returns. False: GRPO_STATUS_END. Raises
    Error."""
    error = _errors.error
    with ExitStack() as held:
        given = [held.enter_context(a) if isinstance(a, Handle) else a for a in arguments]
        status = getattr(library(), "grpo_embed_" + name)(*given, byref(error))
    if status == _OK:
        return True
    if status == _END:
        return False
    text = _errors.buffer.value.decode("utf-8", "replace")
    raise Error(text or f"grpo_embed_{name}: status {status}", _STATUS_NAMES.get(status, str(status)))


def taken(text: Text) -> str:
    """The text of a result, which is freed."""
    try:
        return ctypes.string_at(text.data, text.size).decode("utf-8", "replace")
    finally:
        library().grpo_embed_free(text.owner)


def asked(name: str, *arguments: Any) -> str:
    """Calls a function whose last argument is a grpo_embed_text, and gives that."""
    text = Text()
    call(name, *arguments, byref(text))
    return taken(text)


class Handle:
    """A handle of the library, closed with the object. `with handle as address` keeps it open for the length of a call:
    a close meanwhile, by another thread or from a callback, takes effect when the last such call is over.

    A child that was forked off has a copy of the memory and nothing else: no threads, no process of an isolated plugin
    that would be its own. own_process: the handle is of no use there, and is neither called nor closed."""

    _all: "weakref.WeakSet[Handle]" = weakref.WeakSet()

    def __init__(self, address: Any, close: str, own_process: bool = False):
        self.address, self._close = address, close
        self._closer = getattr(library(), "grpo_embed_" + close)
        self._lock, self._users, self._open = threading.RLock(), 0, address
        self._process = os.getpid() if own_process else None
        Handle._all.add(self)

    def foreign(self) -> bool:
        """Open, and another process's."""
        return self.address is not None and self._process not in (None, os.getpid())

    @classmethod
    def _after_fork(cls) -> None:
        for handle in list(cls._all):  # who held a lock, or was in a call, stayed behind
            handle._lock, handle._users = threading.RLock(), 0

    def __enter__(self) -> Any:
        with self._lock:
            address = self.need()
            self._users += 1
            return address

    def __exit__(self, *exception: Any) -> None:
        with self._lock:
            self._users -= 1
        self._end()

    def close(self) -> None:
        self.address = None
        self._end()

    def _end(self) -> None:
        with self._lock:
            if self._users > 0 or self.address is not None:
                return
            last, self._open = self._open, None
        if last is not None and self._process in (None, os.getpid()):
            self._closer(last)

    def __del__(self) -> None:
        if getattr(self, "_open", None) is not None:
            self.close()

    def need(self) -> c_void_p:
        if self.address is None:
            raise Error("it is closed", "invalid")
        if self.foreign():
            raise Error("it belongs to the process that this one was forked from; open another one here", "invalid")
        return self.address


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Handle._after_fork)


def version() -> str:
    """The release of libgrpo.so."""
    return library().grpo_embed_version().decode()


def library_path() -> str:
    """The file of libgrpo.so that is in use."""
    name = library()._name
    if os.path.sep in name:
        return os.path.abspath(name)
    with open("/proc/self/maps") as maps:  # found by the dynamic linker
        for line in maps:
            path = line.split(maxsplit=5)[-1].strip()
            if os.path.basename(path).startswith("libgrpo.so"):
                return path
    return name


def set_log_level(level: str) -> None:
    """What plugins and trainers log from here up goes to standard error: debug, info, warning (the default), error."""
    levels = {"debug": 1, "info": 2, "warning": 3, "error": 4}
    if level not in levels:
        raise ValueError(f"set_log_level: {level!r} is none of {', '.join(levels)}")
    library().grpo_embed_set_log_level(levels[level])
