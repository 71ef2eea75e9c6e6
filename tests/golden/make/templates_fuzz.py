"""Random templates and what Jinja2 makes of them, set up by transformers itself.

Prints a JSONL of {"template", "variables", "text"} or {..., "error": true}. Needs a Python with transformers 5.23 and
Jinja2 3.1.6:  python templates_fuzz.py COUNT [SEED] > ../../template/fuzz.jsonl
"""

import json
import random
import re
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

VARIABLES = {
    "i": 7, "n": -3, "z": 0, "f": 2.5, "g": -0.1, "big": 1e16, "t": True, "no": False, "nil": None,
    "s": "Hello World", "e": "", "sp": "  a b\tc \n", "u": "Ünï ß 你好 Σας", "h": "<a href='x'>\"&\"</a>", "d": "12.50",
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "m": [1, "x", None, 2.0, True], "el": [],
    "o": {"b": 1, "A": "two", "c": [1, 2]}, "eo": {},
    "p": [{"name": "Bo", "age": 5, "ok": True}, {"name": "al", "age": 3}, {"name": "Cy", "age": 9, "ok": False}],
}
NUMBERS = ["i", "n", "z", "f", "g", "t", "big", "1", "2", "-1", "0", "3.5", "10"]
TEXTS = ["s", "e", "sp", "u", "h", "d", "'x'", "'l'", "'a,b,,c'", "'%s-%s'", "\"it's\"", "'{}'"]
LISTS = ["l", "w", "m", "el", "[1, 2, 3]", "['x', 'y']", "(1, 'b')", "range(4)", "p", "o.c"]
DICTS = ["o", "eo", "{'k': 1, 2: 'v'}", "p[0]", "dict(a=1, b='c')"]
OTHER = ["nil", "missing", "none", "true", "namespace(a=1)"]
TEXT_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "trim('H')", "length", "string", "reverse", "list", "first",
                "last", "replace('l', 'L')", "replace('l', '', 1)", "indent(2)", "indent(2, true)", "int", "float", "safe", "e",
                "wordcount", "center(14)", "truncate(5)", "truncate(6, true, '')", "tojson", "default('d')", "join('-')",
                "int(9)", "int(base=16)", "unique | join", "sort | join", "count"]
LIST_FILTERS = ["length", "first", "last", "join", "join(', ')", "list", "reverse | list", "sort", "sort(reverse=true)", "unique | list",
                "min", "max", "sum", "map('string') | list", "map('upper') | join('|')", "select | list", "reject('none') | list",
                "select('number') | list", "select('gt', 1) | list", "tojson", "tojson(indent=2)", "batch(2) | list",
                "batch(2, 'z') | list", "slice(2) | list", "string", "default([])", "map(attribute='name') | list",
                "selectattr('ok') | list", "selectattr('ok', 'defined') | map(attribute='age') | list",
                "rejectattr('age', 'gt', 4) | list | length", "sort(attribute='age') | map(attribute='name') | join", "items | list",
                "map('length') | list", "sum(attribute='age')", "map(attribute='age', default=0) | list"]
DICT_FILTERS = ["length", "items | list", "dictsort", "dictsort(true)", "dictsort(by='value')", "dictsort(reverse=true)", "list",
                "tojson", "tojson(sort_keys=true)", "tojson(indent=1, separators=(',', ':'))", "first", "string", "join(',')", "attr('keys')() | list"]
