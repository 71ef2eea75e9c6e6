"""Reads the C headers of the contract: structs, fields, enums, macros and functions, each with its comment.

For tools/abi-record, tools/reference and the tests of compatibility. It understands the C of these headers and no more:
typedef struct, struct, enum, object and function macros, inline functions, prototypes, pointers to functions as members.
What it does not understand is an error with the place, never left out.

    for header in read_folder("c_api/include/grpo"): header.path, header.items -> Struct, Enum, Macro, Function, Alias
"""
import pathlib
import re
from dataclasses import dataclass, field


@dataclass
class Field:
    name: str
    type: str  # "const grpo_str*"; a function: "grpo_status (*)(void* handle, const grpo_call* call)"
    before: str  # the comment before it, and the one behind it
    behind: str
    is_function: bool


@dataclass
class Struct:
    name: str
    kind: str  # "grows" or "frozen", by its comment
    comment: str
    fields: list
    end: int  # where in the text its closing brace stands


@dataclass
class Enum:
    comment: str
    values: list  # (name, expression, comment behind it)


@dataclass
class Macro:
    name: str
    parameters: str  # "(p, field)"; None: an object
    value: str
    comment: str


@dataclass
class Function:
    name: str
    type: str
    comment: str
    inline: bool


@dataclass
class Alias:
    name: str
    type: str
    comment: str


@dataclass
class Header:
    path: str  # below the folder: "draft/environment.h"
    text: str
    comment: str  # at its head
    items: list = field(default_factory=list)


COMMENT = re.compile(r"/\*.*?\*/", re.S)


class NotUnderstood(Exception):
    pass


