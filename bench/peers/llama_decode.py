#!/usr/bin/env python3
"""llama.cpp's decoding on the CPU, to run beside ours (bench/decode/run).

Needs a Python with llama-cpp-python, built for this machine, as in

    CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36
    python bench/peers/llama_decode.py --gguf FILE --group 8 --tokens 64 --batch 1 8 32 < prompts

Standard input: {"ids": [...]} a line, a prompt each, as `grpo-host tokenize` prints it. The first BATCH / GROUP prompts
(at least one) are read, each once for all sequences of its group, which share its cache. Then each sequence gets TOKENS
tokens, all sequences in one call a token, with logits for each. Which token follows is not chosen from the logits but
taken from the prompt: that costs llama.cpp nothing, where a user would pay for a sampler.

One JSON line a batch: batch, prompt_tokens, prefill_seconds, decode_seconds; then one line "setup".
"""

import argparse
import ctypes
import json
import os
import sys
import time

import llama_cpp


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--group", type=int, default=8, help="sequences that share a prompt")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of each sequence")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache-type", choices=["f32", "f16"], default="f32", help="of keys and values")
    parser.add_argument("--no-flash-attention", action="store_true", help="default: llama.cpp's own choice")
    return parser.parse_args()


@llama_cpp.llama_log_callback
def errors_only(level, text, _):
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        sys.stderr.write(text.decode(errors="replace"))


class Llama:
    """A model, a context, and one batch to fill."""

    def __init__(self, options, sequences, cells):
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            options.gguf.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"{options.gguf}: llama.cpp cannot load it")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = cells, 2048, 512, sequences
        params.n_threads = params.n_threads_batch = options.threads
        params.kv_unified = True  # so that a copied sequence shares the cells of its prompt
        kind = llama_cpp.GGML_TYPE_F32 if options.cache_type == "f32" else llama_cpp.GGML_TYPE_F16
        params.type_k = params.type_v = kind
        if options.no_flash_attention:
            params.flash_attn_type = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(2048, 0, 1)

    def feed(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted)"""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, logits
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if llama_cpp.llama_decode(self.context, batch):
            sys.exit("llama_decode failed")

    def generate(self, prompts, batch, tokens):
        group = batch // len(prompts)
        llama_cpp.llama_memory_clear(self.memory, False)
        begin = time.perf_counter()
        # All but the last token: that one is pending, and its logits give the first new one.
        self.feed([(token, position, p * group, False) for p, ids in enumerate(prompts)
                   for position, token in enumerate(ids[:-1])])  # fmt: skip
        for p in range(len(prompts)):
            for g in range(1, group):
                llama_cpp.llama_memory_seq_cp(self.memory, p * group, p * group + g, -1, -1)
        llama_cpp.llama_synchronize(self.context)
        prefill = time.perf_counter() - begin

        begin = time.perf_counter()
        for made in range(tokens):
            rows = []
            for sequence in range(batch):
                ids = prompts[sequence // group]
                token = ids[-1] if made == 0 else ids[(made * 7 + sequence) % len(ids)]
                rows.append((token, len(ids) - 1 + made, sequence, True))
            self.feed(rows)
            llama_cpp.llama_synchronize(self.context)
            logits = llama_cpp.llama_get_logits(self.context)
        seconds = time.perf_counter() - begin
        if not logits or logits[0] == logits[1]:
            sys.exit("no logits came back")
        return prefill, seconds


def main():
    options = arguments()
    llama_cpp.llama_log_set(errors_only, ctypes.c_void_p(0))
    prompts = [json.loads(line)["ids"] for line in sys.stdin]
    sequences = max(options.batch)
    cells = sum(len(ids) for ids in prompts) + sequences * (options.tokens + 1)
    llama = Llama(options, sequences, -(-cells // 256) * 256)
    for batch in options.batch:
        wanted = max(1, batch // options.group)
        if len(prompts) < wanted or batch % wanted:
            sys.exit(f"batch {batch} does not go with {len(prompts)} prompts in groups of {options.group}")
        part = prompts[:wanted]
        llama.generate(part, batch, 4)  # pages, threads
        prefill, seconds = llama.generate(part, batch, options.tokens)
        print(json.dumps({"batch": batch, "prompt_tokens": [len(ids) for ids in part],
                          "prefill_seconds": prefill, "decode_seconds": seconds}), flush=True)  # fmt: skip
    setup = {"llama_cpp_python": llama_cpp.__version__, "threads": options.threads, "cache": options.cache_type,
             "parameters": llama_cpp.llama_model_n_params(llama.model),
             "bytes": llama_cpp.llama_model_size(llama.model),
             "features": llama_cpp.llama_print_system_info().decode()}  # fmt: skip
    print(json.dumps({"setup": setup}))


if __name__ == "__main__":
    main()
