# The child of rewards/python: loads one function, then scores what comes over a socket, in the main thread.
#
# Descriptors: 0 is empty, 1 and 2 go to the host's log, CHANNEL is the socket, LIFELINE a pipe that nobody writes: when
# its other end closes, with the host, the kernel kills this process and what it started, whatever they are doing.
#
# Frames. Here: 8 bytes each for the sizes of the JSON and of the ids (int32), then both. There: 8 bytes, then JSON.
import importlib
import importlib.util
import json
import os
import signal
import sys
from array import array

CHANNEL, LIFELINE = 3, 4
OWN_FILES = ("<grpo python driver>", "<string>")


# ---- the channel


def read_exactly(size):
    out = bytearray()
    while len(out) < size:
        piece = os.read(CHANNEL, min(size - len(out), 1 << 20))
        if not piece:
            sys.exit(0)  # the host has closed the reward
        out += piece
    return bytes(out)


def read_frame():
    sizes = read_exactly(16)
    text, ids = (int.from_bytes(sizes[at : at + 8], "little") for at in (0, 8))
    message = json.loads(read_exactly(text))
    numbers = array("i")
    numbers.frombytes(read_exactly(ids))
    return message, numbers


def write_frame(message):
    text = json.dumps(message, allow_nan=False).encode()
    rest = memoryview(len(text).to_bytes(8, "little") + text)
    while rest:
        rest = rest[os.write(CHANNEL, rest) :]


