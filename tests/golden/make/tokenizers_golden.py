#!/usr/bin/env python3
"""Writes tests/tokenizer/data: small tokenizers with the pipelines of real models, and what `tokenizers` makes of many texts.

Needs a Python with tokenizers 0.23.  Usage: tokenizers_golden.py [--real NAME=tokenizer.json ...]

data/texts.jsonl        one JSON string a line, the texts that every tokenizer encodes
data/<name>.json        a tokenizer.json, vocabulary trained here on the texts (small: it is the pipeline that is tested)
data/<name>.ids.jsonl   ids of each text, a line for a line; lines behind the texts repeat some with add_special_tokens
data/<name>.decode.jsonl  [ids, text, text without special tokens] of random and truncated id lists
--real adds goldens for a full tokenizer.json that is too big to commit, and a reduced form of it that is not.

Texts that hold unusual characters are spelled with escapes: an editor that normalises source code would change them.
"""
import argparse, json, pathlib, random, unicodedata

from tokenizers import Tokenizer, AddedToken, models, trainers, pre_tokenizers, Regex

HERE = pathlib.Path(__file__).resolve()
DATA = HERE.parents[2] / "tokenizer" / "data"

# ---------------------------------------------------------------- texts

SENTENCES = """
The quick brown fox jumps over the lazy dog. It's what we've got, isn't it? They'll say I'd and we're 'round.
IT'S WHAT WE'VE GOT, THEY'LL SAY I'D, WE'RE, I'M
Cr\u00e8me br\u00fbl\u00e9e co\u00fbte 12,50 \u20ac \u00e0 l'h\u00f4tel; na\u00efve fa\u00e7ade \u0153uvre
Cre\u0300me bru\u0302le\u0301e nai\u0308ve fac\u0327ade a\u0323\u0307 e\u0301\u0301 q\u0307\u0323 \u1e69 s\u0323\u0307
Stra\u00dfe \u00c4rger \u00dcbung \u1e9e Gr\u00f6\u00dfe
Vi\u1ec7t Nam: ti\u1ebfng Vi\u1ec7t c\u00f3 d\u1ea5u thanh
\u0130stanbul \u0131\u015f\u0131k \u011fl\u00fc Dz \u01c5 \u01f2 \u01c8
\u0421\u044a\u0435\u0448\u044c \u0436\u0435 \u0435\u0449\u0451 \u044d\u0442\u0438\u0445 \u043c\u044f\u0433\u043a\u0438\u0445 \u0444\u0440\u0430\u043d\u0446\u0443\u0437\u0441\u043a\u0438\u0445 \u0431\u0443\u043b\u043e\u043a, \u0434\u0430 \u0432\u044b\u043f\u0435\u0439 \u0447\u0430\u044e
\u0437\u0430\u0301\u043c\u043e\u043a \u0438 \u0437\u0430\u043c\u043e\u0301\u043a; \u0438\u0306 \u0456\u0308 \u0457 \u0491
\u039e\u03b5\u03c3\u03ba\u03b5\u03c0\u03ac\u03b6\u03c9 \u03c4\u1f74\u03bd \u03c8\u03c5\u03c7\u03bf\u03c6\u03b8\u03cc\u03c1\u03b1 \u03b2\u03b4\u03b5\u03bb\u03c5\u03b3\u03bc\u03af\u03b1 \u1f7d \u1fd3 \u2126 \u212a \u1f04\u1fb3
\u0635\u0650\u0641 \u062e\u064e\u0644\u0642\u064e \u062e\u064e\u0648\u062f\u0650 \u0643\u064e\u0645\u0650\u062b\u0644\u0650 \u0627\u0644\u0634\u064e\u0645\u0633\u0650 \u0661\u0662\u0663 \u06f4\u06f5\u06f6 \u060c \u061f
\u0627\u0644\u0644\u0647 \ufdf2 \ufefb \u0644\u0627 \u200f(\u0645\u0631\u062d\u0628\u0627)\u200e
\u05d3\u05d2 \u05e1\u05e7\u05e8\u05df \u05e9\u05d8 \u05d1\u05d9\u05dd \u05de\u05d0\u05d5\u05db\u05d6\u05d1 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \ufb2a \ufb1d
\u090b\u0937\u093f\u092f\u094b\u0902 \u0915\u094b \u0938\u0924\u093e\u0928\u0947 \u0935\u093e\u0932\u0947 \u0926\u0941\u0937\u094d\u091f \u0967\u0968\u0969 \u0964 \u0958 \u0915\u093c
\u0e40\u0e1b\u0e47\u0e19\u0e21\u0e19\u0e38\u0e29\u0e22\u0e4c\u0e2a\u0e38\u0e14\u0e1b\u0e23\u0e30\u0e40\u0e2a\u0e23\u0e34\u0e10 \u0e50\u0e51\u0e52 \u0e33 \u0e4d\u0e32
\u4eba\u4e4b\u521d\uff0c\u6027\u672c\u5584\u3002\u5c0f\u660e\u67093\u4e2a\u82f9\u679c\uff0c\u53c8\u4e70\u4e8612\u4e2a\u3002\u4e00\u5171\uff1f
\u3044\u308d\u306f\u306b\u307b\u3078\u3068 \u30ab\u30bf\u30ab\u30ca \uff76\uff9e\uff77\uff9e \u304b\u3099 \u304c \u30fc \u3000\u5168\u89d2\u3000\uff21\uff22\uff23\uff11\uff12\uff13
\ub3d9\ud574\ubb3c\uacfc \ubc31\ub450\uc0b0\uc774 \u1112\u1161\u11ab\u1100\u1173\u11af \u3131\u314f\u314e
\ud55c\uad6d\uc5b4 \U0001f600 \u1100\u1161 \ua960 \ud7b0
\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8 \u1c90\u1c91 \u0540\u0561\u0575\u0565\u0580\u0565\u0576 \u1204\u1208\u121d \u13a0\u13e3 \u1681\u1682\u1680
\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0c24\u0c46\u0c32\u0c41\u0c17\u0c41 \u0d2e\u0d32\u0d2f\u0d3e\u0d33\u0d02 \u0995\u09cb \u0a97\u0ac1\u0a9c\u0ab0\u0abe\u0aa4\u0ac0 \u0f56\u0f7c\u0f51 \u1019\u103c\u1014\u103a\u1019\u102c \u1797\u17b6\u179f\u17b6
\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd \u2764\ufe0f \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f \u0031\ufe0f\u20e3
\U0001d44e\U0001d7d7 \U00010400 \U00010330 \U00020000\U0002a6d6 \U0001f100 \U000e0001 \U0010ffff \U000fffff \ue000 \uf8ff
\u2460 \u2167 \u00bd \u00b2 \u3289 \u0bf0 \u0f2b \u10108 \U00010107 \U0001d7ce \uff15 \u0664\u06f4\u096a\u0ae6\u0e54\u17e4\u1814
\ufb01nance \u01c6 \u2122 \u33a5 \u3392 \u00aa \u1d2c \ufdfa \u1e9b\u0323 \u017f \u212b \u00c5 A\u030a
\u1c89\ua7cb\u0897 \U00031350\U0001e030 \U00010d40\U00010d41 \U00011bf0\u1b4e \u2ffc\U0001fae9 a\U00010d4a\U00010d69 \u32ff \u00b2\u00bd
\uadc0\u11a7\u11a8 \ufdf2\U00011935\U00011930 a\u035e\U00010f84 x\u1acb\u0334 \u1100\u1161\u11a8\u0301
it'\u017f IT'S it\u2019s 'S 'T 'LL 'vE 'Re 'M 'D '\u017ft x'\u212a ''' 's's
don't can't won't I'm I'd I'll they've you're he's 'tis o'clock rock'n'roll 's
""".strip().split("\n")

