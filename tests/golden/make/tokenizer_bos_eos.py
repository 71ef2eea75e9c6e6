#!/usr/bin/env python3
"""Writes tests/tokenizer/bos_eos.json: what transformers makes of add_bos_token and add_eos_token.

Needs a Python with transformers 5.23.

Model directories with a tokenizer.json whose post-processor adds nothing, BOS, or BOS and EOS, and a
tokenizer_config.json with every choice of the two flags, for tokenizer classes that take them. Since transformers 5 the
file's post-processor decides and the flags are dropped when there is a tokenizer.json; this records that it is so.
"""
import json, pathlib, tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "tokenizer" / "bos_eos.json"
TEXT = "ab a"
VOCABULARY = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "\u0120": 6, "\u0120a": 7, "\u2581": 8, "\u2581a": 9}


def sentencepiece_like():
    t = Tokenizer(models.BPE(vocab=VOCABULARY, merges=[("\u2581", "a")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    t.decoder = decoders.Metaspace()
    return t


def byte_level():
    t = Tokenizer(models.BPE(vocab=VOCABULARY, merges=[("a", "b"), ("\u0120", "a")]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def template(single):
    return processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=[("<s>", 1), ("</s>", 2)])


POST = {"none": None, "bos": template("<s> $A"), "both": template("<s> $A </s>"),
        "sequence": processors.Sequence([processors.ByteLevel(), template("<s> $A")])}
CLASSES = {"LlamaTokenizer": sentencepiece_like, "LlamaTokenizerFast": sentencepiece_like,
           "PreTrainedTokenizerFast": byte_level, "Qwen2Tokenizer": byte_level, "GPT2Tokenizer": byte_level,
           "CohereTokenizer": byte_level, "": byte_level}
FLAGS = [(None, None), (False, False), (True, False), (False, True), (True, True)]


def main():
    tokenizers, cases = {}, []
    for name, make in CLASSES.items():
        for post, processor in POST.items():
            tokenizer = make()
            if processor is not None:
                tokenizer.post_processor = processor
            tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
            key = f"{make.__name__}/{post}"
            tokenizers[key] = json.loads(tokenizer.to_str())
            for bos, eos in FLAGS:
                config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
                config |= {"tokenizer_class": name} if name else {}
                config |= {} if bos is None else {"add_bos_token": bos}
                config |= {} if eos is None else {"add_eos_token": eos}
                with tempfile.TemporaryDirectory() as directory:
                    directory = pathlib.Path(directory)
                    tokenizer.save(str(directory / "tokenizer.json"))
                    (directory / "tokenizer_config.json").write_text(json.dumps(config))
                    (directory / "config.json").write_text('{"model_type": "llama"}')
                    loaded = AutoTokenizer.from_pretrained(directory)
                    ids = loaded(TEXT)["input_ids"]
                    plain = loaded(TEXT, add_special_tokens=False)["input_ids"]
                cases.append({"tokenizer": key, "config": config, "ids": ids, "plain": plain})
    OUT.write_text(json.dumps({"text": TEXT, "tokenizers": tokenizers, "cases": cases}) + "\n")
    print(f"{len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