def die_with_host():
    import fcntl

    set_signal = 10  # F_SETSIG, which the module does not name
    try:
        fcntl.fcntl(LIFELINE, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(LIFELINE, set_signal, signal.SIGKILL)
        fcntl.fcntl(LIFELINE, fcntl.F_SETFL, os.O_ASYNC)
    except OSError:  # a kernel without it: the end of CHANNEL is seen after a call at the latest
        return
    import select

    poll = select.poll()
    poll.register(LIFELINE, 0)
    if poll.poll(0):  # it was gone before the kernel had been asked
        os._exit(0)


# ---- the batch


class Request:
    """Samples in columns, with their rows."""

    def __init__(self, message, ids):
        self.step, self.rows, self.row = message["step"], message["rows"], message["row"]
        self.completion, self.completion_length = message["completion"], message["completion_length"]
        self.sample_columns = message["sample_columns"]
        for columns, names in ((self.rows["columns"], "json_columns"), (self.sample_columns, "sample_json_columns")):
            for name in message[names]:
                columns[name] = [json.loads(text) if text else None for text in columns[name]]
        at = 0
        lists = []
        for size in message["ids"]:
            lists.append(ids[at : at + size].tolist())
            at += size
        n = len(self.rows["prompt"]) if lists else 0
        self.prompt_ids = [lists[r] for r in self.row] if lists else [[] for _ in self.row]
        self.completion_ids = lists[n:] if lists else [[] for _ in self.row]

    def __len__(self):
        return len(self.row)

    def prompt(self, i):
        return self.rows["prompt"][self.row[i]]

    def truth(self, i):
        return self.rows["truth"][self.row[i]]

    def messages(self, i):
        text = self.rows["messages"][self.row[i]]
        return json.loads(text) if text else None  # anew for each sample: a function may change its own

    def columns_of(self, i):
        out = {name: values[self.row[i]] for name, values in self.rows["columns"].items()}
        out.update((name, values[i]) for name, values in self.sample_columns.items())
        return out

    def column_lists(self, leave_out):
        out = {name: [values[r] for r in self.row] for name, values in self.rows["columns"].items()}
        out.update(self.sample_columns)
        return {name: values for name, values in out.items() if name not in leave_out}


# ---- the user's function


def load(start):
    where, _, name = start["function"].rpartition(":")
    if not where:
        where, name = name, "compute_score"
    folder, _, file = where.rpartition("/")
    for path in [*start["python_path"], folder or "."]:
        if path not in sys.path:
            sys.path.append(path)  # last: a math.py among the rewards must not stand in for Python's own
    if file.endswith(".py"):
        if not os.path.isfile(where):
            raise Refused(f"there is no file {where}")
        stem = "grpo_reward_" + "".join(c if c.isalnum() else "_" for c in file[:-3])
        spec = importlib.util.spec_from_file_location(stem, where)
        module = importlib.util.module_from_spec(spec)
        sys.modules[stem] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(file)
    function = module
    for part in name.split("."):
        if not hasattr(function, part):
            there = [n for n, f in vars(module).items() if callable(f) and not n.startswith("_")
                     and getattr(f, "__module__", None) == module.__name__]
            raise Refused(f"{file} has no `{name}`; it has: " + (", ".join(there) or "no function at all"))
        function = getattr(function, part)
    if isinstance(function, type):
        raise Refused(f"`{name}` is a class; name a function, or an instance that can be called")
    if not callable(function):
        raise Refused(f"`{name}` is no function but {type(function).__name__}")
    return Plan(function, module, start["style"], start["kwargs"], start["conversational"])


class Scoring:
    """One request at a time, answered sample by sample where the function takes one at a time."""

    def __init__(self, plan):
        self.plan, self.loop = plan, None

    def event_loop(self):
        import asyncio

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop

    def finished(self, value):
        import inspect

        return self.event_loop().run_until_complete(value) if inspect.isawaitable(value) else value

    def answer(self, request):
        plan = self.plan
        plan.metrics = {}
        try:
            calls = plan.calls(request)
            if plan.batch:
                (args, kwargs), = calls
                self.send_all(listed(self.finished(plan.function(*args, **kwargs)), len(request)))
            elif plan.is_async:
                self.together(calls)
            else:
                for i, (args, kwargs) in enumerate(calls):
                    self.send(i, lambda: self.finished(plan.function(*args, **kwargs)))
        except BaseException as error:
            line, trace = told(error, OWN_FILES)
            write_frame({"all": line, "trace": trace})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)  # what a grader left behind must not go off in here
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except Exception:
                    pass
        write_frame({"done": True, "metrics": finite_means(plan.metrics)})

    def send(self, i, make):
        write_frame({"results": [self.outcome(i, make)]})

    def send_all(self, values):
        write_frame({"results": [self.outcome(i, lambda: value) for i, value in enumerate(values)]})

    def together(self, calls):
        """A function that waits for others waits for all samples at once."""
        import asyncio

        async def sample(i, args, kwargs):
            try:
                value = await self.plan.function(*args, **kwargs)
                self.send(i, lambda: value)
            except Exception as error:
                self.send(i, lambda: throw(error))

        async def everything():
            await asyncio.gather(*(sample(i, args, kwargs) for i, (args, kwargs) in enumerate(calls)))

        self.event_loop().run_until_complete(everything())

    @staticmethod
    def outcome(i, make):
        try:
            score, parts = one(make())
            return {"i": i, "score": score, "parts": parts}
        except BaseException as error:
            line, trace = told(error, OWN_FILES)
            return {"i": i, "error": line, "trace": trace}


def throw(error):
    raise error


def finite_means(metrics):
    means = {name: sum(values) / len(values) for name, values in metrics.items()}
    return {name: mean for name, mean in means.items() if mean - mean == 0}


def main():
    die_with_host()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    import faulthandler

    faulthandler.enable()  # a crash in a library leaves its Python lines in the log
    for fd in (CHANNEL, LIFELINE):
        os.set_inheritable(fd, False)
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    start, _ = read_frame()
    try:
        plan = load(start)
    except BaseException as error:
        line, trace = (str(error), "") if isinstance(error, Refused) else told(error, OWN_FILES + ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"))
        write_frame({"refused": line, "trace": trace})
        return
    write_frame({"ready": True, "style": plan.style, "batch": plan.batch, "whole": plan.batch or plan.is_async,
                 "ids": plan.wants_ids, "version": sys.version.split()[0]})
    scoring = Scoring(plan)
    while True:
        scoring.answer(Request(*read_frame()))


main()