CODE = [
    "def f(x):\n    return x**2 + 1\n\n\nclass A:\n\tpass\n",
    "#include <vector>\nint main() { std::vector<int> v{1,2,3}; return v[0] != 1 && v.size() >= 3; }\r\n",
    "for (let i=0; i<10; ++i) { console.log(`${i}`); } // done",
    "SELECT * FROM t WHERE a='b' AND c<>1; -- ok", "{\"a\": [1, 2.5e-3, null], \"b\": \"\\u00e9\"}",
    "if x == 'a':\n        y = \"\"\"doc\"\"\"\n", "https://example.org/a_b?c=d&e=%20#f", "user@example.com, C:\\dir\\file.txt",
    "    \t  mixed\t\tindent   \n\n\n  x", "a\r\nb\rc\n\rd", "x=1;y=2;;;", "#!/bin/sh\nset -eu\n", "---\n***\n___\n===",
    "\\frac{a}{b} + \\sqrt{x^2+1} = \\boxed{42}", "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$",
    "\\(x \\in \\mathbb{R}^{n \\times m}\\), \\[\\sum_{i=1}^{n} i\\]", "2^{10} = 1024; 3.14159; 1,234,567.89; 10%; $5; #### 72",
    "<think>\nOkay, 12 * 34 = 408.\n</think>\n\n<answer>408</answer>", "x\u00b2 + y\u00b2 \u2264 z\u00b2, \u2200\u03b5>0 \u2203\u03b4: |x\u2212y|<\u03b4 \u21d2 \u2026",
]

