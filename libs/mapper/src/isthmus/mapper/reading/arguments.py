"""Reads arguments that stand for themselves: texts, numbers, lists, time zones, formats, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.casts import CASTS, STRICTNESS
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions import Param
from isthmus.mapper.limits import MAX_FORMAT_TEXT, MAX_FORMATS, MAX_LIST, MAX_TEMPLATE_TEXT
from isthmus.mapper.reading.report import Report, join
from isthmus.mapper.times import check_format, moment_of, zone_named

INVALID = object()
"""Stands for an argument that could not be read; the mistake is noted already."""


def _text(report: Report, param: Param, raw: object, place: str) -> Any:
    if not isinstance(raw, str):
        report.wrong_type(place, "a text", raw)
        return INVALID
    if len(raw) > MAX_TEMPLATE_TEXT:
        report.add(place, "TOO_LONG", f"{param.name} has at most {MAX_TEMPLATE_TEXT} characters.")
        return INVALID
    return raw


def _whole(report: Report, param: Param, raw: object, place: str) -> Any:
    if isinstance(raw, bool) or not isinstance(raw, int) or not param.low <= raw <= param.high:
        report.add(
            place, "ARGUMENT_INVALID", f"{param.name} must be an integer from {param.low} to {param.high}."
        )
        return INVALID
    return raw


def _number(report: Report, _param: Param, raw: object, place: str) -> Any:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        report.wrong_type(place, "a number", raw)
        return INVALID
    return raw


def _any(_report: Report, _param: Param, raw: object, _place: str) -> Any:
    return raw


def _values(report: Report, _param: Param, raw: object, place: str) -> Any:
    if isinstance(raw, list) and len(raw) <= MAX_LIST:
        return raw
    report.wrong_type(place, "a list of values", raw)
    return INVALID


def _texts(report: Report, param: Param, raw: object, place: str) -> Any:
    """One text, or a list of texts; always given as a list."""
    texts = raw if isinstance(raw, list) else [raw]
    if not texts or len(texts) > MAX_LIST:
        report.add(place, "ARGUMENT_INVALID", f"{param.name} must be a text or a list of them.")
        return INVALID
    read = [_text(report, param, text, place) for text in texts]
    return INVALID if any(text is INVALID for text in read) else read


def _members(report: Report, _param: Param, raw: object, place: str) -> Any:
    if isinstance(raw, dict):
        return raw
    report.wrong_type(place, "an object", raw)
    return INVALID


def _choice(report: Report, param: Param, raw: object, place: str) -> Any:
    if raw in param.options and isinstance(raw, str):
        return raw
    report.add(place, "ARGUMENT_INVALID", f"{param.name} must be one of {', '.join(param.options)}.")
    return INVALID


def _zone(report: Report, _param: Param, raw: object, place: str) -> Any:
    try:
        return zone_named(raw if isinstance(raw, str) else "?")
    except ValueError:
        report.add(place, "ZONE_UNKNOWN", "There is no such time zone; write UTC, Europe/Zurich or +02:00.")
        return INVALID


def _time(report: Report, _param: Param, raw: object, place: str) -> Any:
    try:
        return moment_of(raw)
    except Refusal as refusal:
        report.add(place, "ARGUMENT_INVALID", refusal.message)
        return INVALID


def _format(report: Report, _param: Param, raw: object, place: str) -> Any:
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_FORMAT_TEXT:
        report.add(place, "FORMAT_INVALID", f"A format is a text of 1 to {MAX_FORMAT_TEXT} characters.")
        return INVALID
    try:
        return check_format(raw)
    except ValueError as problem:
        report.add(place, "FORMAT_INVALID", str(problem))
        return INVALID


def _formats(report: Report, param: Param, raw: object, place: str) -> Any:
    """One format, or a list of formats; always given as a list."""
    formats = raw if isinstance(raw, list) else [raw]
    if not 0 < len(formats) <= MAX_FORMATS:
        report.add(place, "ARGUMENT_INVALID", f"{param.name} are 1 to {MAX_FORMATS} formats.")
        return INVALID
    read = [_format(report, param, each, place) for each in formats]
    return INVALID if any(each is INVALID for each in read) else read


def _cast(report: Report, _param: Param, raw: object, place: str) -> Any:
    """A type by name, or an object with `type` and `strictness`."""
    members = (
        {"type": raw}
        if isinstance(raw, str)
        else report.members(raw, place, ("type", "strictness"), ("type",))
    )
    if "type" not in members:
        return INVALID
    if members["type"] not in list(CASTS):
        report.add(
            join(place, "type") if isinstance(raw, dict) else place,
            "VALUE_NOT_ALLOWED",
            f"Cast to one of {', '.join(CASTS)}.",
        )
        return INVALID
    strictness = report.choice(members.get("strictness", "lossless"), join(place, "strictness"), STRICTNESS)
    return members["type"], strictness


READERS: dict[str, Callable[[Report, Param, object, str], Any]] = {
    "text": _text,
    "pattern": _text,
    "whole": _whole,
    "number": _number,
    "any": _any,
    "values": _values,
    "texts": _texts,
    "members": _members,
    "choice": _choice,
    "zone": _zone,
    "time": _time,
    "format": _format,
    "formats": _formats,
    "cast": _cast,
}
"""For each kind of parameter what reads its argument; `INVALID` where it is wrong, which is noted."""