def plain(comment):
    """A comment without its stars, one line a paragraph line."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in comment.strip()[2:-2].strip().split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def squeeze(text):
    text = re.sub(r"\s+", " ", COMMENT.sub(" ", text)).strip()
    text = re.sub(r"\s*\*\s*", "*", text)
    text = re.sub(r"\*(?=\w)", "* ", text)
    text = re.sub(r"\(\* ", "(*", text)
    return re.sub(r"\s*([(),])\s*", lambda m: {"(": "(", ")": ")", ",": ", "}[m[1]], re.sub(r"(\w) \(\*", r"\1 @*", text)).replace("@*", "(*")


def split(text, separator):
    """At the separators outside of brackets and comments."""
    parts, depth, start, i = [], 0, 0, 0
    while i < len(text):
        if text.startswith("/*", i):
            i = text.index("*/", i) + 2
            continue
        c = text[i]
        depth += c in "({[" 
        depth -= c in ")}]"
        if c == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return parts + [text[start:]]


def declarators(text, where):
    """(name, type, is_function) of each thing that one declaration declares."""
    text = squeeze(text)
    pointer = re.match(r"^(.*?) ?\(\*(\w+)\)(\(.*\))$", text)
    if pointer:
        return [(pointer[2], f"{pointer[1]} (*){pointer[3]}", True)]
    names = [part.strip() for part in split(text, ",")]
    first = re.match(r"^(.*[\s*])(\w+)$", names[0])
    if not first or any(not re.fullmatch(r"\w+", name) for name in names[1:]):
        raise NotUnderstood(f"{where}: {text}")
    kind = first[1].strip()
    return [(name, kind, False) for name in [first[2]] + names[1:]]


def without_names(type_text):
    """A function type without the names of its parameters, which belong to the reader."""
    function = re.match(r"^(.*?) ?(\(\*\w*\)|)(\(.*\))$", type_text)
    if not function:
        return type_text
    parameters = []
    for p in split(function[3][1:-1], ","):
        p = p.strip()
        inner = re.match(r"^(.*?) ?\(\*\w*\)(\(.*\))$", p)
        if inner:
            parameters.append(without_names(f"{inner[1]} (*){inner[2]}"))
            continue
        p = re.sub(r"\s*\w*\[(\w*)\]$", r" [\1]", p)
        named = re.match(r"^(.*[\s*])(\w+)$", p)
        parameters.append(named[1].strip() if named and named[1].strip() not in ("const", "unsigned", "struct") else p)
    return f"{function[1]} {'(*)' if function[2] else ''}({', '.join(parameters)})"


def members(body, where):
    fields, before, at = [], "", 0
    while True:
        at += len(body[at:]) - len(body[at:].lstrip())
        if at >= len(body):
            return fields
        if body.startswith("/*", at):
            end = body.index("*/", at) + 2
            before = plain(body[at:end])
            at = end
            continue
        end = at + len(split(body[at:], ";")[0])
        if end >= len(body):
            raise NotUnderstood(f"{where}: {body[at:].strip()[:80]}")
        declaration = body[at:end]
        inside = " ".join(plain(c) for c in COMMENT.findall(declaration))
        at = end + 1
        trailing = re.match(r"[ \t]*(/\*.*?\*/)", body[at:], re.S)
        behind = plain(trailing[1]) if trailing else ""
        at += trailing.end() if trailing else 0
        for name, kind, is_function in declarators(declaration, where):
            fields.append(Field(name, kind, before, (inside + " " + behind).strip(), is_function))
        before = ""


def enumerators(body):
    out = []
    # A comment belongs to the value before it, also behind the comma.
    for match in re.finditer(r"(\w+)\s*=\s*([^,/]+?)\s*(?:,|(?=/\*)|$)\s*(/\*.*?\*/)?\s*,?", body, re.S):
        out.append((match[1], squeeze(match[2]), plain(match[3]) if match[3] else ""))
    if not out:
        raise NotUnderstood(f"enum {body.strip()[:80]}")
    return out


def statement_end(text, at):
    """The place behind the declaration that starts at `at`: its semicolon, or the brace of an inline function."""
    depth, i = 0, at
    while i < len(text):
        if text.startswith("/*", i):
            i = text.index("*/", i) + 2
            continue
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0 and not re.match(r"\s*\w*\s*;", text[i + 1:]):
                return i + 1
        elif text[i] == ";" and depth == 0:
            return i + 1
        i += 1
    raise NotUnderstood(f"no end of: {text[at:at + 60].strip()}")


def declaration(text, at, end, comment, path):
    chunk, where = text[at:end], f"{path}: {squeeze(text[at:end])[:70]}"
    head = squeeze(chunk)
    if re.fullmatch(r"typedef struct (\w+) (\w+);", head) or re.fullmatch(r"struct \w+;", head):
        return None  # a name for what comes later
    struct = re.match(r"\s*(?:typedef )?struct (\w+) \{", chunk)
    if struct:
        close = chunk.rindex("}")
        body = chunk[struct.end():close]
        kind = "frozen" if "[frozen]" in comment and "[grows]" not in comment else "grows"
        if "[frozen]" not in comment and "[grows]" not in comment:
            raise NotUnderstood(f"{path}: the comment of struct {struct[1]} says neither [frozen] nor [grows]")
        return Struct(struct[1], kind, comment, members(body, where), at + close)
    enum = re.match(r"\s*enum \{(.*)\}\s*;$", chunk, re.S)
    if enum:
        return Enum(comment, enumerators(enum[1]))
    function = re.match(r"(static inline |)(.*?[\s*])(\w+)(\(.*?\)) ?(\{.*|;)$", head)
    if function and not head.startswith("typedef"):
        inline = bool(function[1])
        kind = re.sub(r"^(GRPO_EXPORT|GRPO_\w*API|extern)\s+", "", function[2]).strip()
        return Function(function[3], f"{kind} {function[4]}", comment, inline)
    alias = re.match(r"typedef (.*?[\s*])(\w+)(\(.*\)|);$", head)
    if alias:
        return Alias(alias[2], (alias[1].strip() + " " + alias[3]).strip(), comment)
    raise NotUnderstood(where)


def read_text(text, path):
    header, at, comment, seen = Header(path, text, ""), 0, "", set()
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if at >= len(text):
            return header
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            if not header.comment:
                header.comment = plain(text[at:end])
            else:
                comment = plain(text[at:end])
            at = end
        elif text[at] == "#":
            end = at
            while True:
                end = text.index("\n", end) + 1
                if text[end - 2] != "\\":
                    break
            line = text[at:end].replace("\\\n", " ")
            define = re.match(r"#\s*define (\w+)(\([^)]*\))?[ \t]*(.*)", line, re.S)
            if define and not re.search(r"_H$", define[1]) and define[1] not in seen:
                seen.add(define[1])
                trailing = COMMENT.search(define[3])
                about = plain(trailing[0]) if trailing else comment
                header.items.append(Macro(define[1], define[2], COMMENT.sub("", define[3]).strip(), about))
            if define or "if" not in line:
                comment = ""
            at = end
        elif text.startswith('extern "C" {', at):
            at += len('extern "C" {')
        elif text[at] == "}":
            at += 1
        else:
            end = statement_end(text, at)
            item = declaration(text, at, end, comment, path)
            trailing = re.match(r"[ \t]*(/\*.*?\*/)", text[end:], re.S)
            if trailing:
                end += trailing.end()
                if item and not item.comment:
                    item.comment = plain(trailing[1])
            if item:
                header.items.append(item)
                if isinstance(item, Enum) and ("[grows]" in comment or "[frozen]" in comment):
                    item.comment = ""  # it is about the struct that uses the enum, which follows
                else:
                    comment = ""
            at = end


def read_folder(folder, drafts=True):
    """The headers below a folder, in order of path; drafts=False: without draft/."""
    folder = pathlib.Path(folder)
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.h"))
    return [read_text((folder / p).read_text(), p) for p in paths if drafts or not p.startswith("draft/")]
