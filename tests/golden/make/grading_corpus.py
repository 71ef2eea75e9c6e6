#!/usr/bin/env python3
"""Answers of nine data sets written in other ways, and wrong ones, with what public graders say: tests/grading/corpus.jsonl.

    grading_corpus.py --data DIR --qwen DIR > ../../grading/corpus.jsonl

The first line names the graders; each other is a pair, and `says` holds a 1 or 0 for each of them. The set `facts` is
grading_facts.py. DIR holds gsm8k/test.jsonl and eval/*.jsonl. Every pair is right or wrong by the way it is made: the gold answer in another
spelling, or a slip that a model makes (a sign, a digit, a factor, a bracket, the answer of another question). Each grader is
asked as its trainer asks it, with a completion: "The answer is $\\boxed{...}$."; verl's math_dapo with "Answer: ...", its form.

Needs Python with math-verify 0.9, verl 0.9 (pip install --no-deps), pylatexenc and antlr4-python3-runtime 4.11 (the version
that sympy's own LaTeX parser wants). --qwen names the folder `evaluation` of a clone of QwenLM/Qwen2.5-Math; without it that
grader is left out. A grader that raises or takes more than five seconds has said no: a minus sign stands in `says`.
"""
import argparse
import contextlib
import importlib
import io
import json
import logging
import os
import pathlib
import random
import re
import signal
import sys
import types
from fractions import Fraction

from grading_facts import FACTS

logging.disable(logging.CRITICAL)
SETS = {"gsm8k/test": "answer", "eval/math500": "answer", "eval/aime24": "answer", "eval/amc23": "answer", "eval/minerva_math": "solution",
        "eval/olympiadbench": "final_answer", "eval/asdiv": "answer", "eval/mawps": "target", "eval/svamp": "Answer"}


def boxed(text):
    """The last \\boxed{...} of a solution."""
    at = text.rfind("\\boxed")
    depth, start = 0, None
    for i in range(at, len(text)):
        if text[i] == "{":
            start = i + 1 if start is None else start
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return text[start:i].strip()
    return text.strip()


def golds(path, key):
    out = []
    for line in open(path, encoding="utf-8"):
        value = json.loads(line)[key]
        value = value[0] if isinstance(value, list) else value
        text = str(value)
        if "####" in text:
            text = text.split("####")[-1]
        if "\\boxed" in text:
            text = boxed(text)
        if isinstance(value, float) and value.is_integer():
            text = str(int(value))
        out.append(re.sub(r"^\$(.*)\$$", r"\1", text.strip()))
    return out


# ---- other spellings, by the kind of gold ----
def number_of(gold):
    bare = gold.strip()
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", bare):
        bare = bare.replace(",", "")
    return Fraction(bare) if re.fullmatch(r"-?\d+(\.\d+)?", bare) else None


def terminating(q):
    d = q.denominator
    for p in (2, 5):
        while d % p == 0:
            d //= p
    return d == 1


def decimal_of(q):
    digits = 0
    while (q * 10**digits).denominator != 1:
        digits += 1
    n = abs(int(q * 10**digits))
    text = str(n).rjust(digits + 1, "0")
    return ("-" if q < 0 else "") + (text[:-digits] + "." + text[-digits:] if digits else text)


def tex(q):
    sign = "-" if q < 0 else ""
    return f"{sign}\\frac{{{abs(q.numerator)}}}{{{q.denominator}}}"


