"""Reads on where single records of a page cannot be read.

The decoder judges a page as a whole. A page that it refuses is cut into its raw
records here; those that can be read go on, the others are kept as they came.
That holds as long as the page's framing does: brackets that match, and quotes
that begin and end where texts may. Otherwise nobody can tell where a record
ends, and the page fails as a whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from isthmus.sdk.decode import decode_json
from isthmus.sdk.diagnosis import complaint
from isthmus.sdk.failures import DataFailure
from isthmus.sdk.framing import FramingBroken, behind_name, member_of, space_end, value_end
from isthmus.sdk.page import ReadReject

_BOM = b"\xef\xbb\xbf"
_CHUNK = 200
_HOPELESS = frozenset({"ANSWER_EMPTY", "ANSWER_IS_HTML"})


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that cannot be read.

    Attributes:
        place: Where it stood among the records, counted from 1.
        reject: Its bytes as they came, and what is wrong with them.
    """

    place: int
    reject: ReadReject


_Item = tuple[int, int, int]
Mend = Callable[[bytes], tuple[bytes, list[Unread]]]


def decode_readable(
    raw: bytes, where: str, records: str | None = None, shape: str = "list"
) -> tuple[Any, list[Unread]]:
    """Reads one JSON document, without the records in it that cannot be read.

    Args:
        raw: The bytes; a byte order mark is skipped.
        where: What to name in messages.
        records: Dotted path of the records; empty for the document itself, None where that is known
            only when it is a list.
        shape: `list`, `map` (an object of records), `object` (one record), or `any` (a list or one record).

    Raises:
        DataFailure: As `decode_json`, where the trouble is not inside of single records.
    """
    try:
        return decode_json(raw, where), []
    except DataFailure as failure:
        return salvaged(raw, where, failure, records, shape)


def salvaged(
    raw: bytes, where: str, failure: DataFailure, records: str | None = None, shape: str = "list"
) -> tuple[Any, list[Unread]]:
    """Like `decode_readable`, for a document that is known not to be readable as a whole, and why."""
    if failure.reason in _HOPELESS:
        raise failure
    try:
        rest, unread = without_unreadable(raw, where, records, shape)
    except FramingBroken:
        raise failure from None
    if not unread:
        raise failure
    return decode_json(rest, where), unread


def without_unreadable(
    raw: bytes, where: str, records: str | None = None, shape: str = "list", mend: Mend | None = None
) -> tuple[bytes, list[Unread]]:
    """Takes the records that cannot be read out of a document; what is outside of them stays unread.

    Args:
        raw: The document.
        where: What to name in messages.
        records: As for `decode_readable`.
        shape: As for `decode_readable`.
        mend: Makes a record readable by taking parts out that are records of their own.

    Raises:
        FramingBroken: Nobody can tell where the records begin and end.
    """
    raw = raw.removeprefix(_BOM)
    start = _found(raw, records)
    opening = raw[start : start + 1]
    if shape == "object" or (shape == "any" and opening == b"{"):
        end = value_end(raw, start)
        bad = _unread(raw[start:end], where, 1)
        return (raw[:start] + b"null" + raw[end:], [bad]) if bad else (raw, [])
    if opening != (b"{" if shape == "map" else b"["):
        raise FramingBroken
    sieve = _Sieve(raw, where, mend)
    end = start + 1
    items = _items(raw, start)
    while chunk := list(islice(items, _CHUNK)):
        sieve.take(chunk)
        end = chunk[-1][2]
    end = space_end(raw, end)
    return raw[: start + 1] + b",".join(sieve.kept) + raw[end:], sieve.unread


class _Sieve:
    """Parts the records that can be read from the others, many at a time."""

    def __init__(self, raw: bytes, where: str, mend: Mend | None) -> None:
        self.kept: list[bytes] = []
        self.unread: list[Unread] = []
        self._raw = raw
        self._where = where
        self._mend = mend
        self._place = 0

    def take(self, chunk: list[_Item]) -> None:
        """Look at some records that follow one another."""
        together = self._raw[chunk[0][0] : chunk[-1][2]]
        named = chunk[0][0] != chunk[0][1]
        try:
            decode_json(b"{" + together + b"}" if named else b"[" + together + b"]", self._where)
        except DataFailure:
            for item in chunk:
                self._place += 1
                self._take_one(*item)
        else:
            self._place += len(chunk)
            self.kept.append(together)

    def _take_one(self, begin: int, value: int, stop: int) -> None:
        record = self._raw[value:stop]
        bad = _unread(record, self._where, self._place)
        if bad and self._mend is not None:
            rest, parts = self._mend(record)
            if parts and _unread(rest, self._where, self._place) is None:
                self.unread += parts
                record, bad = rest, None
        if bad:
            self.unread.append(bad)
        else:
            self.kept.append(self._raw[begin:value] + record)


def _unread(record: bytes, where: str, place: int) -> Unread | None:
    try:
        decode_json(record, where)
    except DataFailure as failure:
        told = complaint(record, f"Record {place} of {where}", failure)
        return Unread(place, ReadReject(record, told.reason, told.message, told.path))
    return None


def _found(raw: bytes, records: str | None) -> int:
    """Where the value at a dotted path begins."""
    start = space_end(raw, 0)
    if not records:
        return start
    whole = member_of(raw, start, records)
    if whole is not None:
        return whole
    for name in records.split("."):
        inner = member_of(raw, start, name)
        if inner is None:
            raise FramingBroken
        start = inner
    return start


def _items(raw: bytes, start: int) -> Iterator[_Item]:
    """Where each item of a list or object begins, where its value begins, and where it ends."""
    named = raw[start] == ord("{")
    closing = b"}" if named else b"]"
    at = space_end(raw, start + 1)
    if raw[at : at + 1] == closing:
        return
    while True:
        value = behind_name(raw, at) if named else at
        stop = value_end(raw, value)
        yield at, value, stop
        behind = space_end(raw, stop)
        if raw[behind : behind + 1] == closing:
            return
        if raw[behind : behind + 1] != b",":
            raise FramingBroken
        at = space_end(raw, behind + 1)
