"""What becomes of a record that is split into several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.errors import FieldError, MappingStopped, RecordRejected
from isthmus.mapper.limits import MAX_ERRORS, MAX_OUTPUT, MAX_PARTS
from isthmus.mapper.paths import RECORD_NAME
from isthmus.mapper.runtime import FieldInfo, failed
from isthmus.mapper.values import kind_of, sentence


def unsplit(source: str, problem: Exception) -> RecordRejected:
    """The list that a record is split by cannot be read."""
    return RecordRejected(failed(None, FieldInfo("", source), problem, None))


def parts(value: Any, make: Callable[[Any], dict[str, Any] | None], source: str) -> list[dict[str, Any]]:
    """One object from each element; a record of which one part fails is rejected as a whole.

    Args:
        value: The list; a record without one has no parts.
        make: Makes the object; `None` leaves the element out.
        source: Where the list stands.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        hint = sentence(f"{kind_of(value)} was met where a list is needed; a record is split by a list.")
        raise RecordRejected([FieldError("", source, "NOT_LIST", hint)])
    if len(value) > MAX_PARTS:
        hint = f"The record would be split into more than {MAX_PARTS}; split it at its source."
        raise RecordRejected([FieldError("", source, "TOO_MANY", hint)])
    made: list[dict[str, Any]] = []
    size = 0
    errors: list[FieldError] = []
    for index, element in enumerate(value):
        try:
            part = make(element)
        except MappingStopped:
            raise
        except RecordRejected as refusal:
            errors += [_of_part(f"{source}[{index}]", error) for error in refusal.errors]
            if len(errors) >= MAX_ERRORS:
                break
            continue
        if part is not None:
            made.append(part)
            size += _weight(part)
            if size > MAX_OUTPUT:
                hint = f"The parts of the record would exceed {MAX_OUTPUT} bytes together; map less."
                raise RecordRejected([FieldError("", source, "OUTPUT_TOO_LARGE", hint)])
    if errors:
        raise RecordRejected(errors[:MAX_ERRORS])
    return made


def _weight(value: Any) -> int:
    """About how many bytes a value takes as JSON."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return sum(len(key) + 4 + _weight(inner) for key, inner in value.items()) + 2
    if isinstance(value, list):
        return sum(map(_weight, value)) + len(value) + 2
    return 8


def _of_part(place: str, error: FieldError) -> FieldError:
    """An error as it is told of the whole record."""
    if error.rule:
        return error
    path = error.source
    if path.startswith(RECORD_NAME):
        source = path.removeprefix(RECORD_NAME).removeprefix(".") or "$"
    else:
        source = place + ("" if path in {"", "$"} else path if path.startswith("[") else f".{path}")
    return FieldError(error.target, source, error.reason, error.message, error.value, error.rule)