SPACES = [" ", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2000", "\u2003", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]

GSM8K = [
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell altogether in April and May?",
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much did she earn?",
    "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.\nWorking 50 minutes, she earned 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10",
    "Betty is saving money for a new wallet which costs $100. Betty has only half of the money she needs. Her parents decided to give her $15 for that purpose, and her grandparents twice as much as her parents.",
    "James writes a 3-page letter to 2 different friends twice a week.  How many pages does he write a year?",
]

ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<s>", "</s>", "<unk>", "<tool_call>", "<|nope|>",
         "<|begin_of_text|>", "<\uff5cUser\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "[WORD]", "[LEFT]", "[RIGHT]", "[Norm\u00e9]", "<0x41>", "\u2581"]


def texts():
    rng = random.Random(20)
    out = ["", "a", "A b", "Hello, world!"] + SENTENCES + CODE + GSM8K
    out += [f"{a}{s}{b}" for s in SPACES for a, b in (("a", "b"), ("", "b"), ("a", ""), ("!", "1"))]
    out += [s * n for s in (" ", "\n", "\t", "\xa0", "\u3000", "a", "1", "!", "=", "\u4e00", "\u0301", "\U0001f600", "ab", " a", "'s") for n in (2, 3, 5, 9, 60)]
    out += ["a" * 300 + "b" * 100, "1" * 130, "ab " * 60, "\u0e01" * 80, " " * 24 + "x", "\n" * 31 + "y"]
    out += [chr(c) for c in range(0x20)] + ["x" + chr(c) + "y" for c in range(0x7f, 0xa1)]
    for token in ADDED:
        out += [token, f"a{token}b", f"a {token} b", f" {token}", f"{token} ", f"\n {token}\t\n{token}", token[:-1], token + token, f"x{token[:1]}{token}_1"]
        out += [f"\u00e9{token}\u00e9", f"a\u3000{token}\xa0b", token.upper(), unicodedata.normalize("NFD", token)]
    words = sorted({w for s in SENTENCES + CODE + GSM8K for w in s.split()})
    glue = [" ", " ", " ", "", "  ", "\n", "\n\n", ", ", "'s ", "-", "\t", " \n", "\xa0", "1", "12", "2024", "\u0301", "\u200d", ".", "?!", " 's", "'Ll"]
    for _ in range(420):
        out.append("".join(rng.choice(words) + rng.choice(glue) for _ in range(rng.randint(1, 5))))
    pools = [(0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0xdff), (0x1100, 0x11ff), (0x1e00, 0x1fff),
             (0x2000, 0x206f), (0x2100, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x4fff), (0xac00, 0xadff), (0xf900, 0xffff), (0x1d400, 0x1d7ff),
             (0x1f300, 0x1faff), (0x20000, 0x200ff), (0x10000, 0x1ffff)]
    for _ in range(160):  # any code points, assigned or not
        picks = rng.choices(pools, k=2)
        out.append("".join(chr(rng.randint(*rng.choice(picks))) for _ in range(rng.randint(2, 12))))
    for _ in range(60):  # everything at once
        parts = rng.choices(words, k=3) + rng.choices(SPACES, k=3) + rng.choices(ADDED, k=2) + [str(rng.randint(0, 99999))]
        rng.shuffle(parts)
        out.append("".join(parts))
    unique = list(dict.fromkeys(t for t in out if not any(0xd800 <= ord(c) < 0xe000 for c in t)))
    return unique


# ---------------------------------------------------------------- pipelines, as the files of the models spell them

def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(use_regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def bos(token, id, after_bytes=True):
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}}
    return {"type": "Sequence", "processors": [byte_level(True), template]} if after_bytes else template


