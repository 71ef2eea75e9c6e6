"""Conversations and template features, and what transformers makes of them.

Writes conversations.json, real.jsonl (every template in real/ over every conversation), cases.jsonl (one small template a
feature) and variables.json beside the test. Needs a Python with transformers 5.23 and Jinja2 3.1.6:
    python templates.py ../../template
"""

import datetime
import json
import pathlib
import sys

from templates_fuzz import VARIABLES
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template


def tool(name, description, properties, required):
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool("get_weather", "The <weather> & \"more\" of a city's area",
         {"city": {"type": "string", "description": "Name"}, "unit": {"type": "string", "enum": ["c", "f"]}}, ["city"]),
    tool("add", "Adds é numbers", {"xs": {"type": "array", "items": {"type": "number"}}}, ["xs"]),
]


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def call(arguments, name="call00001"):
    return {"type": "function", "id": name, "function": {"name": "get_weather", "arguments": arguments}}


def result(content, name="call00001"):
    return {"role": "tool", "name": "get_weather", "tool_call_id": name, "content": content}


def conversation(messages, tools=None, generate=True, **extra):
    return {"messages": messages, "tools": tools, "add_generation_prompt": generate, "extra": extra}


CONVERSATIONS = {
    "plain": conversation([user("Hello")]),
    "no generation prompt": conversation([user("Hello")], generate=False),
    "system": conversation([system("You are <b>nice</b>."), user("Hi")]),
    "several turns": conversation([system("  Sys  "), user(" a \n"), assistant(" b "), user("c\n\n"), assistant("d")], generate=False),
    "unicode": conversation([system("Ünï 你好"), user("\u00a0 emoji 😀 \u2028 x\u3000"), assistant("ça? 'q' \"d\" \\ \t"), user("ok\u200b ")]),
    "braces": conversation([user("{{ x }} {% if y %} {# c #}"), assistant("{{ raise_exception('no') }}"), user("<|im_end|> <s> [INST]")]),
    "empty": conversation([system(""), user(""), assistant(""), user("x")]),
    "tools": conversation([user("Weather in Paris?")], TOOLS),
    "tool calls": conversation([
        user("Weather?"), assistant("", tool_calls=[call({"city": "Paris", "n": 1, "f": 1.5, "b": True, "l": [1, "a"], "d": {"k": None}})]),
        result('{"t": 20}'), assistant("It's 20."), user("thanks")], TOOLS),
    "two tool calls": conversation([
        system("s"), user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [call({"city": "P"}, "abcdefghi"), call({"city": "Q"}, "abcdefghj")]},
        result("1", "abcdefghi"), result("2", "abcdefghj"), assistant("done")], TOOLS, generate=False),
    "arguments as text": conversation([user("W"), assistant("Let me", tool_calls=[call('{"city": "Paris"}')]), result("20")], TOOLS),
    "reasoning": conversation([user("q"), assistant("a", reasoning_content="think\nhard"), user("r"), assistant("b", thinking="more")], generate=False),
    "think tags": conversation([user("q"), assistant("<think>\nabc\n</think>\n\nans"), user("r"), assistant("<think>x</think>y"), user("z")]),
    "no thinking": conversation([user("q")], enable_thinking=False),
    "thinking": conversation([user("q")], enable_thinking=True, thinking=True, reasoning_effort="high"),
    "content parts": conversation([user([{"type": "text", "text": "hello"}, {"type": "image"}]), assistant([{"type": "text", "text": "hm"}]), user("x")]),
    "two users": conversation([user("a"), user("b")]),
    "assistant first": conversation([assistant("a"), user("b")]),
    "odd roles": conversation([{"role": "developer", "content": "dev"}, user("x"), {"role": "wizard", "content": "y"}]),
    "no content": conversation([{"role": "user"}]),
    "no role": conversation([{"content": "x"}]),
    "number as content": conversation([{"role": "user", "content": 5}]),
    "documents": conversation([user("q")], documents=[{"title": "T", "text": "body <x>"}]),
    "dates": conversation([system("s"), user("q")], date_string="01 Jan 2025", builtin_tools=["brave_search"], tools_in_user_message=False),
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

