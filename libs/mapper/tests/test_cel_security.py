"""Hostile expressions get nowhere and end within their bounds; known faults of the library do no harm."""

import resource
import sys
import time
from typing import Any

import pytest
from isthmus.mapper.cel.environment import ExpressionInvalid, environment
from isthmus.mapper.cel.program import Program, compile_expression
from isthmus.mapper.cel.values import Failed, OverLimit

VARIABLES = {"record": "dyn"}
SECONDS = 60.0
"""Of the processor; the slowest takes about one of them."""
MOST_MEMORY = (300 << 20) // (1 if sys.platform == "darwin" else 1024)
"""In the unit of the system."""


def program(text: str) -> Program:
    """The expression, compiled."""
    return compile_expression(environment((("record", "dyn"),)).check(text), VARIABLES)


def outcome(text: str, record: Any = None) -> Any:
    """The value, or the class of what is raised instead."""
    try:
        return program(text).evaluate({"record": record})
    except (ExpressionInvalid, Failed, OverLimit) as problem:
        return type(problem)


ESCAPES = [
    "().__class__.__bases__[0].__subclasses__()",
    "record.__class__",
    "record.__class__.__mro__",
    "record.items",
    "record.keys()",
    "''.__class__",
    "'%s'.format([record.__init__])",
    "'{0.__class__}'.format([record])",
    "'%(x)s'.format([record])",
    "getattr(record, 'items')",
    "eval('1')",
    "exec('import os')",
    "__import__('os').system('true')",
    "__builtins__",
    "globals()",
    "record.ｉtems",
    "record.__ｃlass__",
    "lambda: 1",
    "[x for x in record]",
    "record[record.__class__]",
    "record['__class__']",
    "type(record).mro()",
    "open('/etc/passwd')",
    "record;1",
    "record\n)(",
    "f'{record}'",
    "os.environ",
    "dictionary",
    "r",
    "m",
    "t",
    "s",
    "v1",
    "z1",
    "k1",
    "failing()",
    "Problem",
    "text(record)",
]


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_known_escapes_lead_nowhere(text):
    """
    What reaches for Python finds an error, or the text it wrote.
    """
    found = outcome(text, {"a": 1})

    assert found in (ExpressionInvalid, Failed) or found == "{0.__class__}"


def test_members_are_keys_and_never_attributes():
    """
    A record may have members that look like Python's own, and they are data.
    """
    assert outcome("record.__class__ + record.items", {"__class__": "a", "items": "b"}) == "ab"


def test_texts_are_data_in_whatever_alphabet():
    """
    Quotes, newlines and lone operators inside of texts and names stay inside.
    """
    text = "\"'''\\n\\\"; import os #\" + 'é😀' + record['\\'] = 1 #']"

    assert outcome(text, {"'] = 1 #": "!"}) == "'''\n\"; import os #é😀!"


