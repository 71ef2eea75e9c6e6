"""Tokenizers, chat templates, and answers to mathematical problems."""
from __future__ import annotations

import json
import os
from ctypes import byref, c_void_p
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union, overload

from ._library import Handle, Ids, Texts, asked, call
from ._pack import address, encoded, pack_ids, pack_texts, unpack_ids, unpack_texts, zeros

_FORMS = {0: "boxed", 1: "tag", 2: "hashes", 3: "phrase", 4: "last_number"}


class Tokenizer:
    """A model's tokenizer, with the ids that Hugging Face's gives. path: the model's directory, or a tokenizer.json."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]):
        self._path = os.path.abspath(path)
        handle = c_void_p()
        call("tokenizer_open", os.fsencode(path), byref(handle))
        self._handle = Handle(handle, "tokenizer_close")
        about = json.loads(asked("tokenizer_describe", handle))
        self.vocabulary_size: int = about["vocabulary_size"]
        self.bos_id: Optional[int] = about["bos"]
        self.eos_ids: List[int] = about["eos"]
        self.pad_id: Optional[int] = about["pad"]

    def __reduce__(self):
        return Tokenizer, (self._path,)

    @overload
    def encode(self, text: str, add_special_tokens: bool = ..., plain: bool = ...) -> List[int]: ...
    @overload
    def encode(self, text: Sequence[str], add_special_tokens: bool = ..., plain: bool = ...) -> List[List[int]]: ...
    def encode(self, text, add_special_tokens=False, plain=False):
        """Ids of a text, or of each in a list. plain: special tokens that stand in the text are text."""
        one, ids = isinstance(text, str), Ids()
        flags = (1 if add_special_tokens else 0) | (2 if plain else 0)
        call("encode", self._handle, byref(pack_texts([text] if one else text)), flags, byref(ids))
        lists = unpack_ids(ids)
        return lists[0] if one else lists

    @overload
    def decode(self, ids: Sequence[int], skip_special_tokens: bool = ...) -> str: ...
    @overload
    def decode(self, ids: Sequence[Sequence[int]], skip_special_tokens: bool = ...) -> List[str]: ...
    def decode(self, ids, skip_special_tokens=False):
        """The text of ids, or of each list in a list."""
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        one, texts = len(ids) == 0 or isinstance(ids[0], int), Texts()
        call("decode", self._handle, byref(pack_ids([ids] if one else ids)), int(skip_special_tokens), byref(texts))
        out = unpack_texts(texts)
        return out[0] if one else out


class ChatTemplate:
    """A chat template: a model's (directory) or one given as text (source)."""

    def __init__(self, directory: Union[str, "os.PathLike[str]", None] = None, source: Optional[str] = None):
        handle = c_void_p()
        call("template_open", os.fsencode(directory) if directory is not None else None,
             encoded(source) if source is not None else None, byref(handle))
        self._handle = Handle(handle, "template_close")

    def render(self, messages: Sequence[Dict[str, Any]], tools: Optional[Sequence[Any]] = None,
               add_generation_prompt: bool = False, **extra: Any) -> str:
        """The conversation as text, as `apply_chat_template(..., tokenize=False)` gives it. extra: further variables."""
        return asked("render", self._handle, json.dumps(list(messages)).encode(),
                     json.dumps(list(tools)).encode() if tools is not None else None,
                     json.dumps(extra).encode() if extra else None, int(add_generation_prompt))


class Answer(NamedTuple):
    text: str
    form: str  # boxed, tag, hashes, phrase, last_number


def _extracted(texts: Sequence[str], flags: int) -> List[Optional[Answer]]:
    answers, forms = Texts(), zeros("i", len(texts))
    call("extract", byref(pack_texts(texts)), flags, byref(answers), address(forms))
    return [Answer(text, _FORMS[form]) if form >= 0 else None for text, form in zip(unpack_texts(answers), forms)]


def find_answer(completion: str, last_number: bool = False, boxed_only: bool = False) -> Optional[Answer]:
    """The final answer of a completion and the form it has, or None."""
    return _extracted([completion], (1 if last_number else 0) | (2 if boxed_only else 0))[0]


@overload
def extract(completion: str, last_number: bool = ..., boxed_only: bool = ...) -> Optional[str]: ...
@overload
def extract(completion: Sequence[str], last_number: bool = ..., boxed_only: bool = ...) -> List[Optional[str]]: ...
def extract(completion, last_number=False, boxed_only=False):
    """The final answer of a completion (or of each in a list), or None."""
    one = isinstance(completion, str)
    found = _extracted([completion] if one else completion, (1 if last_number else 0) | (2 if boxed_only else 0))
    texts = [answer.text if answer else None for answer in found]
    return texts[0] if one else texts


@overload
def extract_gold(record: str) -> str: ...
@overload
def extract_gold(record: Sequence[str]) -> List[str]: ...
def extract_gold(record):
    """The gold answer of a data set's record: what it marks as the answer, else the whole record."""
    one, answers = isinstance(record, str), Texts()
    call("extract", byref(pack_texts([record] if one else record)), 4, byref(answers), None)
    texts = unpack_texts(answers)
    return texts[0] if one else texts


@overload
def grade(gold: str, answer: str) -> bool: ...
@overload
def grade(gold: Sequence[str], answer: Sequence[str]) -> List[bool]: ...
def grade(gold, answer):
    """Whether a reader would accept the answer where gold is right; two lists give a list."""
    one = isinstance(gold, str)
    golds, answers = ([gold], [answer]) if one else (gold, answer)
    equal = zeros("i", len(answers))
    call("grade", byref(pack_texts(golds)), byref(pack_texts(answers)), address(equal))
    return bool(equal[0]) if one else [bool(e) for e in equal]