# One feature each, over VARIABLES.
CASES = r"""
{{ t }} {{ nil }} {{ f }} {{ big }} {{ m }} {{ o }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }}
{{ ['it\'s', "a\"b", 'new\nline', '\t\\', 'é\u200b\U0001f600\x07'] }}
{{ 1e16 }} {{ 1e15 }} {{ 123456789012345.6 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1.0 }} {{ 1e300 }} {{ 5e-324 }} {{ 0.1 + 0.2 }} {{ -0.0 }}
{{ [o | tojson, p | tojson(indent=2), m | tojson(indent=0), [] | tojson(indent=2)] | join('\n') }}
{{ '<a href="x">&\'</a> é \u2028 \x7f' | tojson }} {{ 'é 😀 \x7f' | tojson(ensure_ascii=true) }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}
{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true, separators=(',', ':')) }} {{ [1, 2] | tojson(indent='--') }}
{{ missing | tojson }}
{{ namespace(a=1) | tojson }}
{{ {(1, 2): 3} | tojson }}
[{{ missing }}][{{ missing | default('d') }}][{{ '' | default('d') }}][{{ '' | default('d', true) }}][{{ missing | length }}][{{ missing | list }}]
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 'a' + missing }}
{{ missing < 1 }}
{{ missing == missing2 }} {{ missing == none }} {{ missing in l }} {{ 1 in missing }}
{{ o.nothing }}[{{ o.nothing is defined }}]{{ o.nothing.more }}
{{ nil.x is defined }} {{ (5).x is defined }} {{ s.x is undefined }} {{ l[99] is undefined }} {{ l['x'] is undefined }}
{{ nil[1:] }}
{{ 1 and 'x' }} {{ 0 or 'y' }} {{ '' and 1 }}| {{ not '' }} {{ 0 or '' or none or [] }} {{ 1 and 2 or 3 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' <= 'b' }} {{ 2 in l in [l] }} {{ [1, 2] < [1, 3] }} {{ (1, 'a') < (1, 'b') }}
{{ 1 < 'a' }}
{{ none < none }}
{{ {} < {} }}
{{ 'ell' in s }} {{ 'x' not in s }} {{ 'b' in o }} {{ 1 in o }} {{ 'a' in w }} {{ 2 in range(3) }} {{ 'b' in o.keys() }} {{ ('b', 1) in o.items() }}
{{ 1 in s }}
{{ 1 in 5 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ 2.0 ** 3 }} {{ -2 ** 2 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1.0 // 0 }}
{{ 0 ** -1 }}
{{ true + true }} {{ -true }} {{ +false }} {{ 1 - 1.5 }} {{ 'ab' * 3 }} {{ 2 * [1, 2] }} {{ (1,) * 2 }} {{ 'a' * -1 }}| {{ 9007199254740993 + 0 }} {{ 9007199254740993 == 9007199254740992.0 }}
{{ 'a' + 1 }}
{{ [1] + (2,) }}
{{ l - 1 }}
{{ 1 ~ 'a' ~ none ~ 2.0 ~ [1] }} {{ 1 ~ 2 + 3 }} {{ 'a' ~ 'b' * 2 }}
{{ 'x' if t }} [{{ 'x' if no }}] {{ 'x' if no else 'y' if no else 'z' }} {{ ('a' if no) is undefined }}
{{ ('a' if no).x }}
{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ u[0:3] }} {{ u[-3:] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[5:] }} {{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] }} {{ s[10:2:-3] }} {{ s[-100:100] }}
{{ l[::0] }}
{{ l['a':] }}
{{ o['b'] }} {{ o.b }} {{ o['get']('b') }} {{ o.get('q') }} {{ o.get('q', 5) }} {{ p[0].name }} {{ p.0.name }} {{ p[1]['age'] }} {{ {1: 'x'}[1] }} {{ {1: 'x'}[true] }} {{ {1: 'x'}[1.0] }}
{{ {'items': 5}.items is callable }}
{{ {'items': 5}['items'] }} {{ {'get': 5}.get('get') }} {{ {'update': 5}['update'] }} {{ {'x': 5}['keys']() | list }}
{{ {'update': 5}.update }}|{{ {'update': 5}.update is defined }}
{{ l.append(1) }}
{{ l.pop() }}
{{ o.pop('b') }}
{{ o.update({'x': 1}) }}
{{ o.__class__ }}|{{ s.__class__.__mro__ }}
{{ {[]: 1} }}
{{ o[l] is undefined }}
{% for x in l %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.previtem }} {{ loop.nextitem }} {{ loop.cycle('a', 'b') }} {{ loop.depth }} {{ loop.depth0 }};{% endfor %}
{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}{% for x in l %}{% if loop.first %}{{ loop.previtem is defined }}{% endif %}{% if loop.last %}{{ loop.nextitem is defined }}{{ loop }}{% endif %}{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{{ loop.length }} {% else %}none{% endfor %}{% for x in [] %}{% else %}none{% endfor %}{% for x in l if x > 9 %}{% else %}no{% endfor %}
{% for a, b in o.items() %}{{ a }}={{ b }};{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for k in o %}{{ k }}{% endfor %}{% for c in u %}{{ c }}.{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for a, b in [(1,)] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in l recursive %}{{ x }}{% if loop.depth < 3 and x == 3 %}({{ loop([1, 3]) }}){% endif %}{% endfor %}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endfor %}{{ x }}{% endfor %}
{% break %}
{% set q = 1 %}{% for x in l %}{% set q = q + x %}{{ q }} {% endfor %}{{ q }}{% if t %}{% set q = 5 %}{% endif %}{{ q }}
{% for x in l %}{{ q }}{% set q = x %}{{ q }}{% endfor %}{{ q }}{% set ns = namespace(n=0, d={'a': 1}) %}{% for x in l %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }} {{ ns.d.a }} {{ ns }} {{ ns.zz is defined }} {{ ns['n'] }}
{% for x in l %}{{ s }}{% endfor %}{% set s = 5 %}{{ s }}
{% macro m() %}{{ s }}{% endmacro %}{{ m() }}{% set s = 5 %}{{ m() }}
{% if no %}{% set s = 5 %}{% endif %}{{ s }}{% for x in l %}{% if x == 1 %}{% set s = x %}{% endif %}{{ s }}{% endfor %}{{ s }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}{% set (c, d2) = 'xy' %}{{ c }}{{ d2 }}{% set x = 1, 2 %}{{ x }}
{% set o.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set q %} a {{ i }} {% endset %}[{{ q }}]{% set q | trim | upper %} abc {% endset %}[{{ q }}]
{% macro m(a, b=2, c='z') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=4) }}{{ m(c=1, a=2) }}{{ m() }}{{ m(*[7, 8]) }}{{ m(**{'a': 1, 'b': 5}) }}{{ m }}{{ m.name }}{{ m.arguments }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{{ m() }}
{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}{% macro a(x, y=x) %}{{ x }}{{ y }}{% endmacro %}{{ a(1) }}
{% macro m(a) %}<{{ a }}{{ caller() }}>{% endmacro %}{% call m(1) %}body {{ i }}{% endcall %}{% macro k() %}{{ caller(1, 2) }}{% endmacro %}{% call(x, y) k() %}{{ x }}+{{ y }}{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro outer() %}{% macro inner(x) %}[{{ x }}{{ i }}]{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}{{ inner is defined }}
{% macro m() %}<b>{% endmacro %}{{ m() + '<i>' }}{{ '<i>' + m() }}{{ m() | upper }}{{ m() is escaped }}
{{ '<a>' + ('<b>' | safe) }} {{ ('<b>' | safe) + '<a>' }} {{ ('<b>' | safe) ~ '<a>' }} {{ '<a>' | e }} {{ '<a>' | e | e }} {{ '<a>' | forceescape }} {{ ('<b>' | safe) | upper + '<' }} {{ ['<b>' | safe] }}
{{ ('<b>' | safe) % '<' }} {{ ('a%s' | safe) % '<' }} {{ ('<b>' | safe).replace('b', '<') }} {{ ('<' | safe).join(['<', '>']) }} {{ (('<b>' | safe)[0]) + '<' }} {{ ('<b> <i>' | safe).split()[1] + '<' }} {{ ('<' | safe) * 2 + '<' }} {{ ('a{}' | safe).format('<') }} {{ ('<b>' | safe | trim) + '<' }} {{ ('<b>\nx' | safe | indent) + '<' }}
{% filter upper | trim %}  abc {{ s }} {% endfilter %}|{% filter replace('a', 'b') %}aaa{% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}{% with %}{% set i = 9 %}{{ i }}{% endwith %}{{ i }}
{% generation %}{{ s }}{% set i = 0 %}{% endgeneration %}{{ i }}{% print s, i %}
{% raw %}{{ not }} {% x %} {# y #}{% endraw %}|{%- raw -%}  a  {%- endraw -%}  |
{{- s -}}   x   {{- s }}{# comment #} {#- c -#}  y
{% if i == 7 %}seven{% elif i == 8 %}eight{% else %}other{% endif %}{% if no %}{% elif t %}e{% endif %}{% if missing %}{% else %}m{% endif %}{% if not l: %}x{% endif %}
{{ w | sort }} {{ w | sort(case_sensitive=true) }} {{ w | sort(reverse=true) }} {{ w | unique | list }} {{ w | unique(case_sensitive=true) | list }} {{ w | min }} {{ w | max }} {{ p | sort(attribute='age') | map(attribute='name') | list }} {{ p | sort(attribute='ok,age') }}
{{ m | sort }}
{{ o | dictsort }} {{ o | dictsort(true) }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }} {{ {'B': 1, 'a': 2, 'C': 3} | dictsort }}
{{ o | dictsort(by='x') }}
{{ missing | dictsort }}
{{ p | selectattr('ok') | list }} {{ p | selectattr('ok', 'defined') | list | length }} {{ p | selectattr('name', 'equalto', 'al') | list }} {{ p | rejectattr('ok') | map(attribute='name') | join }} {{ p | selectattr('age', 'gt', 4) | map(attribute='name') | list }} {{ p | selectattr('name', '==', 'Bo') | first }} {{ p | selectattr('age', 'in', [3, 9]) | list | length }}
{{ l | select('odd') | list }} {{ l | reject('odd') | list }} {{ m | select | list }} {{ m | reject('none') | list }} {{ m | select('string') | list }} {{ l | map('string') | list }} {{ w | map('upper') | join(',') }} {{ p | map(attribute='ok', default='?') | list }} {{ ['a b', 'c'] | map('replace', ' ', '_') | list }} {{ [1, none] | map('default', 'x') | list }}
{% set g = l | map('string') %}{{ g | list }}{{ g | list }}{% if g %}true{% endif %}{% set r = l | select('gt', 5) %}{{ 'yes' if r else 'no' }}
{{ l | map('string') | length }}
{{ l | map('nofilter') | list }}
{{ l | select('notest') | list }}
{{ l | map | list }}
{{ none | map('upper') | list }}
{{ l | nofilter }}
{% if no %}{{ l | nofilter }}{% endif %}ok
{% if no %}{% for x in l %}{{ l | nofilter }}{% endfor %}{% endif %}
{{ l is nosuchtest }}
{{ 'x' if no else l | first }} {{ l | first }} {{ l | last }} {{ [] | first is undefined }} {{ 'abc' | first }} {{ 'abc' | last }} {{ o | first }} {{ o | last }} {{ missing | first }}|{{ range(3) | last }}
{{ l | map('string') | last }}
{{ l | join }} {{ l | join(', ') }} {{ p | join(',', attribute='name') }} {{ 'abc' | join('-') }} {{ [1, none, true] | join('|') }} {{ o | join('+') }} {{ missing | join }}
{{ 5 | join }}
{{ l | reverse | list }} {{ 'abc' | reverse }} {{ l | length }} {{ 'héé😀' | length }} {{ o | length }} {{ range(5) | length }} {{ l | sum }} {{ p | sum(attribute='age') }} {{ [1.5, 2] | sum }} {{ [[1], [2]] | sum(start=[]) }} {{ 'abc' | list }} {{ o | list }} {{ o | items | list }} {{ missing | items | list }}
{{ 5 | length }}
{{ none | length }}
{{ none | list }}
{{ l | items | list }}
{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }} {{ o | attr('b') is defined }} {{ ('abc' | attr('upper'))() }}
{{ "they're bill's friends from the UK-based (group) [x]" | title }} {{ "they're bill's".title() }} {{ 'ǆ ß ﬁ' | upper }} {{ 'ΑΣ ΑΣΑ İ' | lower }} {{ 'éCOLE' | capitalize }} {{ 'ß'.title() }} {{ 'aBc Éé'.swapcase() }} {{ 'Straße'.casefold() }}
[{{ '\x1c\x85\u00a0\u3000\u2028 a \u200b\ufeff ' | trim }}] [{{ 'xxaxx' | trim('x') }}] [{{ 'abcba'.strip('ab') }}] [{{ '  a '.lstrip() }}] [{{ ' a  '.rstrip() }}] [{{ 'éaé'.strip('é') }}] {{ ' a\u3000b\x1fc\u200bd '.split() }}
{{ 'a,b,,c'.split(',') }} {{ 'a,b,,c'.split(',', 1) }} {{ 'a b  c '.split(' ') }} {{ ' a b  c '.split() }} {{ ' a b  c '.split(none, 1) }} {{ 'a.b.c'.rsplit('.', 1) }} {{ ' a b c '.rsplit(maxsplit=1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a\nb\r\nc\x0bd\x85e'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}
{{ 'a'.split('') }}
{{ 'abc'.startswith('a') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('c') }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.endswith('b', 0, 2) }} {{ 'abc'.startswith('') }} {{ 'banana'.find('an', 2) }} {{ 'banana'.rfind('an') }} {{ 'banana'.count('an') }} {{ 'abc'.count('') }} {{ 'été'.find('é', 1) }} {{ 'banana'.replace('a', 'o', 2) }} {{ 'abc'.replace('', '-') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 121 | replace(1, 'x') }}
{{ 'abc'.startswith(1) }}
{{ 'abc'.startswith(['a']) }}
{{ 'abc'.index('z') }}
{{ 'abc'.nosuch() }}
{{ '-42'.zfill(6) }} {{ 'ab'.center(5, '*') }} {{ 'abc'.center(6, '*') }} {{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '.') }} {{ 'ab' | center(7) }}| {{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ 'aB1'.isalnum() }} {{ ''.isalpha() }} {{ 'AB1'.isupper() }} {{ 'ab1'.islower() }} {{ 'Ab Cd'.istitle() }} {{ '\u3000 '.isspace() }} {{ 'a_1'.isidentifier() }} {{ 'é'.isascii() }} {{ 'a\tb\n\tc'.expandtabs(4) }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb\n\nc' | indent(2, true) }}|{{ 'a\nb\n\nc' | indent(2, blank=true) }}|{{ 'a\nb' | indent('>') }}|{{ 'a\n' | indent }}|{{ '' | indent }}|
{{ 5 | indent }}
{{ '10' | int }} {{ '10.7' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ ' 12 ' | int }} {{ '0x1F' | int(base=16) }} {{ '1_000' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ true | int }} {{ none | int(7) }} {{ [] | int(8) }} {{ '1e3' | int }} {{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2.5) }} {{ 3 | float }} {{ '-inf' | float }} {{ 'nan' | float }}
{{ missing | int }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 7 | round }} {{ 42.55 | round(1, 'floor') }} {{ 42.51 | round(0, 'ceil') }} {{ 1234 | round(-2) }} {{ 1234.5 | round(-2) }} {{ -5 | abs }} {{ -2.5 | abs }}
{{ '%s is %d and %.2f %5s|%-5s|%05d %x %r %%' % ('a', 3, 2.5, 'b', 'c', 42, 255, 'q') }} {{ '%s' % 5 }} {{ '%(b)s' % o }} {{ '%s-%s' | format(1, 2) }} {{ '%(a)s' | format(a=1) }} {{ '%+d % d %e %g' % (1, 2, 12345.678, 0.0001) }} {{ '%s' % ([1],) }}
{{ '%s %s' % 'a' }}
{{ '%d' % 'a' }}
{{ 'x' % 1 }}
{{ '{} {}'.format(1, 'a') }} {{ '{1} {0}'.format(1, 2) }} {{ '{a.b} {a[c][0]}'.format(a=o) }} {{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:x}|{:+}|{!r}'.format('a', 'b', 'c', 42, 2.345, 1234567, 255, 3, 'q') }} {{ '{{}}'.format() }} {{ '{:*^7}'.format('é') }} {{ '{:e} {:g} {:%}'.format(1234.5, 1e10, 0.25) }}
{{ '{}'.format() }}
{{ '{'.format(1) }}
{{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby(3) }} {{ 9 is divisibleby 3 }} {{ none is none }} {{ s is string }} {{ ('a' | safe) is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ l is sequence }} {{ s is sequence }} {{ o is sequence }} {{ o is mapping }} {{ l is iterable }} {{ 5 is iterable }} {{ missing is iterable }} {{ missing is sequence }} {{ range(2) is sequence }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 1 is sameas 1 }} {{ l is sameas l }} {{ range is callable }} {{ s is callable }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is in l }} {{ 1 is not in l }} {{ 1 is eq 1 }} {{ 1 is ne 1 }} {{ 1 is lt 2 }} {{ (o.items()) is sequence }} {{ (l | map('string')) is iterable }} {{ not 1 is none }} {{ 1 is not none and true }}
{{ 'a' is odd }}
{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }} {{ range(0) | list }} {{ range(3)[-1] }} {{ range(1000) | length }}
{{ range(10)[2:9:3] }} {{ range(4)[9:] }} {{ range(10)[::-1] }} {{ range(2, 20, 3)[1:-1:2] }} {{ range(10)[2:8:3] | list }} {{ range(5)[::-2] | list }}
{{ range(1000000) }}
{{ range('a') }}
{{ range(1, 2, 0) }}
{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict(o, z=1) }} {{ o.keys() | list }} {{ o.values() | list }} {{ o.items() }} {{ o.keys() }} {{ o.copy() }} {{ {'a': 1, 'a': 2} }} {{ {'a': 1} == dict(a=1) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ l.index(1) }} {{ l.count(3) }} {{ (1, 2).index(2) }} {{ o.keys() | sort }}
{{ o.keys()[0] }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}{% set j = joiner('|') %}{{ j() }}a{{ j() }}b
{{ raise_exception('stop <here>') }}
{% if no %}{{ raise_exception('x') }}{% endif %}fine
{{ strftime_now('%%') }}{{ strftime_now('') }}{{ strftime_now('%Y') | length }}
{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5_0 }} {{ 1e2 }} {{ 'a' 'b' "c" }} {{ '\x41\u00e9\101\q' }} {{ p.0.age }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ (1, 2,) }}
{{ s | replace('l', 'L') | upper | length }} {{ -1 | abs }} {{ (-1) | abs }} {{ 1 + 2 | string }} {{ not t | string }} {{ l | length > 2 and s }} {{ 2 * l | length }} {{ -l | length }} {{ s.split()[0] | lower }}
{{ s.upper().lower() | title }} {{ 'x'.join(w) }} {{ ', '.join(l | map('string')) }} {{ ' '.join('abc') }} {{ s | default('x') | length }} {{ (s, i)[1] }} {{ [s, [i, [f]]][1][1][0] }}
{{ ','.join(l) }}
{{ 'abc' | wordcount }} {{ 'a b-c d' | wordcount }} {{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} {{ 'foo bar baz qux' | truncate(11) }} {{ 'foo bar baz qux' | truncate(11, false, '...', 0) }}
{{ 'a' | center(5) | length }} {{ none | string }} {{ none | upper }} {{ 5 | upper }} {{ [1] | trim }} {{ true | lower }} {{ missing | upper }}|{{ missing | trim }}|{{ missing | string }}|{{ missing | replace('a', 'b') }}|
{{ s | length() }} {{ s.upper(1) }}
{{ s | upper(1) }}
{{ s | replace('a') }}
{{ s | default(1, 2, 3) }}
{{ s | trim(x=1) }}
{% if %}{% endif %}
{{ }}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{{ 'a }}
{% for x l %}{% endfor %}
{% endfor %}
{% for x in l %}
{% unknown %}
{% set 1 = 2 %}
{% set none = 2 %}
{% macro %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{# no end
{% raw %}no end
{{ a b }}
{{ a.'b' }}
{{ @ }}
{{ f(a=1, 2) }}
{{ 1 is defined is true }}
{% call s %}{% endcall %}
{% include 'x' %}
""".strip("\n").split("\n")

