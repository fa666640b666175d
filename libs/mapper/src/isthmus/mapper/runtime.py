"""What generated code calls: the paths off the fast track."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from isthmus.mapper.errors import FieldError, RecordRejected, Refusal
from isthmus.mapper.limits import MAX_DEPTH, MAX_ERRORS, MAX_LIST, MAX_OUTPUT
from isthmus.mapper.paths import RECORD_NAME
from isthmus.mapper.plan import not_an_object
from isthmus.mapper.times import rfc3339
from isthmus.mapper.values import Meter, clean, kind_of, sentence, show, text_of

Errors = list[FieldError]


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """How a field is called in errors."""

    target: str
    source: str


class NestedErrors(Exception):
    """Errors of list elements, to be told under the field that holds the list."""

    def __init__(self, errors: Errors) -> None:
        super().__init__()
        self.errors = errors


def as_record(record: Any) -> dict[str, Any]:
    """Returns an object and rejects everything else."""
    if isinstance(record, dict):
        return record
    raise RecordRejected([not_an_object(record)])


def failed(errors: Errors | None, info: FieldInfo, problem: Exception, value: object) -> Errors:
    """Adds what went wrong with one field to the errors of the record."""
    errors = [] if errors is None else errors
    if isinstance(problem, NestedErrors):
        errors += [_under(info, error) for error in problem.errors]
    elif isinstance(problem, Refusal):
        source, met = (problem.source, problem.value) if problem.source else (info.source, value)
        shown = show(met, f"{info.target} {source}")
        errors.append(FieldError(info.target, source, problem.reason, problem.message, shown))
    elif isinstance(problem, RecursionError):
        message = f"The value is nested more than {MAX_DEPTH} deep; use a deeper source path."
        errors.append(FieldError(info.target, info.source, "TOO_DEEP", message))
    else:
        message = f"The value cannot be used ({type(problem).__name__}); check its type at the source."
        shown = show(value, f"{info.target} {info.source}")
        errors.append(FieldError(info.target, info.source, "VALUE_UNUSABLE", message, shown))
    del errors[MAX_ERRORS:]
    return errors


def _under(info: FieldInfo, error: FieldError) -> FieldError:
    target = info.target + error.target
    # What was met in the record around the element is told as such.
    source = error.source if error.source.startswith(RECORD_NAME) else info.source + error.source
    return FieldError(target, source, error.reason, error.message, error.value)


def missing(errors: Errors | None, info: FieldInfo) -> Errors:
    """Adds that a required field has no value."""
    errors = [] if errors is None else errors
    where = f" ({info.source})" if info.source else ""
    message = (
        f"{info.target} is required and its source{where} has no value; mend the source or give a default."
    )
    errors.append(FieldError(info.target, info.source, "REQUIRED_MISSING", message))
    return errors


def rejected_by_filter(problem: Exception) -> RecordRejected:
    """The record's filter cannot be answered, so the record may neither pass nor vanish."""
    return RecordRejected(failed(None, FieldInfo("", "where"), problem, None))


def carry(
    out: dict[str, Any], record: dict[str, Any], claimed: frozenset[str], meter: Meter, errors: Errors | None
) -> Errors | None:
    """Copies the members that no field mapping claims."""
    for key, value in record.items():
        if key in claimed:
            continue
        name = key if isinstance(key, str) else show(key)
        try:
            out[clean(name, meter)] = clean(value, meter)
        except Exception as problem:
            errors = failed(errors, FieldInfo(show(name), show(name)), problem, value)
    return errors


def concat(values: tuple[Any, ...], separator: str) -> str | None:
    """The texts of all values that are not null; `None` where all are."""
    texts = [value if value.__class__ is str else text_of(value) for value in values if value is not None]
    if sum(map(len, texts)) > MAX_OUTPUT:
        raise Refusal("TOO_LONG", f"The text would exceed {MAX_OUTPUT} characters.")
    return separator.join(texts) if texts else None


def items(
    value: Any, make: Callable[[Any, datetime, Meter], dict[str, Any] | None], now: datetime, meter: Meter
) -> list[dict[str, Any]] | None:
    """Makes one object from each element and gathers the errors of all."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise Refusal(
            "NOT_LIST", sentence(f"{kind_of(value)} was met where a list is needed; mend the source path.")
        )
    if len(value) > MAX_LIST:
        raise Refusal(
            "TOO_MANY", f"The list has more than {MAX_LIST} elements; split the record at its source."
        )
    made: list[dict[str, Any]] = []
    errors: Errors = []
    for index, element in enumerate(value):
        try:
            result = make(element, now, meter)
        except RecordRejected as refusal:
            errors += [_in_element(index, error) for error in refusal.errors]
            if len(errors) >= MAX_ERRORS:
                break
            continue
        if result is not None:
            made.append(result)
            # Values known to be small are not charged one by one.
            meter[0] += 64 * len(result) + 2
            if meter[0] > MAX_OUTPUT:
                raise Refusal(
                    "OUTPUT_TOO_LARGE", f"The mapped record would exceed {MAX_OUTPUT} bytes; map less."
                )
    if errors:
        raise NestedErrors(errors)
    return made


def _in_element(index: int, error: FieldError) -> FieldError:
    def under(path: str) -> str:
        if path.startswith(RECORD_NAME):
            return path
        return f"[{index}]" + ("" if path in {"", "$"} else path if path.startswith("[") else f".{path}")

    return FieldError(under(error.target), under(error.source), error.reason, error.message, error.value)


def trim(values: list[Any]) -> list[Any]:
    """Takes nulls off the end of a list."""
    while values and values[-1] is None:
        values.pop()
    return values


@lru_cache(maxsize=8)
def moment_text(now: datetime) -> str:
    """The evaluation time as text; a batch asks for the same one thousands of times."""
    return rfc3339(now)
