"""What a batch must look like, and which of its records can never be stored.

The screening runs for every record that arrives, so it asks questions about the whole batch at once
and looks at single records only where the answer is suspicious.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate

import msgspec
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain import keys as record_keys

MAX_BATCH_RECORDS = 2500
MAX_BATCH_BYTES = 1 << 20
MAX_DEPTH = 512

_JSON_SPACE = b" \t\r\n"
_LONGEST_PARTITION = 1024
_LONGEST_NUMBER = 4096
# Digits become 0, exponent marks become e, signs become 0: a number that numeric might refuse then
# contains an e behind a digit and before a sign with five digits, or six digits; or a very long run of zeros.
_SHAPE = bytes.maketrans(b"123456789E+-", b"000000000e00")
_HUGE_EXPONENT = b"e000000"
_HUGE_NUMBER = b"0" * _LONGEST_NUMBER
_NUL_ESCAPE = re.compile(rb"\\u0000")
_DIGITS = b"0123456789"
_MANTISSA = b"0123456789."
_BEFORE_NUMBERS = b":[, \t\r\n"
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_OBJECT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Anything(msgspec.Struct):
    """Any JSON object: the decoder reads all of it, strictly, and keeps nothing."""


_is_object = msgspec.json.Decoder(_Anything).decode


class Operation(IntEnum):
    """What is to happen to a record; the numbers are the contract's."""

    UPSERT = 1
    PATCH = 2
    DELETE = 3


class WriteMode(IntEnum):
    """What a writer may do to a stream; the numbers are the contract's."""

    CREATE = 1
    UPDATE = 2
    UPSERT = 3
    DELETE = 4


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that the hub refuses, and why.

    Attributes:
        index: Its place in the batch, from 0.
        reason: Stable word in capitals.
        message: One sentence with the remedy.
        path: Where in the record; empty when it concerns the whole.
    """

    index: int
    reason: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as they arrived.

    Attributes:
        partition: Which part of the source's stream they come from.
        sequence: Counts from 1 inside one attempt and partition.
        records: JSON documents, one each.
        keys: Key of each record as UTF-8; empty where the hub derives them.
        operations: Operation of each record; empty when all are upserts.
        text: The records once more as lines, with a line feed between each two, where they came so.
    """

    partition: str
    sequence: int
    records: Sequence[bytes]
    keys: Sequence[bytes] = ()
    operations: Sequence[int] = ()
    text: bytes = b""


@dataclass(slots=True)
class Screened:
    """A batch that may go to the store.

    Attributes:
        batch: What arrived.
        read: Indexes of the records whose content matters; of a deletion only the key does.
        keys: The key of each record as UTF-8; meaningless where the record is rejected.
        rejected: The records that are refused, by index.
        suspects: Indexes of records that only PostgreSQL can judge.
    """

    batch: Batch
    read: Sequence[int]
    keys: list[bytes] = field(default_factory=list)
    rejected: dict[int, Rejection] = field(default_factory=dict)
    suspects: list[int] = field(default_factory=list)

    def reject(self, index: int, reason: str, message: str, path: str = "") -> None:
        """Refuse a record; the first reason stays."""
        self.rejected.setdefault(index, Rejection(index, reason, message, path))

    @property
    def rejections(self) -> list[Rejection]:
        """All refusals in the order of the batch."""
        return [self.rejected[index] for index in sorted(self.rejected)]


def screen(batch: Batch, primary_key: Sequence[str]) -> Screened:
    """Refuse what no store could take, find the keys, and name the records that need a closer look.

    Args:
        batch: What arrived.
        primary_key: Dotted paths from which keys are derived where the batch brings none.

    Raises:
        FixRequest: `BATCH_INVALID`, the batch as a whole breaks the contract.
    """
    joined = batch.text or b"\n".join(batch.records)
    _check_limits(batch, len(joined))
    screened = Screened(batch, _indexes_read(batch))
    refused = _refused(screened)
    _screen_bytes(screened, joined, refused)
    _screen_shape(screened, refused)
    record_keys.find(screened, primary_key)
    _find_suspects(screened, joined, refused)
    return screened


def _check_limits(batch: Batch, size: int) -> None:
    count = len(batch.records)
    if count > MAX_BATCH_RECORDS:
        _refuse(batch, f"has {count} records; send at most {MAX_BATCH_RECORDS}")
    if size - max(count - 1, 0) > MAX_BATCH_BYTES:
        _refuse(batch, f"is larger than {MAX_BATCH_BYTES} bytes; send fewer records at once")
    if batch.keys and len(batch.keys) != count:
        _refuse(batch, f"has {count} records and {len(batch.keys)} keys; send one key a record or none")
    if batch.operations and len(batch.operations) != count:
        _refuse(batch, f"has {count} records and {len(batch.operations)} operations; send one each or none")
    if len(batch.partition.encode()) > _LONGEST_PARTITION or "\0" in batch.partition:
        _refuse(batch, f"names a partition that is no text of at most {_LONGEST_PARTITION} bytes")
    if any(operation not in {0, 1, 2, 3} for operation in set(batch.operations)):
        _refuse(batch, "has an operation that this version does not know")


