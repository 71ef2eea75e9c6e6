#!/usr/bin/env python3
"""Prints recent_characters.inc: the characters that Unicode 15 and 16 assigned, with their general categories.

PCRE2 10.42 knows Unicode 14 and utf8proc 2.8 Unicode 15, the Oniguruma inside `tokenizers` 0.23 knows Unicode 16. The categories
are asked of the latter, the characters that were assigned before of Python's unicodedata, which must be of Unicode 14.
Needs Python 3.11 and tokenizers 0.23.  Usage: recent_characters.py > sdk/src/text/tokenizer/recent_characters.inc
"""
import unicodedata

from tokenizers import Regex, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", "needs the Unicode 14 of Python 3.11"
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cf".split()


def members(category):
    removes = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed")
    for base in range(0, 0x110000, 0x1000):
        block = [c for c in range(base, base + 0x1000) if not 0xD800 <= c <= 0xDFFF]
        kept = {ord(c) for piece, _ in removes.pre_tokenize_str("".join(map(chr, block))) for c in piece}
        yield from (c for c in block if c not in kept)


rows = []
for category in CATEGORIES:
    new = [c for c in members(category) if unicodedata.category(chr(c)) == "Cn"]
    for c in new:
        if rows and rows[-1][2] == category and rows[-1][1] == c - 1:
            rows[-1][1] = c
        else:
            rows.append([c, c, category])
for first, last, category in sorted(rows):
    print('{0x%X, 0x%X, "%s"},' % (first, last, category))