DIGITS = {"type": "Digits", "individual_digits": True}
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
             "\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
# The letters with case that deepseek-llm lists by itself.
CASED = ("A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f"
         "\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
         "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57"
         "\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
         "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
         "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787"
         "\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
         "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"

BYTES = {"decoder": byte_level(True), "post_processor": byte_level(True)}
SPM_DECODER = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
TO_METASPACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}


def token(content, special=True, **options):
    return dict({"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}, **options)


CHAT = [token("<|endoftext|>"), token("<|im_start|>"), token("<|im_end|>")]
THINK = [token("<think>", False), token("</think>", False), token("<tool_call>", False)]
DEEPSEEK = [token("<\uff5cend\u2581of\u2581sentence\uff5c>"), token("<\uff5cUser\uff5c>", False), token("<think>", False)]
SPM = [token("<unk>"), token("<s>"), token("</s>")]


def pipelines():
    """name -> (fields of the tokenizer.json, fields of its model, added tokens, vocabulary size)"""
    return {
        "gpt2": (dict(BYTES, pre_tokenizer=byte_level(True)), {}, [token("<|endoftext|>", normalized=True)], 700),
        "llama3": (dict(BYTES, pre_tokenizer=sequence(split(LLAMA3), byte_level()), post_processor=bos("<|begin_of_text|>", 0)),
                   {"ignore_merges": True}, [token("<|begin_of_text|>"), token("<|im_end|>")], 900),
        "qwen2": (dict(BYTES, normalizer={"type": "NFC"}, pre_tokenizer=sequence(split(QWEN2), byte_level())), {}, CHAT + THINK, 1200),
        "deepseek_v3": (dict(BYTES, normalizer={"type": "Sequence", "normalizers": []},
                             pre_tokenizer=sequence(split(r"\p{N}{1,3}"), split(CJK), split(DEEPSEEK3), byte_level())), {}, DEEPSEEK, 900),
        "deepseek_llm": (dict(BYTES, pre_tokenizer=sequence(split("[\r\n]"), split(f"\\s?[{CASED}]+"),
                                                            split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
                                                            split("\\s+$"), split(HAN), DIGITS, byte_level())), {}, DEEPSEEK, 700),
        "deepseek_coder": (dict(BYTES, normalizer={"type": "Sequence", "normalizers": []},
                                pre_tokenizer=sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(HAN), DIGITS, byte_level())),
                           {}, DEEPSEEK, 700),
        "gpt4o": (dict(BYTES, pre_tokenizer=sequence(split(GPT4O, "Removed", True), byte_level())), {}, CHAT, 700),
        "smollm2": (dict(BYTES, pre_tokenizer=sequence(DIGITS, byte_level(True))), {}, CHAT, 800),
        "falcon": (dict(BYTES, pre_tokenizer=sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(True),
                                                      {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]"))),
                   {}, [token("<|endoftext|>"), token("[WORD]", False, single_word=True), token("[LEFT]", False, lstrip=True),
                        token("[RIGHT]", True, rstrip=True), token("[Norm\u00e9]", False, normalized=True)], 600),
        "nfkc": (dict(BYTES, normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True}]},
                      pre_tokenizer=byte_level(True, prefix=True)), {},
                 [token("<s>", lstrip=True, rstrip=True), token("[WORD]", False, single_word=True, normalized=True), token("[Norm\u00e9]", False, normalized=True)], 600),
        "nfd": (dict(BYTES, normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Replace", "pattern": {"Regex": r"\p{Mn}+"}, "content": "~"}]},
                     pre_tokenizer=sequence(split(r"\w+", "MergedWithNext"), split(r"\s", "MergedWithPrevious"), split(r"\h{2}\H", "Contiguous"), byte_level())), {}, [token("<s>", normalized=True)], 500),
        "nfkd_words": (dict(normalizer={"type": "NFKD"}, pre_tokenizer={"type": "WhitespaceSplit"}, post_processor=None, decoder=None),
                       {"unk_token": "<unk>"}, SPM, 600),
        "mistral": (dict(normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, TO_METASPACE]}, pre_tokenizer=None,
                         post_processor=bos("<s>", 1, False), decoder=SPM_DECODER), {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}, SPM, 700),
        "gemma": (dict(normalizer=TO_METASPACE, pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
                       post_processor=bos("<s>", 1, False), decoder={"type": "Sequence", "decoders": SPM_DECODER["decoders"][:3]}),
                  {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
                  SPM + [token("\n" * n, False) for n in (2, 3, 4)] + [token("\u2581" * n, False) for n in (2, 3, 4)], 700),
        "metaspace": (dict(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
                           post_processor=bos("<s>", 1, False), decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}),
                      {"unk_token": "<unk>", "fuse_unk": True}, SPM, 600),
        "unknowns": (dict(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False},
                          post_processor=None, decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}),
                     {"unk_token": "<unk>"}, SPM, 500),
    }


