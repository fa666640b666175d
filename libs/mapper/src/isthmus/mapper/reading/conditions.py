"""Reads conditions: `all`, `any`, `not`, and checks on a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions import FUNCTIONS
from isthmus.mapper.limits import MAX_FIELDS
from isthmus.mapper.model import Combined, Condition, Expression, Negated, Source, Step, Test, Value
from isthmus.mapper.paths import Path, format_path, into_record, lenient, reader
from isthmus.mapper.reading.expressions import read_expression
from isthmus.mapper.reading.outer import bound_to
from isthmus.mapper.reading.report import join
from isthmus.mapper.reading.steps import Scope, bind, read_steps, run_steps

CHECKS = (
    "equals",
    "not_equals",
    "one_of",
    "none_of",
    "at_least",
    "at_most",
    "more_than",
    "less_than",
    "contains",
    "matches",
    "starts_with",
    "ends_with",
)
SWITCHES = ("is_null", "is_empty", "is_past")
_HOLD_FOR_NULL = frozenset({"not_equals", "none_of"})
_COMBINATIONS = ("all", "any", "not")

Predicate = Callable[[Any, datetime], bool]


def read_condition(scope: Scope, raw: object, place: str) -> Condition | None:
    """Reads one condition; `None` where it is wrong, which is noted."""
    if isinstance(raw, dict) and len(raw) == 1 and next(iter(raw)) in _COMBINATIONS:
        ((word, inner),) = raw.items()
        if word == "not":
            condition = read_condition(scope, inner, join(place, word))
            return None if condition is None else Negated(condition)
        return _read_combined(scope, word, inner, join(place, word))
    if isinstance(raw, dict) and "expression" in raw:
        members = scope.report.members(raw, place, ("expression",))
        return read_expression(scope, members["expression"], join(place, "expression"), is_condition=True)
    return _read_test(scope, raw, place)


def _read_combined(scope: Scope, word: str, raw: object, place: str) -> Combined | None:
    items = scope.report.items(raw, place, MAX_FIELDS, "a list of conditions")
    if isinstance(raw, list) and not raw:
        scope.report.add(place, "EMPTY", "At least one condition is needed here.")
    conditions = [read_condition(scope, item, join(place, index)) for index, item in enumerate(items)]
    good = tuple(condition for condition in conditions if condition is not None)
    return Combined(word, good) if good else None


def _read_test(scope: Scope, raw: object, place: str) -> Test | None:
    report = scope.report
    known = ("path", "steps", *CHECKS, *SWITCHES, *_COMBINATIONS, "expression")
    members = report.members(raw, place, known, ("path",))
    for word in _COMBINATIONS:
        if word in members:
            report.add(
                join(place, word),
                "MEMBERS_EXCLUDE",
                f"{word!r} stands alone; put conditions side by side in all.",
            )
    if "path" not in members:
        return None
    path = scope.path(members["path"], join(place, "path"))
    steps = read_steps(scope, members["steps"], join(place, "steps")) if "steps" in members else ()
    checks = []
    for name in CHECKS:
        if name in members:
            step = bind(scope, FUNCTIONS[name], members[name], join(place, name))
            checks.append((step, name in _HOLD_FOR_NULL))
    for name in SWITCHES:
        if name in members:
            checks.append((_switch(scope, name, members[name], join(place, name)), False))
    if not checks:
        report.add(
            place, "CHECK_MISSING", f"Say what must hold for the path: {', '.join((*CHECKS, *SWITCHES))}."
        )
    good = tuple((step, holds) for step, holds in checks if step is not None)
    return Test(Value(Source(path, lenient=True), steps), good) if good else None


def _switch(scope: Scope, name: str, raw: object, place: str) -> Step:
    function = FUNCTIONS[name]
    wanted = scope.report.flag(raw, place)
    ask = function.build()
    if function.needs_now:
        call = ask if wanted else lambda value, now: not ask(value, now)
    else:
        call = ask if wanted else lambda value: not ask(value)
    return Step(name, call, "boolean", takes_null=function.takes_null, needs_now=function.needs_now)


def predicate(condition: Condition, reader_of: Callable[[Path], Callable[[Any], Any]] = reader) -> Predicate:
    """A function that answers a condition for a record at an evaluation time.

    Args:
        condition: What to ask.
        reader_of: Gives the function that reads a path of such a record.
    """
    if isinstance(condition, Negated):
        inner = predicate(condition.condition, reader_of)
        return lambda record, now: not inner(record, now)
    if isinstance(condition, Combined):
        parts = tuple(predicate(part, reader_of) for part in condition.conditions)
        if condition.word == "all":
            return lambda record, now: all(part(record, now) for part in parts)
        return lambda record, now: any(part(record, now) for part in parts)
    if isinstance(condition, Expression):
        from isthmus.mapper.generation.expressions import condition_function

        return condition_function(condition)
    return _test(condition, reader_of)


def predicate_in_record(condition: Condition) -> Callable[[Any], Predicate]:
    """What gives for a record the function that answers a condition for elements inside it."""
    ask = _with_record(condition)
    return lambda record: lambda element, now: ask(element, now, record)


def _with_record(condition: Condition) -> Callable[[Any, datetime, Any], bool]:
    if isinstance(condition, Negated):
        inner = _with_record(condition.condition)
        return lambda element, now, record: not inner(element, now, record)
    if isinstance(condition, Combined):
        parts = tuple(map(_with_record, condition.conditions))
        if condition.word == "all":
            return lambda element, now, record: all(part(element, now, record) for part in parts)
        return lambda element, now, record: any(part(element, now, record) for part in parts)
    if isinstance(condition, Expression):
        from isthmus.mapper.generation.expressions import condition_function

        if condition.body.outer_paths:
            answer: Callable[[Any, datetime, Any], bool] = condition_function(condition)
            return answer
        alone = condition_function(condition)
        return lambda element, now, _record: alone(element, now)
    return test_in_record(condition)


def test_in_record(test: Test) -> Callable[[Any, datetime, Any], bool]:
    """The function that answers a test for an element at an evaluation time, in a record."""
    origin, steps = test.value.origin, test.value.steps
    assert isinstance(origin, Source)
    is_inside = into_record(origin.path) is None
    if any(step.record_reads for step in steps):

        def bound(element: Any, now: datetime, record: Any) -> bool:
            chain = tuple(bound_to(step, record) for step in steps)
            ask = _test(replace(test, value=replace(test.value, steps=chain)), _reader)
            return ask(element if is_inside else record, now)

        return bound
    ask = _test(test, _reader)
    if is_inside:
        return lambda element, now, _record: ask(element, now)
    return lambda _element, now, record: ask(record, now)


def _reader(path: Path) -> Callable[[Any], Any]:
    """The function that reads what a path leads to, be it of the element or of the record around it."""
    inside = into_record(path)
    return reader(path if inside is None else inside)


def _test(test: Test, reader_of: Callable[[Path], Callable[[Any], Any]]) -> Predicate:
    origin = test.value.origin
    assert isinstance(origin, Source)
    read = lenient(reader_of(origin.path))
    prepare = run_steps(test.value.steps) if test.value.steps else None
    checks = tuple((step.call, step.takes_null, step.needs_now, holds) for step, holds in test.checks)

    source = format_path(origin.path)

    def holds(record: Any, now: datetime) -> bool:
        value = read(record)
        try:
            if prepare is not None:
                value = prepare(value, now)
            for call, takes_null, needs_now, for_null in checks:
                if value is None and not takes_null:
                    if not for_null:
                        return False
                elif not (call(value, now) if needs_now else call(value)):
                    return False
        except Refusal as refusal:
            raise refusal.located(source, value) from None
        return True

    return holds