NUMBER_FILTERS = ["abs", "int", "float", "round", "round(1)", "round(1, 'floor')", "round(0, 'ceil')", "string", "tojson", "default(1)"]
METHODS = ["strip()", "lstrip()", "rstrip()", "strip('Hd')", "split()", "split(',')", "split(' ', 1)", "rsplit(' ', 1)", "upper()",
           "lower()", "title()", "capitalize()", "swapcase()", "startswith('H')", "endswith('d')", "startswith(('a', 'H'))",
           "replace('o', '0')", "find('o')", "rfind('o')", "count('l')", "index('o')", "isdigit()", "isalpha()", "isupper()",
           "splitlines()", "zfill(6)", "ljust(14, '.')", "rjust(14)", "center(13, '*')", "partition(' ')", "rpartition('o')",
           "join(['1', '2'])", "format(1, 2)", "removeprefix('He')", "removesuffix('d')", "isspace()", "expandtabs(4)", "casefold()"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable", "sequence",
         "true", "false", "odd", "even", "divisibleby(3)", "divisibleby 2", "eq(7)", "ne 7", "gt(1)", "lt 3", "ge(7)", "le(0)",
         "in [7, 'x']", "sameas(true)", "lower", "upper", "callable", "escaped", "equalto('x')"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
SLICES = ["[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "[1:3]", "[::2]", "[-2:]", "[5]", "[:z]", "[i:]", "[3:0:-1]", "['b']", "['name']"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *lists):
        return self.random.choice(self.random.choice(lists))

    def atom(self):
        return self.pick(NUMBERS, NUMBERS, TEXTS, TEXTS, LISTS, DICTS, OTHER)

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        kind = self.random.randrange(14)
        if kind < 2:
            return f"{self.expression(depth - 1)} {self.random.choice(OPERATORS)} {self.expression(depth - 1)}"
        if kind == 2:
            return f"({self.expression(depth - 1)})"
        if kind == 3:
            return f"({self.pick(NUMBERS)} {self.random.choice(OPERATORS[:7])} {self.pick(NUMBERS)})"
        if kind == 4:
            return f"{self.pick(TEXTS)} | {self.random.choice(TEXT_FILTERS)}"
        if kind == 5:
            return f"{self.pick(LISTS)} | {self.random.choice(LIST_FILTERS)}"
        if kind == 6:
            return f"{self.pick(DICTS)} | {self.random.choice(DICT_FILTERS)}"
        if kind == 7:
            return f"({self.expression(depth - 1)}) | {self.pick(TEXT_FILTERS, LIST_FILTERS, DICT_FILTERS, NUMBER_FILTERS)}"
        if kind == 8:
            return f"{self.pick(TEXTS)}.{self.random.choice(METHODS)}"
        if kind == 9:
            return f"({self.expression(depth - 1)}) is {self.pick(('', 'not '))}{self.random.choice(TESTS)}"
        if kind == 10:
            return f"({self.expression(depth - 1)} if {self.expression(depth - 1)} else {self.expression(depth - 1)})"
        if kind == 11:
            return f"{self.pick(TEXTS, LISTS, DICTS)}{self.random.choice(SLICES)}"
        if kind == 12:
            return f"[{self.expression(depth - 1)}, {self.expression(depth - 1)}]"
        return f"{self.pick(NUMBERS)} | {self.random.choice(NUMBER_FILTERS)}"

    def tag(self, name):
        return "{%" + self.pick(("", "", "-", "+")) + " " + name + " " + self.pick(("", "", "-", "+")) + "%}"

    def text(self):
        return self.pick(("", "\n", "  ", " x ", "\n  ", "a\n\n", "{", "}", "\t", "# "))

    def statement(self, depth):
        if depth <= 0 or self.random.random() < 0.4:
            return self.text() + "{{" + self.pick(("", "-")) + " " + self.expression(2) + " " + self.pick(("", "-")) + "}}" + self.text()
        body = lambda: self.text() + self.statement(depth - 1) + self.text()
        kind = self.random.randrange(10)
        if kind == 0:
            return self.tag("if " + self.expression(2)) + body() + self.tag("else") + body() + self.tag("endif")
        if kind == 1:
            loop = self.pick(("loop.index", "loop.last", "loop.first", "loop.length", "loop.nextitem", "loop.previtem", "loop.revindex", "loop.cycle(1, 2)", "loop.changed(v)"))
            where = self.pick(("", "", " if v", " if v is string", " if loop is undefined"))
            return self.tag(f"for v in {self.pick(LISTS, DICTS, TEXTS)}{where}") + "{{ v }}:{{ " + loop + " }}" + body() + self.tag("endfor")
        if kind == 2:
            return self.tag(f"for a, b in {self.pick(DICTS)}.items()") + "{{ a }}={{ b }}" + body() + self.tag("else") + body() + self.tag("endfor")
        if kind == 3:
            name = self.pick(("q", "s", "i"))
            return self.tag(f"set {name} = " + self.expression(2)) + body() + "{{ " + name + " }}"
        if kind == 4:
            return self.tag("set q" + self.pick(("", " | upper", " | trim | length"))) + body() + self.tag("endset") + "[{{ q }}]"
        if kind == 5:
            return self.tag("macro mac(a, b=i, c='z')") + "{{ a }}{{ b }}{{ varargs }}" + body() + self.tag("endmacro") + "{{ mac(" + self.pick(("", "1", "1, 2", "b=2", "1, 2, 3, 4", "*l", "**{'c': 1}", "q=1")) + ") }}"
        if kind == 6:
            return self.tag("filter " + self.pick(("upper", "trim", "replace('a', 'b') | title", "indent"))) + body() + self.tag("endfilter")
        if kind == 7:
            return self.tag("set ns = namespace(x=0)") + self.tag("for v in l") + self.tag("set ns.x = ns.x + v") + self.tag("if v == 1") + self.tag(self.pick(("break", "continue"))) + self.tag("endif") + body() + self.tag("endfor") + "{{ ns.x }}"
        if kind == 8:
            return self.tag("with q = " + self.expression(1)) + "{{ q }}" + body() + self.tag("endwith") + "{{ q }}"
        return "{#" + self.pick(("", "-")) + " note " + self.pick(("", "-", "+")) + "#}" + body() + "{% raw %}{{ x }} {% endraw " + self.pick(("", "-")) + "%}"


def render(template, variables):
    # Jinja folds constants: it reads -1 ** x as -(1 ** x), and slices a literal dict to undefined, but only then
    if re.search(r"-1\)* \*\*|\}\[[^\]]*:", template):
        return None
    try:
        text = _compile_jinja_template(template).render(**variables)
    except Exception:
        return {"error": True}
    # addresses, complex numbers and whole numbers of more than 64 bits are no part of the comparison
    if re.search(r" at 0x|\d{19}|\dj\)", text):
        return None
    return {"text": text}


def main():
    count = int(sys.argv[1])
    generator = Generator(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    made = 0
    while made < count:
        template = "".join(generator.statement(2) for _ in range(generator.random.randrange(1, 3)))
        result = render(template, VARIABLES)
        if result is None or (result.get("error") and generator.random.random() < 0.6) or len(template) > 400:
            continue
        print(json.dumps({"template": template, **result}, ensure_ascii=False))
        made += 1


if __name__ == "__main__":
    main()
