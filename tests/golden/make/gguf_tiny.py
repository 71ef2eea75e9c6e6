#!/usr/bin/env python3
"""Tiny GGUF files and what they hold, for tests/import.

Needs a Python with gguf, transformers 5.23, tokenizers 0.23 and torch. Writes into tests/import:
  llama.gguf   architecture llama, pre-tokenizer smollm, three layers that use every quantised type that is read
  llama3.gguf  llama with RoPE factors, output head of its own, pre-tokenizer llama-bpe, BOS added, Q8_0
  qwen2.gguf   biases, rows in their order, pre-tokenizer qwen2, Q8_0
  expected.json  for each: every weight as transformers reads it from the GGUF (shape, FNV-1a of the fp32 bytes, first
                 values), and the tokenizer as the tokenizers library writes it, built there from its own parts
The bytes of blocks are random, so no quantiser is needed; scales are small finite halves.
"""
import json
import os

import gguf
import numpy as np
import tokenizers
import torch
from gguf import GGMLQuantizationType as Q
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForCausalLM

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "import")
rng = np.random.default_rng(7)
# Where the fp16 scales of a block stand.
SCALES = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}


def tensor(rows, columns, kind):
    """Random bytes of this type, as GGUFWriter takes them."""
    n = (rows, columns) if rows else (columns,)
    if kind == Q.F32:
        return rng.normal(0, 0.1, n).astype(np.float32), kind
    if kind == Q.F16:
        return rng.normal(0, 0.1, n).astype(np.float16), kind
    if kind == Q.BF16:
        return (rng.normal(0, 0.1, n).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8), kind
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = rng.uniform(1e-4, 1e-2, len(blocks)).astype(np.float16)
        scale[::5] *= -1
        scale[::11] = np.float16(6e-8)  # a subnormal half
        blocks[:, at : at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1), kind


ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = ["\u0120 t", "h e", "i n", "\u0120 a", "\u0120t he", "e r", "o n", "1 2", "12 3", "\u0120 1", "r e", "\u0120 \u0120", "\u010a \u010a", "' s", "a t"]


def vocabulary(specials_first):
    words = ALPHABET + ["".join(m.split()) for m in MERGES]
    specials = [("<|start|>", 3), ("<|end|>", 3), ("<tool>", 4)]
    tokens = specials + [(w, 1) for w in words] if specials_first else [(w, 1) for w in words] + specials
    if not specials_first:
        tokens += [("[PAD0]", 5)]
    return [t for t, _ in tokens], [k for _, k in tokens]


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
STEPS = {
    "smollm": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)],
    "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
    "qwen2": [pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
}


def tokenizer(pre, tokens, types, bos):
    vocab = {t: i for i, (t, k) in enumerate(zip(tokens, types)) if k != 5}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split()) for m in MERGES], ignore_merges=pre == "llama-bpe"))
    t.pre_tokenizer = pre_tokenizers.Sequence(STEPS[pre])
    t.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        t.normalizer = normalizers.NFC()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, vocab[bos])])])
    for token, kind in zip(tokens, types):
        if kind in (3, 4):
            t.add_tokens([tokenizers.AddedToken(token, special=kind == 3, normalized=False)])
    return json.loads(t.to_str())


def fnv(data):
    h = 14695981039346656037
    for b in data:
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def make(name, arch, pre, kinds, layers, ffn, tied=True, bias=False, specials_first=True, bos=None, factors=False):
    hidden, heads, kv, head = 32, 2, 1, 16
    tokens, types = vocabulary(specials_first)
    path = os.path.join(HERE, name + ".gguf")
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(layers)
    w.add_context_length(128)
    w.add_embedding_length(hidden)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(500000.0 if factors else 10000.0)
    w.add_rope_dimension_count(head)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(MERGES)
    w.add_bos_token_id(tokens.index("<|start|>"))
    w.add_eos_token_id(tokens.index("<|end|>"))
    w.add_pad_token_id(tokens.index("<|end|>"))
    w.add_add_bos_token(bool(bos))
    w.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    kinds = iter(kinds)

    def add(tensor_name, rows, columns, kind):
        data, kind = tensor(rows, columns, kind)
        w.add_tensor(tensor_name, data, raw_dtype=kind)

    add("token_embd.weight", len(tokens), hidden, next(kinds))
    if factors:
        add_factors(w, head)
    for i in range(layers):
        b = f"blk.{i}."
        add(b + "attn_norm.weight", 0, hidden, Q.F32)
        add(b + "attn_q.weight", heads * head, hidden, next(kinds))
        add(b + "attn_k.weight", kv * head, hidden, next(kinds))
        add(b + "attn_v.weight", kv * head, hidden, next(kinds))
        add(b + "attn_output.weight", hidden, heads * head, next(kinds))
        if bias:
            for part, n in (("q", heads), ("k", kv), ("v", kv)):
                add(b + f"attn_{part}.bias", 0, n * head, Q.F32)
        add(b + "ffn_norm.weight", 0, hidden, Q.F32)
        add(b + "ffn_gate.weight", ffn, hidden, next(kinds))
        add(b + "ffn_up.weight", ffn, hidden, next(kinds))
        add(b + "ffn_down.weight", hidden, ffn, next(kinds))
    add("output_norm.weight", 0, hidden, Q.F32)
    if not tied:
        add("output.weight", len(tokens), hidden, Q.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    model = AutoModelForCausalLM.from_pretrained(HERE, gguf_file=name + ".gguf", dtype=torch.float32)
    weights = {}
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and tied:
            continue
        flat = value.contiguous().numpy()
        weights[key] = {"shape": list(flat.shape), "fnv": fnv(flat.tobytes()), "first": [float(x) for x in flat.reshape(-1)[:2]]}
    return {"weights": weights, "tokenizer": tokenizer(pre, tokens, types, bos)}


def add_factors(w, head):
    """What llama.cpp's converter writes for rope_type llama3, factor 8."""
    low, high, original, factor, out = 1, 4, 8192, 8.0, []
    for f in 1.0 / (500000.0 ** (np.arange(0, head, 2, dtype=np.float32) / head)):
        length = 2 * np.pi / f
        smooth = (original / length - low) / (high - low)
        out.append(1 if length < original / high else factor if length > original / low else 1 / ((1 - smooth) / factor + smooth))
    w.add_tensor("rope_freqs.weight", np.array(out, dtype=np.float32))


every = [Q.Q8_0] + [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.F16, Q.Q6_K] + [Q.BF16, Q.F16, Q.F32, Q.Q4_0, Q.Q4_1, Q.Q5_1, Q.Q4_K]
every += [Q.Q8_0, Q.Q8_0, Q.BF16, Q.Q5_0, Q.Q4_0, Q.Q4_1, Q.Q5_K]
plain = [Q.Q8_0] * 100
expected = {
    "llama": make("llama", "llama", "smollm", every, 3, 256),
    "llama3": make("llama3", "llama", "llama-bpe", plain, 1, 64, tied=False, specials_first=False, bos="<|start|>", factors=True),
    "qwen2": make("qwen2", "qwen2", "qwen2", plain, 1, 64, bias=True, specials_first=False),
}
with open(os.path.join(HERE, "expected.json"), "w") as f:
    json.dump(expected, f, separators=(",", ":"))