def spellings(gold):
    """(form, text): the same answer."""
    yield "as it is", gold
    yield "spaces", " " + gold + " "
    yield "period", gold + "."
    yield "display style", "\\displaystyle " + gold
    q = number_of(gold)
    if q is not None:
        yield "name", f"x = {gold}"
        if q.denominator == 1:
            n = int(q)
            yield "decimal", f"{n}.0"
            yield "decimal", f"{n}.00"
            yield "words", f"{n}\\text{{ units}}"
            yield "words", f"{n} \\text{{ dollars}}"
            yield "dollar", f"\\${n}"
            yield "fraction", f"\\frac{{{2 * n}}}{{2}}"
            if abs(n) >= 1000:
                yield "thousands", f"{n:,}"
                yield "thousands", f"{n:,}".replace(",", "{,}")
                yield "thousands", f"{n:,}".replace(",", ",\\!")
                yield "thousands", f"{n:,}".replace(",", "\\,")
            if n and n % 1000 == 0:
                zeros = len(str(n)) - len(str(n).rstrip("0"))
                yield "scientific", f"{str(n)[:-zeros]} \\times 10^{{{zeros}}}"
        else:
            yield "fraction", tex(q)
            yield "fraction", f"{q.numerator}/{q.denominator}"
            yield "decimal", gold + "0"
            if abs(q) < 1:
                yield "decimal", gold.replace("0.", ".", 1)
    m = re.fullmatch(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}", gold)
    if m and int(m[3]):
        s, a, b = m[1], int(m[2]), int(m[3])
        for text in (f"{s}{a}/{b}", f"{s}\\dfrac{{{a}}}{{{b}}}", f"{s}\\tfrac{{{a}}}{{{b}}}", f"\\frac{{{s}{a}}}{{{b}}}", f"{s}{{{a}}}/{{{b}}}",
                     f"\\left({s}\\frac{{{a}}}{{{b}}}\\right)", f"{s}\\frac{{{3 * a}}}{{{3 * b}}}", f"{s}\\cfrac{{{a}}}{{{b}}}"):
            yield "fraction", text
        if a < 10 and b < 10:
            yield "fraction", f"{s}\\frac{a}{b}"
            yield "fraction", f"{s}\\frac {a} {b}"
        if terminating(Fraction(a, b)):
            yield "decimal", decimal_of(Fraction(int(s + "1") * a, b))
        if a > b and a % b:
            yield "mixed", f"{s}{a // b}\\frac{{{a % b}}}{{{b}}}"
    for root in re.findall(r"\\sqrt\{\d+\}", gold):
        n = root[6:-1]
        yield "root", gold.replace(root, f"({n})^{{1/2}}")
        if len(n) == 1:
            yield "root", gold.replace(root, f"\\sqrt {n}")
    if re.fullmatch(r"\\text\{[^{}]*\}", gold):
        yield "text", gold[6:-1]
        yield "text", gold.replace("\\text", "\\textbf")
        yield "text", gold.replace("\\text", "\\mathrm")
        yield "text", gold[6:-1].lower()
    if "^\\circ" in gold or "^{\\circ}" in gold:
        yield "degrees", gold.replace("^{\\circ}", "").replace("^\\circ", "")
        yield "degrees", gold.replace("^{\\circ}", "\u00b0").replace("^\\circ", "\u00b0")
        yield "degrees", gold.replace("^{\\circ}", "^\\circ").replace("^\\circ", "\\text{ degrees}")
    if "\\%" in gold:
        yield "percent", gold.replace("\\%", "%")
        yield "percent", gold.replace("\\%", "")
        yield "percent", gold.replace("\\%", "\\text{ percent}")
    m = re.fullmatch(r"(.*\d) ?\\text\{ ?([a-z ]+)\}", gold)
    if m:
        yield "unit", m[1]
        yield "unit", f"{m[1]} {m[2]}"
        yield "unit", f"{m[1]}\\ \\mathrm{{{m[2].strip()}}}"
    m = re.fullmatch(r"(-?[\d.]+) \(([a-z ]+)\)", gold)
    if m:
        yield "unit", m[1]
        yield "unit", f"{m[1]} \\text{{ {m[2]}}}"
        yield "unit", f"{m[1]} {m[2]}"
    m = re.fullmatch(r"(\\left)?([(\[])(.*?)(\\right)?([)\]])", gold)
    if m and "," in m[3] and not re.search(r"[()\[\]]", m[3]):
        yield "brackets", f"\\left{m[2]}{m[3]}\\right{m[5]}"
        yield "brackets", f"{m[2]}{m[3]}{m[5]}".replace(",", ", ")
        yield "brackets", f"{m[2]} {m[3]} {m[5]}"
        if "infty" in m[3]:
            yield "interval", gold.replace(",\\infty", ",+\\infty").replace(", \\infty", ", +\\infty")
            yield "interval", "x \\in " + gold
    if re.fullmatch(r"[^()\[\]\\]+(,[^()\[\]\\]+)+", gold) and not re.fullmatch(r"\d{1,3}(,\d{3})+", gold):
        parts = [p.strip() for p in gold.split(",")]
        yield "list", ", ".join(reversed(parts))
        yield "list", "\\{" + ",".join(parts) + "\\}"
        yield "list", ", ".join(parts[:-1]) + " \\text{ and } " + parts[-1]
    if re.search(r"\\begin\{[pb]matrix\}", gold):
        yield "matrix", gold.replace("pmatrix", "bmatrix")
        yield "matrix", gold.replace("&", " & ").replace("\\frac", "\\dfrac")
    if "\\frac" in gold:
        yield "layout", gold.replace("\\frac", "\\dfrac")
    if "(" in gold and "\\left" not in gold:
        yield "layout", gold.replace("(", "\\left(").replace(")", "\\right)") if gold.count("(") == gold.count(")") and "[" not in gold else gold
    if "=" in gold and re.match(r"^[a-z] ?= ?", gold) and gold.count("=") == 1:
        yield "name", gold.split("=")[1].strip()
        yield "name", gold.replace("=", " = ")
    for text in symbolic(gold):
        yield "symbolic", text


