"""Keys and cursors of whole pages, with what is known of a stream worked out once."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter, methodcaller
from typing import Any

from isthmus.sdk.records import KEY_SEPARATOR, at_path, greatest, key_text
from isthmus.sdk.shaped import ShapedRecords

_FORM_OF_MOMENTS = itemgetter(4, 7, 10, 13, 16)
_FORMS = frozenset({("-", "-", " ", ":", ":"), ("-", "-", "T", ":", ":")})
_LENGTH_OF_SECONDS = len("2026-01-01 00:00:00")

Getter = Callable[[Any], Any]


class Keying:
    """Reads keys and cursors of one stream.

    Args:
        primary_key: Dotted paths of the fields that identify a record.
        cursor_field: Dotted path of the field that grows; empty where there is none.
    """

    def __init__(self, primary_key: Sequence[str], cursor_field: str = "") -> None:
        self.paths = (*primary_key, *((cursor_field,) if cursor_field else ()))
        self._primary_key = tuple(primary_key)
        self._cursor_field = cursor_field
        self._getters = {path: getter(path) for path in self.paths}

    def keys(self, records: Sequence[Any]) -> list[str] | None:
        """The keys of records that are all dictionaries, or all of one shape.

        Returns:
            None where a part of a key is missing; then each record has to be looked at by itself.
        """
        return self.keys_by(self._getters_of(records), records)

    def keys_by(self, getters: Mapping[str, Getter], records: Sequence[Any]) -> list[str] | None:
        """Like `keys`, for records whose paths others know how to read."""
        if not self._primary_key:
            return [""] * len(records)
        columns: list[list[str]] = []
        for path in self._primary_key:
            column = _texts(list(map(getters[path], records)))
            if column is None:
                return None
            columns.append(column)
        return columns[0] if len(columns) == 1 else list(map(KEY_SEPARATOR.join, zip(*columns, strict=True)))

    def top(self, records: Sequence[Any], before: Any) -> Any:
        """The greatest cursor of the records, and of what came before them."""
        if not self._cursor_field:
            return before
        values = list(map(self._getters_of(records)[self._cursor_field], records))
        if values and _are_moments_of_one_form([*values, before] if before is not None else values):
            # Then texts compare as the moments do.
            values = [max(values)]
        return greatest(values, before)

    def _getters_of(self, records: Sequence[Any]) -> Mapping[str, Getter]:
        return records.shape.getters if isinstance(records, ShapedRecords) else self._getters


def getter(path: str) -> Getter:
    """A function that reads a dotted path of a dictionary as `at_path` does."""
    if "." not in path:
        return methodcaller("get", path)
    return lambda record: at_path(record, path)


def _texts(values: list[Any]) -> list[str] | None:
    """Parts of keys as texts; None where one of them is none."""
    kinds = set(map(type, values))
    if kinds == {str}:
        if not all(values):
            return None
        return values if KEY_SEPARATOR not in "".join(values) else list(map(key_text, values))
    if kinds == {int}:
        return list(map(str, values))
    if any(value is None or value == "" or isinstance(value, Mapping | list) for value in values):
        return None
    return list(map(key_text, values))


def _are_moments_of_one_form(values: list[Any]) -> bool:
    if set(map(type, values)) != {str}:
        return False
    (length, *others) = set(map(len, values))
    if others or length < _LENGTH_OF_SECONDS:
        return False
    if length > _LENGTH_OF_SECONDS and set(map(itemgetter(19, -1), values)) not in (
        {("Z", "Z")},
        {(".", "Z")},
    ):
        return False
    forms = set(map(_FORM_OF_MOMENTS, values))
    return len(forms) == 1 and forms <= _FORMS


__all__ = ["Keying", "getter"]
