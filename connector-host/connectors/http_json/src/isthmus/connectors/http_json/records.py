"""Finds the records in a body."""

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.connectors.http_json.settings import StreamSettings
from isthmus.sdk import DataFailure, Page
from isthmus.sdk.records import at_path
from isthmus.sdk.shaped import ShapedRecords

SPECIAL = ("@removed",)
"""Members that make a record one that was removed."""
_ABSENT = object()


def records_in(body: Any, told: StreamSettings) -> Page[dict[str, Any]]:
    """The records of one page.

    A record that Microsoft Graph or SCIM marks as removed (`@removed`) comes as
    a deletion; null is no mark.

    Raises:
        DataFailure: `RECORDS_MISSING`, when there is nothing at the records path;
            `RECORDS_SHAPE`, when it is of another shape than the settings say.
    """
    found = at_path(body, told.records_path, _ABSENT) if told.records_path else body
    if found is _ABSENT and not told.records_optional:
        raise _missing(body, told)
    if found is None or found is _ABSENT:
        return Page()
    if isinstance(found, ShapedRecords) and told.shape == "list":
        return Page(found)
    kept: list[dict[str, Any]] = []
    deleted: list[dict[str, Any]] = []
    for record in _shaped(found, told):
        (deleted if record.get("@removed") is not None else kept).append(record)
    return Page(kept, deleted=deleted)


def _shaped(found: Any, told: StreamSettings) -> Iterable[dict[str, Any]]:
    if told.shape == "object" and isinstance(found, dict):
        return [found]
    if told.shape == "map" and isinstance(found, Mapping):
        return [{**_object(value), told.name_field: name} for name, value in found.items()]
    if told.shape == "list" and isinstance(found, list):
        return [_object(item) for item in found]
    wanted = {"list": "a list", "object": "an object", "map": "an object of records"}[told.shape]
    at = f"At {told.records_path} the answer" if told.records_path else "The answer"
    is_not = f"is {_kind(found)}, not {wanted}"
    message = f"{at} of stream {told.name} {is_not}; set records_path or shape to what it is."
    raise DataFailure("RECORDS_SHAPE", message, path=told.records_path)


def _object(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"value": item}


def _missing(body: Any, told: StreamSettings) -> DataFailure:
    names = ", ".join(list(body)[:10]) if isinstance(body, Mapping) else _kind(body)
    message = (
        f"The answer of stream {told.name} has nothing at {told.records_path}; it has {names}."
        " Correct records_path, or set records_optional."
    )
    return DataFailure("RECORDS_MISSING", message, path=told.records_path)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return kinds.get(type(value), "a number")