def symbolic(gold):
    """The same expression expanded and factored by sympy, where it has letters or roots."""
    if not re.search(r"[a-z]|\\sqrt|\\pi", gold) or re.search(r"text|mathrm|mbox|begin|=|,|\\le|\\ge|<|>|infty|cup|_|circ|%|\?", gold):
        return
    words = re.sub(r"\\[a-zA-Z]+", " ", gold)  # units, 1e5, and capitals, which this parser makes small
    if re.search(r"[a-zA-Z]{3}|\de-?\d|[A-Z]", words) or re.search(r"\\[A-Z]|lfloor", gold):
        return
    import sympy
    from latex2sympy2_extended import latex2sympy
    try:
        e = latex2sympy(gold)
        if not isinstance(e, sympy.Expr) or not e.is_finite and e.is_finite is not None:
            return
        for other in {sympy.latex(sympy.expand(e)), sympy.latex(sympy.factor(e)), sympy.latex(e)}:
            if other.replace(" ", "") != gold.replace(" ", "") and len(other) < 200:
                yield other
    except Exception:
        return


def mistakes(gold, others):
    """(form, text): another answer."""
    q = number_of(gold)
    if q is not None:
        if q.denominator == 1:
            n = int(q)
            yield "off by one", str(n + 1)
            yield "factor", str(n * 10 if n else 10)
            if n:
                yield "sign", str(-n)
                yield "factor", str(n * 2)
                yield "fraction", f"\\frac{{{n}}}{{2}}"
                yield "power", f"{n}^{{{2 if abs(n) > 1 else 0}}}" if abs(n) > 1 else str(n + 2)
            yield "decimal", f"{n}.5"
            if abs(n) >= 100:
                yield "digit", str(n)[:-1] + str((int(str(n)[-1]) + 3) % 10)
        else:
            yield "sign", "-" + gold if q > 0 else gold[1:]
            yield "rounding", str(round(float(q)) if round(float(q)) != q else int(q) + 1)
            yield "factor", decimal_of(q * 10)
    m = re.fullmatch(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}", gold)
    if m and int(m[2]) and int(m[3]):
        s, a, b = m[1], int(m[2]), int(m[3])
        if a != b:
            yield "upside down", f"{s}\\frac{{{b}}}{{{a}}}"
        yield "sign", ("" if s else "-") + f"\\frac{{{a}}}{{{b}}}"
        yield "digit", f"{s}\\frac{{{a + 1}}}{{{b}}}"
        yield "rounding", s + f"{a / b:.1f}" if Fraction(f"{a / b:.1f}") != Fraction(a, b) else f"{s}{a}"
    if "\\sqrt" in gold:
        yield "root", gold.replace("\\sqrt", "", 1)
    if "\\pi" in gold:
        yield "constant", gold.replace("\\pi", "")  if re.search(r"\d", gold) else "3"
    m = re.fullmatch(r"(\\left)?([(\[])(.*?)(\\right)?([)\]])", gold)
    if m and "," in m[3] and not re.search(r"[()\[\]]", m[3]):
        flip = {"(": "[", "[": "("}[m[2]]
        if "infty" in m[3] or m[2] == "[" or m[5] == "]":
            yield "bracket", f"{flip}{m[3]}{m[5]}"
        else:
            parts = m[3].split(",")
            if len(parts) == 2 and parts[0].strip() != parts[1].strip():
                yield "order", f"({parts[1]},{parts[0]})"
            yield "part missing", "(" + ",".join(parts[:-1]) + ")"
    if re.fullmatch(r"[^()\[\]\\]+(,[^()\[\]\\]+)+", gold) and not re.fullmatch(r"\d{1,3}(,\d{3})+", gold):
        yield "part missing", ",".join(gold.split(",")[:-1])
    if re.search(r"[a-z]\^2|[a-z]\^\{2\}", gold):
        yield "power", re.sub(r"\^2|\^\{2\}", "^3", gold, count=1)
    if re.search(r"\d\+", gold) and "," not in gold:
        yield "sign", gold.replace("+", "-", 1)
    for other in others:
        if other.replace(" ", "").lower() != gold.replace(" ", "").lower() and not same_value(gold, other):
            yield "another answer", other
            yield "two answers", f"{gold} \\text{{ or }} {other}"


