"""Functions cannot be abused: whatever goes in, they end soon, in little memory, with a value or a reason."""

import contextlib
import resource
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from isthmus.mapper import MappingInvalid, RecordRejected, compile_mapping
from isthmus.mapper.cel import reference
from isthmus.mapper.cel.environment import ExpressionInvalid, environment
from isthmus.mapper.cel.functions import OWN, OwnFunction
from isthmus.mapper.cel.plain import plain
from isthmus.mapper.cel.program import compile_expression
from isthmus.mapper.cel.reference import Unaskable
from isthmus.mapper.cel.values import Duration, Failed, OverLimit, Timestamp
from isthmus.mapper.functions import FUNCTIONS, Function
from isthmus.mapper.values import clean

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECONDS = 20.0
"""Of the processor; the slowest takes less than one of them."""
MOST_MEMORY = (300 << 20) // (1 if sys.platform == "darwin" else 1024)
"""In the unit of the system."""

LARGE = 60_000
HOSTILE: dict[str, Any] = {
    "letters": "a" * LARGE,
    "digits": "9" * LARGE,
    "dots": "." * LARGE,
    "colons": "1:" * (LARGE // 2),
    "slashes": "/" * LARGE,
    "ampersands": "&lt;" * (LARGE // 4),
    "opening tags": "<" * LARGE,
    "open comments": "<!--" * (LARGE // 4),
    "percents": "%" * LARGE,
    "spaces": " " * LARGE,
    "capitals": "aB" * (LARGE // 2),
    "marks": "a" + "\u0300\u0323" * (LARGE // 4),
    "ligatures": "\ufdfa" * (LARGE // 4),
    "surrogate": "\ud800" * 10,
    "zeros": "\0" * LARGE,
    "deep JSON": "[" * LARGE,
    "deep objects": '{"a":' * (LARGE // 6),
    "many addresses": "1.2.3.4," * (LARGE // 8),
    "URL": "https://a.b/?" + "a=1&" * (LARGE // 4),
    "URL with marks": "https://" + "a\u0300\u0323" * 2_600 + "/",
    "vector": "CVSS:4.0/" + "AV:N/" * (LARGE // 5),
    "many ids": "CVE-2024-3094 " * (LARGE // 14),
    "hex": "f" * LARGE,
    "mail": "a." * (LARGE // 2) + "@b",
    "product": "cpe:2.3:" + "a:" * (LARGE // 2),
    "package": "pkg:npm/" + "a/" * (LARGE // 2),
    "duration": "1h" * (LARGE // 2),
    "large integer": 2**64 - 1,
    "huge integer": 10**5000,
    "large number": 1.7e308,
    "small number": 5e-324,
    "not finite": float("nan"),
    "wide list": list(range(5_000)),
    "list of lists": [[["a"] * 10] * 10] * 20,
    "wide object": {str(number): number for number in range(8_000)},
    "entries": [{"key": "k" * 20, "value": number} for number in range(2_000)],
    "true": True,
}
DEEP_LIST: Any = []
DEEP_OBJECT: Any = {}
for _ in range(5_000):
    DEEP_LIST, DEEP_OBJECT = [DEEP_LIST], {"a": DEEP_OBJECT}
HOSTILE |= {"deep list": DEEP_LIST, "deep object": DEEP_OBJECT}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_a_function_ends_within_bounds_whatever_it_gets(function: Function) -> None:
    """
    Each step, as its example writes it, on large, deep, damaged and hostile values.
    """
    field = {"target": "out", "source": "in", "steps": [function.example.step]}
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reasons = set()
    for value in HOSTILE.values():
        try:
            made = plan.apply({"in": value}, now=NOW)
        except RecordRejected as rejected:
            reasons |= {error.reason for error in rejected.errors}
        else:
            assert clean(made, [0]) is made, "what is made can be stored"
    spent, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert "VALUE_UNUSABLE" not in reasons, "a function should say why it refuses a value"
    assert spent < SECONDS
    assert after - before < MOST_MEMORY


ABUSES: dict[str, Any] = {
    "padding": {"pad_left": 10**9},
    "padding to the right": {"pad_right": [10**9, "x"]},
    "no text to find": {"replace": ["", "x"]},
    "huge shift": {"add_days": 1e300},
    "far away": {"add_time": [10**9, "years"]},
    "repetition": {"regex_replace": ["((a{0,100}){0,100}){0,100}", "b"]},
    "look-around": {"regex_extract": "(?=a)b"},
    "base": {"from_base": 10**9},
    "digits": {"round": 10**9},
    "zone outside": {"to_utc": "../../etc/passwd"},
    "format": {"format_date": "%Q" * 40},
    "network": {"in_cidr": "10.0.0.0/99"},
    "namespace": {"uuid5": "x" * 10_000},
    "pointer": {"json_pointer": "/a" * 5_000},
    "scale": {"severity": ["ocsf", "__class__"]},
    "unit": {"convert_unit": ["GB", "C"]},
    "bits": {"has_bits": 2**200},
}


@pytest.mark.parametrize("name", ABUSES)
def test_arguments_that_would_cost_too_much_are_refused(name: str) -> None:
    """
    What no argument may be is a mistake of the mapping, or refuses the record.
    """
    field = {"target": "out", "source": "in", "steps": [ABUSES[name]]}
    definition = {"version": "isthmus/v1", "field_mappings": [field]}
    try:
        plan = compile_mapping(definition)
    except MappingInvalid:
        return
    for value in ("2026-01-31", "a" * 10_000):
        with pytest.raises(RecordRejected):
            plan.apply({"in": value}, now=NOW)


IN_EXPRESSIONS = {
    "padding": "text.padLeft(record.s, 1000000000)",
    "padding in a loop": "record.l.map(a, record.l.map(b, text.padLeft('a', 1000)))",
    "growing in a loop": f"record.l.map(a, regex.replace(record.s, 'a', '{'b' * 900}'))",
    "growing by name": "cel.bind(a, regex.replace(record.s, 'a', record.s), cel.bind(b, a + a, b + b))",
    "merging in a loop": "record.l.map(a, json.merge(record, record))",
    "sorting in a loop": "record.l.all(a, record.l.all(b, size(lists.sort(record.l)) > 0))",
    "hashing in a loop": "record.l.all(a, record.l.all(b, hash.content(record) != ''))",
    "patterns of the record": "record.l.all(a, regex.count(record.s, '(a|aa)+' + string(a)) == 0)",
    "joined": "lists.join(record.l.map(a, record.s), record.s)",
    "parsed": "json.parse(record.deep)",
    "similar in a loop": "record.l.all(a, text.similarity(record.s, record.s) > 2.0 || true)",
}


@pytest.mark.parametrize("name", IN_EXPRESSIONS)
def test_expressions_cannot_abuse_functions_either(name: str) -> None:
    """
    Inside macros functions are charged for what they work on and for what they make.
    """
    record = {"s": "a" * 20_000, "l": list(range(300)), "deep": "[" * 100_000}
    program = compile_expression(
        environment((("record", "dyn"),)).check(IN_EXPRESSIONS[name]), {"record": "dyn"}
    )
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(Failed, OverLimit):
        plain(program.evaluate({"record": record}))
    spent, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert spent < SECONDS
    assert after - before < MOST_MEMORY


# Objects have one member at most: in which order the library goes through several is nobody's promise.
OPERANDS: dict[str, tuple[Any, ...]] = {
    "string": (
        "",
        "a",
        "10.0.0.1",
        "CVE-2024-3094",
        "2026-01-31T12:00:00Z",
        "1h",
        "https://a.b/c",
        "[1]",
        "é",
    ),
    "int": (0, 1, -1, 5, 2**62),
    "uint": (2**63, 2**64 - 1),
    "double": (0.0, 1.5, -2.25, 1e300, float("inf")),
    "bool": (True, False),
    "list": ([], [3, 1], ["b", "a", None], [{"key": "a"}]),
    "map": ({}, {"a": {"b": 1}}),
    "timestamp": (Timestamp(0), Timestamp(1_769_860_800_000_000_000)),
    "duration": (Duration(0), Duration(-90_500_000_000)),
    "null": (None,),
}


_TYPED = frozenset({"timestamp", "duration"})


def outcome(evaluate: Any) -> Any:
    """The value, or that there is none."""
    try:
        return evaluate()
    except (Failed, OverLimit, Unaskable):
        return Failed


@pytest.mark.parametrize("function", OWN, ids=lambda function: function.name)
def test_both_evaluators_give_the_same_for_operands_of_every_type(function: OwnFunction) -> None:
    """
    For operands that fit and for all others, the compiled call and the library agree on value or failure.
    """
    count = max(map(len, function.overloads))
    fitting = next(one for one in function.overloads if len(one) == count)
    for place in range(count):
        for kind, operands in OPERANDS.items():
            kinds = [*fitting[:place], kind, *fitting[place + 1 :]]
            held = [(f"x{number}", _variable(each)) for number, each in enumerate(kinds)]
            try:
                checked = environment(tuple(held)).check(f"{function.name}({', '.join(dict(held))})")
            except ExpressionInvalid:
                assert kind in _TYPED
                continue
            run = compile_expression(checked, dict(held)).run
            assert run is not None
            for operand in operands:
                values = {f"x{number}": OPERANDS[each][0] for number, each in enumerate(kinds)}
                values[f"x{place}"] = operand
                ours = outcome(lambda: run(values, [0, 100_000]))  # noqa: B023
                theirs = outcome(lambda: reference.evaluate(checked, values))  # noqa: B023

                assert ours == theirs, values


def _variable(kind: str) -> str:
    """How a variable for operands of a kind is declared: records hold no points in time and no spans."""
    return kind if kind in _TYPED else "dyn"


def test_a_wrong_type_is_told_when_the_expression_is_read() -> None:
    """
    The checker knows the types of all functions and of what they give.
    """
    for text in (
        "net.inCidr(1, '10.0.0.0/8')",
        "hash.sha256('a') + 1",
        "time.startOf(now, 'day') > 'a'",
        "cvss.score('x') > 'high'",
        "net.isIp('a') ? 1 : 'a' + 2",
    ):
        with pytest.raises(ExpressionInvalid, match="no matching overload"):
            environment((("record", "dyn"), ("now", "timestamp"))).check(text)


@pytest.mark.parametrize(
    "text", ["net.inCidr('10.0.0.1')", "net.inCidr(1, '10.0.0.0/8')"], ids=["operand missing", "type"]
)
def test_a_call_that_does_not_fit_is_told_how_to_call(text: str) -> None:
    """
    A mistake in a call of the library names what the function takes and gives.
    """
    field = {"target": "out", "expression": text}
    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

    told = " ".join(violation.message for violation in invalid.value.violations)
    assert "Call it as net.inCidr(string, networks: string|list) → boolean." in told
