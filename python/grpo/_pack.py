"""Lists of texts and ids as the library takes them: packed, with their starts."""
from __future__ import annotations

import ctypes
from array import array
from ctypes import c_void_p
from itertools import accumulate, chain
from typing import Any, Iterable, List, Sequence

from ._library import Ids, Texts, library


def encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates: the library reads them as U+FFFD
        return text.encode("utf-8", "surrogatepass")


def address(numbers: array) -> int:
    return numbers.buffer_info()[0]


def zeros(typecode: str, n: int) -> array:
    return array(typecode, bytes(array(typecode).itemsize * n))


def starts(lengths: Iterable[int]) -> array:
    return array("q", accumulate(lengths, initial=0))


def pack_texts(texts: Sequence[str]) -> Texts:
    """The struct keeps what it points to."""
    parts = [encoded(t) for t in texts]
    data, start = b"".join(parts), starts(map(len, parts))
    packed = Texts(len(parts), ctypes.cast(data, c_void_p), address(start), None)
    packed.kept = (data, start)
    return packed


def pack_ids(lists: Sequence[Sequence[int]]) -> Ids:
    lists = [l.tolist() if hasattr(l, "tolist") else l for l in lists]
    ids, start = array("i", chain.from_iterable(lists)), starts(map(len, lists))
    packed = Ids(len(lists), address(ids), address(start), None)
    packed.kept = (ids, start)
    return packed


def unpack_texts(texts: Texts) -> List[str]:
    """The texts of a result, which is freed."""
    try:
        start = (ctypes.c_int64 * (texts.n + 1)).from_address(texts.start)[:]
        data = ctypes.string_at(texts.data, start[-1])
        return [data[a:b].decode("utf-8", "replace") for a, b in zip(start, start[1:])]
    finally:
        library().grpo_embed_free(texts.owner)


def unpack_ids(ids: Ids) -> List[List[int]]:
    try:
        start = (ctypes.c_int64 * (ids.n + 1)).from_address(ids.start)[:]
        all_ids: List[int] = (ctypes.c_int32 * start[-1]).from_address(ids.id)[:]
        return [all_ids[a:b] for a, b in zip(start, start[1:])]
    finally:
        library().grpo_embed_free(ids.owner)


def c_texts(texts: Iterable[Any]) -> Any:
    """char*[]"""
    parts = [encoded(str(t)) for t in texts]
    return (ctypes.c_char_p * len(parts))(*parts)