# Templates of several lines: where white space goes.
LINES = [
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n",
    "a\r\n{% if t %}\r\nb\r\n{% endif %}\r\nc\r\n\r\n",
    "{% if t %}\n\n x\n{%- endif %}\n\ny\n\n",
    "  {% if t +%}\n  x\n  {%+ endif %}\n  y",
    " \t {# c #}\n x {# c #}\n {#- c -#}\n y\n {#+ c +#}\n z",
    "{{ s }}\n  {{ s }}  \n\n{{- s -}}\n\n  x",
    "{% set x = 1 %}\n\n{% set y = 2 -%}\n\n {{ x }}\n",
    "{%- for x in l -%}\n  {{ x }}\n{%- endfor -%}\n\nend",
    "{% for x in l %}\n  - {{ x }}\n{% endfor %}\n",
    "x {% raw %}\n  {{ a }}\n  {% endraw %}\ny",
    "x\n  {%- raw %} a {% endraw -%}\n y",
    "{% raw -%}\n a\n{%- endraw %}\n\nb",
    "a\n\n", "a\n", "\n", "", "\n\n{{ s }}\n\n", "a\rb\rc",
    "{{ 'x\ny' }}\n{{ \"a\\\nb\" }}",
    "{% macro m() %}\n  x\n{% endmacro %}\n[{{ m() }}]",
    "{%\nif\nt\n%}\nx{% endif\n%}",
    "\u00a0{% if t %}\u2028\n{% endif %}\u3000{%- if t -%}\u0085x{% endif %}",
    "{{ '{{' }} {{ '%}' }} {{ \"{#\" }} {% if '%}' %}x{% endif %} {{ {'a': {'b': 1}} }}{{{'a': 1}['a']}}",
    "{ % if %} {{ '}}' }} #} %} }}",
    "a{#-#}b{#--#}c{#+#}d",
    "\n\n\n{{ missing.x }}",
    "{% for x in l %}\n{{ x }}\n{{ raise_exception('at ' ~ x) }}\n{% endfor %}",
]


