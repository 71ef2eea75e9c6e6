"""Values of data sets, in whatever types they come, as texts and typed columns."""
from __future__ import annotations

import ctypes
import json
import math
from array import array
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple

from ._library import Column, Texts
from ._pack import address, encoded, pack_texts

_TEXT, _JSON, _INTEGER, _NUMBER = 1, 2, 3, 4
_LARGEST = 2**63 - 1


def plain(value: Any) -> Any:
    """NumPy's and torch's scalars and arrays as Python's own."""
    if isinstance(value, (str, int, float, bool, type(None), list, tuple, dict)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _finite(value: Any) -> Any:
    """NaN and infinities, which JSON has not, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value if isinstance(value, (str, int, type(None))) else _finite(plain(value))


def json_text(value: Any, default: Callable[[Any], Any] = plain) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=default, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=default)


def text_of(value: Any) -> str:
    """A text as it is, nothing as an empty one, all else as JSON."""
    if isinstance(value, str):
        return value
    value = plain(value)
    return "" if value is None else value if isinstance(value, str) else json_text(value)


def content_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, (list, tuple)):
        return "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
    return content or ""


def is_conversation(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(m, Mapping) and "role" in m for m in value)


def completion_text(completion: Any) -> str:
    """What the model said: a text, or the assistant's messages of a conversation."""
    if is_conversation(completion):
        return "\n".join(content_of(m) for m in completion if m["role"] == "assistant")
    return text_of(completion)


def prompt_texts(prompt: Any) -> Tuple[str, str]:
    """The prompt as text, and as a conversation in JSON ("" where it is none)."""
    if is_conversation(prompt):
        # Images and the like are null in it.
        return "\n".join(content_of(m) for m in prompt), json_text(list(prompt), default=lambda value: None)
    return text_of(prompt), ""


def _type_of(values: Sequence[Any]) -> int:
    present = [v for v in values if v is not None]
    if all(isinstance(v, str) for v in present):
        return _TEXT
    if all(isinstance(v, int) and abs(v) <= _LARGEST for v in present):
        return _INTEGER if len(present) == len(values) else _NUMBER
    if all(isinstance(v, (int, float)) for v in present):
        return _NUMBER
    return _JSON


def typed_column(name: str, values: Sequence[Any]) -> Column:
    """A column, one value a row. Raises TypeError for values that are not JSON. The struct keeps what it points to."""
    values = [plain(v) for v in values]
    kind = _type_of(values)
    column = Column(name=encoded(name), type=kind)
    if kind in (_TEXT, _JSON):
        texts = pack_texts(["" if v is None else v if kind == _TEXT else json_text(v) for v in values])
        column.text = ctypes.pointer(texts)
        column.kept = texts
    elif kind == _INTEGER:
        column.kept = array("q", values)
        column.integer = address(column.kept)
    else:
        column.kept = array("d", [math.nan if v is None else v for v in values])
        column.number = address(column.kept)
    return column


def optional_texts(values: Optional[Sequence[str]]) -> Any:
    return ctypes.pointer(pack_texts(values)) if values is not None else ctypes.POINTER(Texts)()
