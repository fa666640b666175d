"""What steps and conditions need of the record around the elements that they look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isthmus.mapper.model import Step
from isthmus.mapper.paths import Path


@dataclass(frozen=True, slots=True)
class OfRecord:
    """An argument of a function that depends on the record.

    Attributes:
        given: Gives for a record what the function takes.
        reads: Paths inside the record.
    """

    given: Callable[[Any], Any]
    reads: tuple[Path, ...]


def record_reads(arguments: list[Any]) -> tuple[Path, ...]:
    """What arguments read of the record; nothing where they do without it."""
    return tuple(path for one in arguments if isinstance(one, OfRecord) for path in one.reads)


def with_record(build: Callable[..., Callable[..., Any]], arguments: list[Any], *, needs_now: bool) -> Any:
    """A step that is made anew for each record, because its arguments depend on it."""

    def step(value: Any, now: datetime, record: Any) -> Any:
        made = build(*(one.given(record) if isinstance(one, OfRecord) else one for one in arguments))
        return made(value, now) if needs_now else made(value)

    return step


def bound_to(step: Step, record: Any) -> Step:
    """A step as it is for a record."""
    if not step.record_reads:
        return step
    call = step.call
    return replace(step, call=lambda value, now: call(value, now, record), needs_now=True, record_reads=())