# ---------------------------------------------------------------- making

def train(fields, model_fields, added, size, corpus):
    """A tokenizer.json (as a dict) with these parts, its merges learnt on the corpus."""
    bytes_in_use = "ByteLevel" in json.dumps(fields["pre_tokenizer"])
    shell = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "post_processor": None,
             "pre_tokenizer": None, "decoder": None, "model": {"type": "BPE", "dropout": None, "unk_token": None,
             "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": {}, "merges": []}}
    shell.update({k: v for k, v in fields.items() if k != "post_processor"})
    learner = Tokenizer.from_str(json.dumps(shell))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if bytes_in_use else []
    learner.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False,
                                                            special_tokens=[], limit_alphabet=256 if bytes_in_use else 150))
    model = json.loads(learner.to_str())["model"]
    learnt = [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    leading = [t["content"] for t in added if t in SPM or t["content"] == "<|begin_of_text|>"]
    if model_fields.get("byte_fallback"):
        leading += [f"<0x{b:02X}>" for b in range(256)]
    if model_fields.get("ignore_merges"):  # entries that no merge makes
        learnt += ["\u0120Hello", "Hello", "\u0120babysitting", "\u00c3\u00a9\u00c3\u00a9"]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(leading + learnt))}
    tokens = [dict({"id": vocab.get(t["content"], None)}, **t) for t in added]
    next_id = len(vocab)
    for t in tokens:
        if t["id"] is None:
            t["id"], next_id = next_id, next_id + 1
    shell.update(fields)
    shell["added_tokens"] = sorted(tokens, key=lambda t: t["id"])
    shell["model"].update(model_fields, vocab=vocab, merges=model["merges"])
    return shell


