"""How records look in a file."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec


class Rendering(Protocol):
    """One format; `opening` and `closing` surround the rows."""

    appendable: bool

    def opening(self) -> bytes:
        """What stands before the first record."""
        ...

    def row(self, record: dict[str, Any], *, first: bool) -> bytes:
        """One record."""
        ...

    def closing(self) -> bytes:
        """What stands behind the last record."""
        ...


class JsonLines:
    """One object a line."""

    appendable = True

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def row(self, record: dict[str, Any], *, first: bool) -> bytes:
        """The object and a line break."""
        del first
        return msgspec.json.encode(record) + b"\n"

    def closing(self) -> bytes:
        """Nothing."""
        return b""


class JsonArray:
    """One array, an object a line; cannot be appended to."""

    appendable = False

    def opening(self) -> bytes:
        """The bracket."""
        return b"["

    def row(self, record: dict[str, Any], *, first: bool) -> bytes:
        """The object on a line of its own."""
        return (b"\n" if first else b",\n") + msgspec.json.encode(record)

    def closing(self) -> bytes:
        """The bracket."""
        return b"\n]\n"


class Table:
    """CSV as RFC 4180 has it; what is no plain value is written as JSON."""

    appendable = True

    def __init__(self, columns: Sequence[str], delimiter: str = ",") -> None:
        self.columns = tuple(columns)
        self._delimiter = delimiter or ","

    def opening(self) -> bytes:
        """The header."""
        return self._line(self.columns)

    def row(self, record: dict[str, Any], *, first: bool) -> bytes:
        """One row; absent fields are empty."""
        del first
        return self._line([_cell(record.get(column)) for column in self.columns])

    def closing(self) -> bytes:
        """Nothing."""
        return b""

    def _line(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._delimiter).writerow(cells)
        return text.getvalue().encode()


def columns_of(records: Iterable[dict[str, Any]], known: Sequence[str]) -> list[str]:
    """The known columns and then those that the records bring, in the order of their appearance."""
    columns = dict.fromkeys(known)
    for record in records:
        columns.update(dict.fromkeys(record))
    return list(columns)


def rendered(rendering: Rendering, records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A whole file, piece by piece."""
    yield rendering.opening()
    first = True
    for record in records:
        yield rendering.row(record, first=first)
        first = False
    yield rendering.closing()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