BIG = "[" + ",".join("1" * 1 for _ in range(200)) + "]"
HOSTILE = {
    "nested loops": f"{BIG}.all(a, {BIG}.all(b, {BIG}.all(c, {BIG}.all(d, a + b + c + d > 0))))",
    "loops over loops": "record.l.map(a, record.l.map(b, record.l.map(c, record.l)))",
    "list of itself": "record.l.map(a, record.l.map(b, record.l))",
    "doubling by name": "".join(f"cel.bind(a{n + 1}, a{n} + a{n} + a{n} + a{n}, " for n in range(12)).join(
        ("cel.bind(a0, record.s, ", "a12" + ")" * 13)
    ),
    "doubling by replacement": "record.s" + ".replace('a', 'aaaaaaaa')" * 25,
    "replacement by the record": "record.s.replace('', record.s)",
    "lists doubled": "cel.bind(a, record.l + record.l, cel.bind(b, a + a + a + a, cel.bind(c, b + b + b + b, "
    "cel.bind(d, c + c + c + c, cel.bind(e, d + d + d + d, e + e + e + e)))))",
    "joined in a loop": "record.l.map(a, record.s + record.s + record.s).join(record.s)",
    "work in a loop": "record.l.all(a, record.l.all(b, record.s.contains('b') == false))",
    "patterns in a loop": "record.l.all(a, record.l.all(b, !record.s.matches('(a|aa)+b$')))",
    "comparing in a loop": "record.l.all(a, record.l.all(b, record.l == record.l))",
    "regular expression": "record.s.matches('^(a+)+$') || record.s.matches('(a*)*(a*)*(a*)*b')",
    "huge repetition": "record.s.matches('((a{0,100}){0,100}){0,100}b')",
    "large integers": "record.i * record.i * record.i * record.i * record.i",
    "format": "'%.99f %.99f'.format([record.i, record.i]) + '%s'.format([record.l])",
    "failing first": "(1 / 0 > 0) || record.s" + ".replace('a', 'aaaaaaaa')" * 25 + " == ''",
    "failing first in loops": f"(1 / 0 > 0) && {BIG}.all(a, {BIG}.all(b, {BIG}.all(c, a + b + c > 0)))",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_expressions_end_within_their_bounds(name):
    """
    Loops, growing texts and patterns end by a value, an error or a bound: soon, and in little memory.
    """
    record = {"s": "a" * 20_000, "l": list(range(1_000)), "i": 2**62}
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = outcome(HOSTILE[name], record)
    spent, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert found in (Failed, OverLimit, ExpressionInvalid) or isinstance(found, bool | int | str | list)
    assert spent < SECONDS
    assert after - before < MOST_MEMORY


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000,
        "(" * 900 + "1" + ")" * 900,
        "[" * 1_000,
        "record" + ".a" * 1_900,
        "1" + "+1" * 1_900,
        "a.b" * 1_300,
        "'" + "\\" * 3_000,
        "\ud800",
        "1" * 3_900,
        "record" + "[0]" * 1_300,
    ],
    ids=range(10),
)
def test_deep_and_odd_texts_are_refused(text):
    """
    Neither parser nor compiler falls over what is nested too deep, too large or no text at all.
    """
    assert outcome(text, {}) in (ExpressionInvalid, Failed)


@pytest.mark.parametrize("depth", [3, 12, 30])
def test_nesting_that_the_parser_allows_is_evaluated(depth):
    """
    Conditions nested as deep as the library reads them have a value, in compiled code or by the library.
    """
    text = "record.a > 0"
    for number in range(depth):
        text = (
            f"(record.b == {number} || {text}) && record.a < 9"
            if number % 2
            else f"!({text} && record.a > 9)"
        )
    found = outcome(text, {"a": 1, "b": -1})

    assert isinstance(found, bool) or found is ExpressionInvalid


def test_deep_records_fail_or_pass_and_never_crash():
    """
    A record nested deeper than Python recurses is compared, or is an error.
    """
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]

    assert outcome("record.a == record.b", {"a": 1, "b": [deep]}) in (False, Failed)


def test_null_from_the_library_takes_nothing_from_python():
    """
    The library gives null without taking a reference, which would end the process after some thousands.
    """
    from isthmus.mapper.cel import reference

    checked = environment((("record", "dyn"),)).check("{'a': [null, record.a], 'b': record.a}")
    before = sys.getrefcount(None)
    for _ in range(5_000):
        reference.evaluate(checked, {"record": {"a": None}})

    assert sys.getrefcount(None) > before - 1_000


def test_errors_from_the_library_are_errors():
    """
    The library gives errors as values; an error is never taken for a text, on its own or in a list.
    """
    from isthmus.mapper.cel import reference

    env = environment((("record", "dyn"),))
    for text in ("record.a", "[record.a]", "{'x': record.a}", "record.a + 1"):
        with pytest.raises(Failed):
            reference.evaluate(env.check(text), {"record": {}})


@pytest.mark.parametrize("text", ["a\0b", "a\ud800"], ids=["zero", "surrogate"])
def test_texts_that_the_library_misreads_are_kept_from_it(text):
    """
    A text with a character 0 is whole, and half a character is no reason to stop.
    """
    assert outcome("record.a + 'c'", {"a": text}) == text + "c"
    assert outcome("record.a + 1", {"a": text}) is Failed
    assert outcome("record.b > 1 || record.a == 'a'", {"a": text}) is Failed


def test_replacement_is_bounded():
    """
    A chain of replacements ends as soon as the text exceeds the bound.
    """
    text = "'" + "a" * 1_000 + "'" + ".replace('a', 'aaaaaaaaaa')" * 10

    assert outcome(text) is OverLimit
