"""What the scripts under bench/ share: running programs with their CPU seconds and the machine's load, the machine's
ceilings, a model's size, a busy neighbour, and the row for RESULTS.md. Python 3.9, no package."""
import contextlib
import json
import os
import pathlib
import platform
import re
import resource
import statistics
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Load(threading.Thread):
    """Samples the machine's run queue while something runs: the threads that want a core, ours included. Says so when it
    did not get to run for seconds, as when everything was stopped meanwhile: such a figure is void."""

    def __init__(self):
        super().__init__(daemon=True)
        self.samples, self.over = [], threading.Event()

    def run(self):
        last = time.monotonic()
        while not self.over.wait(0.5):
            now = time.monotonic()
            if now - last > 3:
                print(f"all stood still for {now - last:.0f} s (stopped, or the machine was): measure anew", file=sys.stderr)
            last = now
            self.samples.append(int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1)

    def mean(self):
        self.over.set()
        self.join()
        return statistics.mean(self.samples) if self.samples else float("nan")


def run(command, **settings):
    """Runs to the end; its output, CPU seconds and the mean length of the run queue."""
    command = [str(word) for word in command]
    load = Load()
    load.start()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    queue = load.mean()
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, queue


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def program(build, name):
    path = build / "bench" / name
    if not path.exists():
        sys.exit(f"{path} is not built: tools/setup --bench, then configure with -DGRPO_BUILD_BENCH=ON")
    return path


class Ceilings:
    """What the machine can do, measured in turn with what is held against it: the medians of all samples."""

    def __init__(self, build):
        self.program = program(build, "bench_roofline")
        self.samples = []

    def sample(self):
        self.samples += json_lines(run([self.program])[0])

    def median(self, key):
        return statistics.median(sample[key] for sample in self.samples)

    @property
    def flops(self):
        return self.median("fma_gflops") * 1e9

    @property
    def matmul(self):
        """What LibTorch's matrix product reaches: the ceiling for whoever uses it; without LibTorch, multiply-adds."""
        return self.median("matmul_gflops") * 1e9 if "matmul_gflops" in self.samples[0] else self.flops

    @property
    def bandwidth(self):
        return self.median("read_gbs") * 1e9

    def __str__(self):
        matmul = f", matrix product {self.median('matmul_gflops'):.0f}" if "matmul_gflops" in self.samples[0] else ""
        return f"multiply-add {self.median('fma_gflops'):.0f} GFLOP/s{matmul}, reading {self.bandwidth / 1e9:.1f} GB/s"


class Model:
    """The size of a model in Hugging Face layout, read from its files' heads.

    multiplied: the parameters that each token is multiplied with: all but an embedding table that is only looked up."""

    def __init__(self, directory):
        directory = pathlib.Path(directory)
        config = json.loads((directory / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_size = config.get("head_dim") or config["hidden_size"] // self.heads
        sizes = {}
        for path in sorted(directory.glob("*.safetensors")):
            with path.open("rb") as file:
                head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            for name, tensor in head.items():
                if name != "__metadata__":
                    sizes[name] = 1
                    for extent in tensor["shape"]:
                        sizes[name] *= extent
        if not sizes:
            sys.exit(f"{directory}: no *.safetensors")
        embedding = 0 if "lm_head.weight" not in sizes else sizes.get("model.embed_tokens.weight", 0)
        self.multiplied = sum(sizes.values()) - embedding

    def decode_work(self, prompts, batch, tokens, bytes_a_value=4):
        """FLOPs and bytes that making `tokens` tokens for each of `batch` sequences cannot do without: the weights read
        once a token, a prompt's cache once for the sequences that share it."""
        group = batch // len(prompts)
        cells = made = 0  # read, and multiplied with
        for step in range(1, tokens + 1):
            cells += sum(prompts) + batch * step
            made += group * sum(prompts) + batch * step
        flops = 2 * self.multiplied * batch * tokens + 4 * self.layers * self.heads * self.head_size * made
        cell = 2 * self.layers * self.kv_heads * self.head_size
        return flops, (self.multiplied * tokens + cell * cells) * bytes_a_value


@contextlib.contextmanager
def neighbour(busy=True):
    """A process that wants a core all the time, while the block runs; it ends with this one, however that ends."""
    loop = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n  for _ in range(10**6): pass"
    other = subprocess.Popen([sys.executable, "-c", loop]) if busy else None
    try:
        yield
    finally:
        if other:
            other.kill()
            other.wait()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return re.sub(r"\((R|TM)\)|\s+Processor$", "", line.split(":")[1]).strip()
    return platform.machine()


def commit():
    asked = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return asked.stdout.strip() or "no git"


def command():
    """This script's command line without the places of files, which differ from machine to machine."""
    places = {"--model", "--data", "--build", "--python", "--gguf"}
    words, kept = iter(sys.argv[1:]), [str(pathlib.Path(sys.argv[0]).resolve().relative_to(ROOT))]
    for word in words:
        if word.split("=")[0] in places:
            if "=" not in word:
                next(words, None)
        else:
            kept.append(word)
    return " ".join(kept)


def print_row(result, queues):
    """The row for RESULTS.md."""
    queues = [queue for queue in queues if queue == queue]
    load = f"; runnable {min(queues):.1f} to {max(queues):.1f}" if queues else ""
    print(f"\n| {commit()} | `{command()}` | {len(os.sched_getaffinity(0))} cores, {processor()}{load} | {result} |")
