"""Tries functions by their own examples, in both forms; for the tests of whoever writes functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions import REQUIRED, Example, Function
from isthmus.mapper.reading.report import Report
from isthmus.mapper.reading.steps import Scope, bind
from isthmus.mapper.reference import expression_example
from isthmus.mapper.values import clean, same

NOW: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The evaluation time of examples."""


def problems(functions: Iterable[Function]) -> list[str]:
    """What does not hold of functions: their examples as steps and as expressions, and their documentation.

    Args:
        functions: For example `LIBRARY.named("acme").values()`.

    Returns:
        One sentence for each problem; nothing where all is well.
    """
    return [f"{function.name}: {told}" for function in functions for told in _problems(function)]


def _problems(function: Function) -> Iterator[str]:
    if not function.doc.endswith("."):
        yield "its builder has no docstring that says in a sentence what it does."
    for example in function.examples:
        yield from _step_problems(function, example)
    if expression_example(function):
        yield from _expression_problems(function)


def _step_problems(function: Function, example: Example) -> Iterator[str]:
    report = Report()
    raw = REQUIRED if isinstance(example.step, str) else example.step[function.name]
    step = bind(Scope(report), function, raw, "")
    if step is None:
        yield f"the step {example.step!r} is refused: {report.violations[0].message}"
        return
    try:
        given = () if not step.needs_now else (NOW,)
        made = clean(step.call(example.given, *given), [0])
    except Refusal as refusal:
        yield f"{example.given!r} is refused: {refusal.message}"
        return
    if not same(made, example.result):
        yield f"{example.step!r} makes {made!r} of {example.given!r}, and not {example.result!r}."


def _expression_problems(function: Function) -> Iterator[str]:
    from isthmus.mapper.cel import reference
    from isthmus.mapper.cel.environment import Environment, ExpressionInvalid
    from isthmus.mapper.cel.functions import own
    from isthmus.mapper.cel.program import compile_expression
    from isthmus.mapper.cel.values import Failed

    text = expression_example(function)
    try:
        checked = Environment({}, (own(function),)).check(text)
        made = compile_expression(checked, {}).evaluate({})
        theirs = reference.evaluate(checked, {})
    except (ExpressionInvalid, Failed) as problem:
        yield f"{text} fails: {problem}"
        return
    if not same(_shown(made), function.example.result) or not same(_shown(theirs), function.example.result):
        yield f"{text} gives {_shown(made)!r}, and not {function.example.result!r}."


def _shown(made: Any) -> Any:
    """A value of an expression as its step gives it."""
    from isthmus.mapper.cel.plain import plain
    from isthmus.mapper.cel.values import Duration

    return made.nanoseconds / 10**9 if isinstance(made, Duration) else plain(made)


__all__ = ["NOW", "problems"]
