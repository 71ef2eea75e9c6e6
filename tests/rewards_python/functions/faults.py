"""What goes wrong, by the completion."""
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time


def one(reward_input):
    return globals()["do_" + (reward_input["response"].split()[0] if reward_input["response"] else "well")]()


def batch(reward_inputs):
    return [one(r) for r in reward_inputs]


def do_well():
    return 1.0


def do_raise():
    raise ValueError("cannot grade this")


def do_exit():
    sys.exit(4)


def do_os_exit():
    os._exit(3)


def do_segfault():
    ctypes.string_at(0)


def do_abort():
    os.abort()


def do_nan():
    return float("nan")


def do_infinite():
    return {"overall": float("inf")}


def do_text():
    return "1"


def do_list():
    return [1]


def do_dict():
    return {"x": 1}


def do_none():
    return None


def do_dict_none():
    return {"score": None, "format": 1}


def do_print():
    print("a line of mine\n" + "é" * 5000)
    sys.stderr.write("and one to stderr\n")
    os.write(1, b"by its number\n")
    return 1


def do_flood():
    for _ in range(5000):
        print("x" * 200)
    return 1


def do_alarm():
    """As signal-based graders do it; in another thread than the main one this fails."""

    def gave_up(number, frame):
        raise TimeoutError("too long")

    signal.signal(signal.SIGALRM, gave_up)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while True:
            time.sleep(0.01)
    except TimeoutError:
        return 0.5


def do_late_alarm():
    """Leaves an alarm behind that would hit whoever comes next."""
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("a stray alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return 1


def do_sleep():
    time.sleep(0.15)
    return 1


def do_hang():
    while True:
        time.sleep(1)


def do_backtrack():
    re.match(r"(a+)+$", "a" * 60 + "b")  # holds the interpreter's lock: no other thread of it gets to run


def do_child_hang():
    sleeper = subprocess.Popen(["sleep", "1000"])
    print("sleeper", sleeper.pid, flush=True)
    do_backtrack()


def do_input():
    return input()


def do_close():
    os.close(3)
    return 1


def do_garbage():
    os.write(3, b"\xff" * 64)
    return 1


def do_fork():
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(5)


def do_main_thread():
    return float(threading.current_thread() is threading.main_thread())


def do_pid():
    return os.getpid()


def too_few(completions, **kwargs):
    return [1.0] * (len(completions) - 1)


def no_list(completions, **kwargs):
    return {"overall": 1.0}


def partly(completions, **kwargs):
    return [float("nan") if c == "nan" else None if c == "none" else 2.0 for c in completions]
