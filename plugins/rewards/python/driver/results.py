# What a function gave back, read into numbers; and what it raised, told in one line and in full.
import math
import traceback

SCORE_KEYS = ("overall", "score", "reward")


class BadResult(Exception):
    pass


def number(value, what):
    if isinstance(value, (str, bytes)):
        raise BadResult(f"returned {value!r:.60} as {what}, which is no number")
    try:
        out = float(value)
    except (TypeError, ValueError):
        raise BadResult(f"returned {what} of type {type(value).__name__}: {value!r:.60}; a number is wanted") from None
    if not math.isfinite(out):
        hint = "; None says that it does not apply" if math.isnan(out) else ""
        raise BadResult(f"returned {'NaN' if math.isnan(out) else 'an infinite number'} as {what}{hint}")
    return out


def one(value):
    """(score or None, components) of one completion."""
    if value is None:
        return None, {}
    if not isinstance(value, dict):
        return number(value, "a score"), {}
    key = next((k for k in SCORE_KEYS if k in value), None)
    if key is None:
        names = ", ".join(map(str, value)) or "nothing"
        raise BadResult(f"returned a dict with {names}, and none of {', '.join(SCORE_KEYS)}")
    parts = {str(k): p for k, p in ((k, part(v)) for k, v in value.items() if k != key) if p is not None}
    return (None if value[key] is None else number(value[key], f"`{key}`")), parts


def part(value):
    """A component's number; None for what is none, such as the answer that was extracted."""
    if value is None or isinstance(value, (str, bytes, list, tuple, dict)):
        return None
    try:
        out = float(value)
    except Exception:
        return None
    return out if math.isfinite(out) else None


def listed(value, n):
    """The n results of a batch."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise BadResult(f"returned {type(value).__name__}; a function that gets a batch returns a list with a result for "
                        "each completion")
    out = list(value)
    if len(out) != n:
        raise BadResult(f"returned {len(out)} results for {n} completions; it must be one for each")
    return out


def told(error, own_files):
    """(one line, the traceback without our own frames)."""
    if isinstance(error, BadResult):
        return str(error), ""
    frames = traceback.TracebackException.from_exception(error, limit=None)
    stack = [f for f in frames.stack if f.filename not in own_files]
    at = f" ({stack[-1].filename.rpartition('/')[2]}:{stack[-1].lineno}, in {stack[-1].name})" if stack else ""
    if isinstance(error, SystemExit):
        line = f"it called exit({error.code!r})"
    else:
        line = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    frames.stack = traceback.StackSummary.from_list(stack)
    return line[:2000] + at, "".join(frames.format())[-8000:]