def same_value(a, b):
    """Golds of two rows that are one answer, as far as a script sees it: numbers behind units and commas."""
    bare = [re.sub(r"[^\d./-]", "", t.replace("\\frac{", "").replace("}{", "/")) for t in (a, b)]
    bare = [t.rstrip("-./") for t in bare]
    return bare[0] == bare[1] and bare[0] != ""


# ---- graders ----
class TooSlow(Exception):
    pass


def limited(function, *arguments):
    def stop(*_):
        raise TooSlow
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return bool(function(*arguments))
    except BaseException as e:  # whatever they raise
        if isinstance(e, KeyboardInterrupt):
            raise
        return None
    finally:
        signal.alarm(0)


def graders(qwen):
    from math_verify import parse, verify
    asked = {"math_verify": lambda g, a: verify(parse(f"${g}$", parsing_timeout=None),
                                                parse(f"The answer is $\\boxed{{{a}}}$.", parsing_timeout=None), timeout_seconds=None)}
    root = pathlib.Path(next(iter(importlib.util.find_spec("verl").submodule_search_locations)))
    for name in ("verl", "verl.utils", "verl.utils.reward_score"):  # without what the packages themselves would import
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    helper = types.ModuleType("verl.utils.py_functional")
    helper.timeout_limit = lambda seconds, use_signals=False: (lambda f: f)  # `limited` does this
    sys.modules[helper.__name__] = helper
    dapo = importlib.import_module("verl.utils.reward_score.math_dapo")
    hendrycks = importlib.import_module("verl.utils.reward_score.math_reward")
    prime = importlib.import_module("verl.utils.reward_score.prime_math")
    asked["verl_math"] = lambda g, a: hendrycks.compute_score(f"The answer is $\\boxed{{{a}}}$.", g) == 1
    asked["verl_dapo"] = lambda g, a: dapo.compute_score(f"So.\nAnswer: {a}", g)["acc"]
    asked["verl_prime"] = lambda g, a: prime.compute_score(f"The answer is $\\boxed{{{a}}}$.", g)[0]
    if qwen:
        import latex2sympy2_extended
        sys.modules["latex2sympy2"] = latex2sympy2_extended  # the successor of what its folder bundles
        sys.path.insert(0, qwen)
        grader, parser = importlib.import_module("grader"), importlib.import_module("parser")
        asked["qwen"] = lambda g, a: grader.math_equal(parser.extract_answer(f"The answer is $\\boxed{{{a}}}$.", "math"),
                                                       parser.strip_string(g))
    return asked


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--qwen")
    arguments.add_argument("--rows", type=int, default=16, help="golds of each set")
    arguments.add_argument("--pairs-only", action="store_true", help="ask no grader")
    a = arguments.parse_args()
    pairs, seen = [], set()
    for name, key in SETS.items():
        rng = random.Random(name)
        every = sorted(set(golds(os.path.join(a.data, name + ".jsonl"), key)))
        every = [g for g in every if len(g) <= 120]
        plain = [g for g in every if re.fullmatch(r"-?[\d,]+", g)]
        rich = [g for g in every if g not in set(plain)]
        rng.shuffle(plain)
        rng.shuffle(rich)
        chosen = (rich[:a.rows * 3 // 4] + plain)[:a.rows]  # the easy ones do not tell graders apart
        for gold in chosen:
            others = rng.sample(every, min(3, len(every)))
            for equal, made in ((True, spellings(gold)), (False, mistakes(gold, others))):
                made = list(made)
                rng.shuffle(made)
                for form, text in made[:6 if equal else 4]:
                    if (gold, text) not in seen:
                        seen.add((gold, text))
                        pairs.append({"set": name.split("/")[-1], "form": form, "gold": gold, "answer": text, "equal": equal})
    for form, facts in FACTS.items():
        pairs += [{"set": "facts", "form": form, "gold": gold, "answer": answer, "equal": equal} for gold, answer, equal in facts]
    asked = {} if a.pairs_only else graders(a.qwen)
    print(json.dumps({"graders": list(asked)}))
    for pair in pairs:
        pair["says"] = "".join({True: "1", False: "0", None: "-"}[limited(grade, pair["gold"], pair["answer"])] for grade in asked.values())
        print(json.dumps(pair, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