def _refuse(batch: Batch, trouble: str) -> None:
    where = f" of partition {batch.partition[:100]!r}" if batch.partition else ""
    raise FixRequest("BATCH_INVALID", f"Batch {batch.sequence}{where} {trouble}.")


def _indexes_read(batch: Batch) -> Sequence[int]:
    everything = range(len(batch.records))
    if not batch.keys or Operation.DELETE not in batch.operations:
        return everything
    return [index for index in everything if batch.operations[index] != Operation.DELETE]


def _refused(screened: Screened) -> list[int]:
    """Name the records that are no JSON objects, or may be none: what passes here is one."""
    records = screened.batch.records
    read = screened.read
    try:
        # The quickest way to call a function with each and to keep nothing.
        deque(map(_is_object, records if len(read) == len(records) else map(records.__getitem__, read)), 0)
    except _NO_OBJECT:
        return [index for index in screened.read if not _passes(records[index])]
    return []


def _passes(record: bytes) -> bool:
    try:
        _is_object(record)
    except _NO_OBJECT:
        return False
    return True


def _screen_bytes(screened: Screened, joined: bytes, refused: Sequence[int]) -> None:
    records = screened.batch.records
    for index in refused:
        if b"\0" in records[index]:
            screened.reject(index, "JSON_INVALID", "The record contains a NUL byte; remove it.")
    if joined.isascii():
        return
    for index in screened.read:
        record = records[index]
        if record.isascii() or index in screened.rejected:
            continue
        try:
            record.decode()
        except UnicodeDecodeError as error:
            message = f"The record is not UTF-8: byte {error.start} cannot be read; send UTF-8."
            screened.reject(index, "ENCODING_INVALID", message)


def _screen_shape(screened: Screened, refused: Sequence[int]) -> None:
    records = screened.batch.records
    for index in refused:
        record = records[index]
        if record[:1] != b"{" and record.lstrip(_JSON_SPACE)[:1] != b"{":
            screened.reject(index, "JSON_NOT_AN_OBJECT", "The record is not a JSON object; send an object.")
    if max(map(len, records), default=0) <= 2 * MAX_DEPTH:
        return
    for index in screened.read:
        if len(records[index]) > 2 * MAX_DEPTH and _too_deep(records[index]):
            message = f"The record is nested deeper than {MAX_DEPTH} levels; flatten it."
            screened.reject(index, "JSON_TOO_DEEP", message)


def _too_deep(record: bytes) -> bool:
    if record.count(b"{") + record.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for byte in _TEXT.sub(b"", record):
        if byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _find_suspects(screened: Screened, joined: bytes, refused: Sequence[int]) -> None:
    """Name records that only PostgreSQL's jsonb can judge, by odd numbers, NUL or broken syntax."""
    records, places = screened.batch.records, list(_odd_numbers(joined))
    if b"\\" in joined:
        places += [match.start() for match in _NUL_ESCAPE.finditer(joined)]
    found = set(refused)
    if places:
        ends = list(accumulate(len(record) + 1 for record in records))
        found.update(bisect_right(ends, place) for place in places)
    if found:
        screened.suspects = [
            index for index in screened.read if index in found and index not in screened.rejected
        ]


def _odd_numbers(joined: bytes) -> Iterator[int]:
    shape = joined.translate(_SHAPE)
    yield from (place for place in _places(shape, _HUGE_EXPONENT) if _is_number(joined, place))
    if _HUGE_NUMBER in shape:
        yield from _places(shape, _HUGE_NUMBER)


def _is_number(joined: bytes, place: int) -> bool:
    """Whether the e at a place may belong to a number; those of most ids follow letters or quotes."""
    if not place or joined[place - 1] not in _DIGITS:
        return False
    while place and joined[place - 1] in _MANTISSA:
        place -= 1
    if place and joined[place - 1 : place] == b"-":
        place -= 1
    return not place or joined[place - 1] in _BEFORE_NUMBERS


def _places(text: bytes, part: bytes) -> Iterator[int]:
    """Where a part begins, the last one first: what begins with a rare byte is found sooner from behind."""
    found = text.rfind(part)
    while found >= 0:
        yield found
        found = text.rfind(part, 0, found)


__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_RECORDS",
    "MAX_DEPTH",
    "Batch",
    "Operation",
    "Rejection",
    "Screened",
    "WriteMode",
    "screen",
]