def plain_error(error):
    return {"error": f"{type(error).__name__}: {error}".split("\n")[0]}


def render(template, variables):
    try:
        return {"text": _compile_jinja_template(template).render(**variables)}
    except Exception as error:
        return plain_error(error)


def render_conversation(template, conversation):
    messages = [{k: v for k, v in message.items() if v is not None} for message in conversation["messages"]]
    try:
        texts, _ = render_jinja_template(
            conversations=[messages], tools=conversation["tools"], chat_template=template,
            add_generation_prompt=conversation["add_generation_prompt"], **{**TOKENS, **conversation["extra"]})
        return {"text": texts[0]}
    except Exception as error:
        return plain_error(error)


def write(path, lines):
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def without_today(row):
    """Some templates write the date, by strftime_now: the test puts in its own."""
    today = datetime.date.today()
    for form in ("%Y-%m-%d", "%d %b %Y"):
        if "text" in row:
            row["text"] = row["text"].replace(today.strftime(form), f"<today {form}>")
    return row


def main():
    folder = pathlib.Path(sys.argv[1])
    write(folder / "variables.json", [VARIABLES])
    write(folder / "conversations.json", [{"tokens": TOKENS, "conversations": CONVERSATIONS}])
    write(folder / "cases.jsonl", [{"template": case, **render(case, VARIABLES)} for case in CASES + LINES])
    rows = []
    for path in sorted((folder / "real").glob("*.jinja")):
        template = path.read_bytes().decode()
        rows += [{"template": path.name, "conversation": name, **without_today(render_conversation(template, one))} for name, one in CONVERSATIONS.items()]
    write(folder / "real.jsonl", rows)


if __name__ == "__main__":
    main()
