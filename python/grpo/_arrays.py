"""Arrays of the caller's, without copies where type and layout allow: NumPy's, torch's (through their own pointers),
what speaks DLPack, what has a buffer, and lists."""
from __future__ import annotations

from array import array
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ._pack import address, zeros

# typecode -> the names that NumPy and torch have for it
_NAMES = {"f": "float32", "d": "float64", "q": "int64", "B": "uint8"}


class View:
    """Numbers in memory: address, n, shape, typecode. Holds on to what owns them."""

    def __init__(self, address: int, shape: Tuple[int, ...], typecode: str, owner: Any,
                 back: Callable[[array], Any], like: Optional[Callable[[], Any]] = None, in_place: bool = False):
        self.address, self.shape, self.typecode, self.owner = address, shape, typecode, owner
        self.in_place = in_place  # the caller's own memory, no copy
        self.back = back  # an array.array of as many numbers as the caller's kind of thing, in this shape
        self.like = like  # an empty thing of the caller's kind, or None where that has no such notion
        self.n = 1
        for length in shape:
            self.n *= length


def _torch_view(tensor: Any, typecodes: str) -> View:
    import torch
    t = tensor.detach()
    typecode = next((c for c in typecodes if t.dtype == getattr(torch, _NAMES[c])), typecodes[0])
    t = t.to(device="cpu", dtype=getattr(torch, _NAMES[typecode])).contiguous()
    device = tensor.device

    def back(numbers: array) -> Any:
        kind = getattr(torch, _NAMES[numbers.typecode])
        made = torch.frombuffer(numbers, dtype=kind) if len(numbers) else torch.empty(0, dtype=kind)
        return made.reshape(t.shape if len(numbers) == t.numel() else (-1,)).to(device)

    return View(t.data_ptr(), tuple(t.shape), typecode, t, back, lambda: torch.empty_like(t),
                in_place=t.data_ptr() == tensor.data_ptr())


def _numpy_view(given: Any, typecodes: str) -> View:
    import numpy
    a = given if isinstance(given, numpy.ndarray) else (
        numpy.from_dlpack(given) if hasattr(given, "__dlpack__") else numpy.asarray(given))
    typecode = next((c for c in typecodes if a.dtype == numpy.dtype(_NAMES[c])), typecodes[0])
    a = numpy.ascontiguousarray(a, dtype=_NAMES[typecode]).reshape(a.shape)

    def back(numbers: array) -> Any:
        made = numpy.frombuffer(numbers, dtype=_NAMES[numbers.typecode])
        return made.reshape(a.shape if len(numbers) == a.size else (-1,))

    return View(a.ctypes.data, a.shape, typecode, a, back, lambda: numpy.empty_like(a),
                in_place=isinstance(given, numpy.ndarray) and numpy.shares_memory(a, given))


def _buffer_view(given: Any, typecodes: str) -> View:
    memory, in_place = memoryview(given), isinstance(given, array) and given.typecode in typecodes
    if not in_place:
        given = array(typecodes[0], memory.tolist())
    return View(address(given), (len(given),), given.typecode, given, lambda numbers: numbers,
                lambda: zeros(given.typecode, len(given)), in_place=in_place)


def _list_view(given: Sequence[Any], typecodes: str) -> View:
    rows = [list(row) for row in given] if len(given) and isinstance(given[0], (list, tuple)) else None
    flat = array(typecodes[0], [v for row in rows for v in row] if rows is not None else given)

    def back(numbers: array) -> Any:
        if rows is None or len(numbers) != len(flat):
            return numbers.tolist()
        out: List[List[float]] = []
        at = 0
        for row in rows:
            out.append(numbers[at:at + len(row)].tolist())
            at += len(row)
        return out

    view = View(address(flat), (len(flat),), flat.typecode, flat, back)
    view.lengths = [len(row) for row in rows] if rows is not None else None
    return view


def view(given: Any, typecodes: str) -> View:
    """typecodes: those that are taken as they are ("fd"); anything else becomes the first."""
    if type(given).__module__.split(".")[0] == "torch":
        return _torch_view(given, typecodes)
    if hasattr(given, "__array_interface__") or hasattr(given, "__dlpack__"):
        return _numpy_view(given, typecodes)
    if isinstance(given, (list, tuple)):
        return _list_view(given, typecodes)
    try:
        return _buffer_view(given, typecodes)
    except TypeError:
        raise TypeError(f"a {type(given).__name__} is neither an array nor a list of numbers") from None


def like(model: View) -> Any:
    """An array of the caller's kind, in the shape and type of `model`, and a view of it."""
    made = model.like() if model.like else zeros(model.typecode, model.n)
    return made, view(made, model.typecode)