def reduce(real, keep):
    """The same pipeline over the first merges only; bytes without a token stay without one."""
    small = json.loads(json.dumps(real))
    merges = small["model"]["merges"][:keep]
    pairs = [m.split(" ") if isinstance(m, str) else m for m in merges]
    made = {a + b for a, b in pairs}
    single = [t for t in small["model"]["vocab"] if len(t) == 1]
    special = [t["content"] for t in small["added_tokens"]]
    order = sorted(set(single) | made | set(special), key=lambda t: small["model"]["vocab"].get(t, 1 << 30))
    vocab = {t: i for i, t in enumerate(order)}
    small["model"]["vocab"] = vocab
    small["model"]["merges"] = merges
    for t in small["added_tokens"]:
        t["id"] = vocab[t["content"]]
    return small


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decode_rows(tokenizer, encoded, rng):
    size = tokenizer.get_vocab_size()
    special = [i for i, t in tokenizer.get_added_tokens_decoder().items()]
    lists = [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(60)]
    for ids in rng.sample([ids for ids in encoded if len(ids) > 3], 60):  # cut inside characters, with tokens put in
        begin = rng.randrange(len(ids) - 1)
        cut = ids[begin:begin + rng.randint(1, 14)]
        if special and rng.random() < 0.6:
            cut.insert(rng.randint(0, len(cut)), rng.choice(special))
        lists.append(cut)
    lists += [[], [size + 5], [0, size + 5, 1]]
    return [[ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)] for ids in lists]


def write_goldens(name, tokenizer, all_texts):
    rng = random.Random(name)
    encoded = [e.ids for e in tokenizer.encode_batch(all_texts, add_special_tokens=False)]
    marked = [e.ids for e in tokenizer.encode_batch(all_texts[:40], add_special_tokens=True)]
    tokenizer.encode_special_tokens = True
    plain = [e.ids for e in tokenizer.encode_batch(all_texts, add_special_tokens=False)]
    tokenizer.encode_special_tokens = False
    with open(DATA / f"{name}.ids.jsonl", "w", encoding="utf-8") as out:
        for ids in encoded + marked:
            out.write(dump(ids) + "\n")
    with open(DATA / f"{name}.plain.jsonl", "w", encoding="utf-8") as out:  # only where it differs: [line, ids]
        for i, ids in enumerate(plain):
            if ids != encoded[i]:
                out.write(dump([i, ids]) + "\n")
    with open(DATA / f"{name}.decode.jsonl", "w", encoding="utf-8") as out:
        for row in decode_rows(tokenizer, encoded, rng):
            out.write(dump(row) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--real", action="append", default=[], metavar="NAME=FILE")
    options = arguments.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    all_texts = texts()
    with open(DATA / "texts.jsonl", "w", encoding="utf-8") as out:
        for text in all_texts:
            out.write(json.dumps(text) + "\n")
    corpus = SENTENCES + CODE + GSM8K * 2 + [t for t in all_texts if len(t) < 60]
    for name, (fields, model_fields, added, size) in pipelines().items():
        document = train(fields, model_fields, added, size, corpus)
        (DATA / f"{name}.json").write_text(dump(document) + "\n", encoding="utf-8")
        write_goldens(name, Tokenizer.from_file(str(DATA / f"{name}.json")), all_texts)
    for pair in options.real:
        name, file = pair.split("=", 1)
        write_goldens(f"{name}_full", Tokenizer.from_file(file), all_texts)
        document = reduce(json.loads(pathlib.Path(file).read_text(encoding="utf-8")), 1200)
        (DATA / f"{name}_reduced.json").write_text(dump(document) + "\n", encoding="utf-8")
        write_goldens(f"{name}_reduced", Tokenizer.from_file(str(DATA / f"{name}_reduced.json")), all_texts)
    print(len(all_texts), "texts,", sum(f.stat().st_size for f in DATA.iterdir()) // 1024, "kB")


if __name__ == "__main__":
    main()
