"""Mapped records on their way to the destination, and how they are joined into batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2
from isthmus.host.attempt.jsonlines import JsonLines
from isthmus.mapper import TextLines, records_of_lines
from isthmus.sdk.keying import Keying
from isthmus.type.v1 import batch_pb2

_COLUMN_TYPES = {
    "string": batch_pb2.Column.TYPE_STRING,
    "integer": batch_pb2.Column.TYPE_INTEGER,
    "boolean": batch_pb2.Column.TYPE_BOOLEAN,
}
_FEW = 8
_AROUND_VALUE = len('"":"",')
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Limits:
    """What fits into one batch.

    Attributes:
        records: Most records.
        size: Most bytes of them.
        takes_lines: Records may come as lines of text.
        takes_json_lines: Records may come as lines of JSON.
    """

    records: int = 1000
    size: int = 1024 * 1024
    takes_lines: bool = False
    takes_json_lines: bool = False

    def take(self, lines: TextLines | JsonLines | None) -> bool:
        """Tell whether records may come in this form; one by one they always may."""
        if isinstance(lines, JsonLines):
            return self.takes_json_lines
        return lines is None or self.takes_lines

    def are_met(self, head: "Piece", records: int, size: int) -> bool:
        """Tell whether a batch is whole: one more piece like its first would not fit."""
        return records + max(1, head.count) > self.records or size + max(1, head.size) > self.size


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing wrong with a record; `rule` names the rule of the mapping that does not hold, if any."""

    reason: str
    message: str
    target_path: str = ""
    source_path: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record for quarantine.

    Attributes:
        stage: Value of the contract's `QuarantinedRecord.Stage`.
        record: As the source gave it: an object, or bytes.
        deletes: The source deleted the record.
        quarantine_id: Where it waited before, for records that were requeued.
    """

    stage: int
    record: Any
    key: str
    reasons: tuple[Reason, ...]
    deletes: bool = False
    quarantine_id: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """A record that goes on although a rule of the mapping does not hold.

    Attributes:
        reason: Which rule.
        consequence: warn or default.
        record: As the source gave it.
        key: The source's.
    """

    reason: Reason
    consequence: str
    record: Any
    key: str


@dataclass(slots=True)
class Usage:
    """What was asked of the source."""

    api_calls: int = 0
    retries: int = 0
    throttled: int = 0


@dataclass(slots=True)
class Piece:
    """Part of a page, ready to be sent.

    Attributes:
        read: Records of the source that this piece accounts for.
        filtered: Those of them that the mapping leaves out.
        records: The bytes of each mapped record.
        lines: The mapped records as lines, in place of `records`; lines of JSON have the keys as well.
        line_key: Columns of lines of text that make up a record's key.
        keys: One for each of `records`, or none at all.
        operations: One for each of `records`; None means that all are upserts.
        sources: The source's form of each of `records`, for quarantine.
        source_keys: The source's key of each of `records`.
        rejects: Records that go to quarantine instead.
        notes: Records that go on although something is wrong with them.
        quarantine_ids: Where each of `records` waited before; empty unless requeued.
        settled_ids: Requeued records that the mapping now leaves out.
        left_out: The first few records that the mapping leaves out, as the source gave them.
        left_out_keys: The source's key of each of `left_out`.
        boundary: A page ends here.
        position: Where reading goes on behind it; only at a boundary.
        size: Bytes of record data, as they are sent.
        complete: The partition ends here.
        begins: It is the first of its batch.
    """

    partition: str = ""
    read: int = 0
    filtered: int = 0
    records: list[bytes] = field(default_factory=list)
    lines: TextLines | JsonLines | None = None
    line_key: tuple[str, ...] = ()
    keys: list[str] = field(default_factory=list)
    operations: list[Any] | None = None
    sources: Sequence[Any] = ()
    source_keys: Sequence[str] = ()
    rejects: list[Reject] = field(default_factory=list)
    notes: Sequence[Noted] = ()
    quarantine_ids: Sequence[str] = ()
    settled_ids: list[str] = field(default_factory=list)
    left_out: Sequence[Any] = ()
    left_out_keys: Sequence[str] = ()
    size: int = 0
    boundary: bool = False
    position: batch_pb2.Position | None = None
    complete: bool = False
    barrier: bool = False
    begins: bool = False
    usage: Usage = field(default_factory=Usage)

    @property
    def count(self) -> int:
        """How many mapped records there are."""
        return len(self.records) if self.lines is None else self.lines.count

    def is_large(self, limits: Limits) -> bool:
        """Tell whether a few like this make a batch."""
        return _FEW * self.count >= limits.records or _FEW * self.size >= limits.size

    def joins(self, head: "Piece", after: "Piece", records: int, size: int, limits: Limits) -> bool:
        """Tell whether this piece may follow others, from `head` to `after`, in one batch.

        Only whole pages are joined: counts can be told apart at the end of a batch only, and a
        position is worth nothing without the counts that belong to it.
        """
        if not (after.boundary and self.boundary) or after.barrier or self.partition != head.partition:
            return False
        if not self.count:
            return True
        return (
            bool(after.count)
            and not self.begins
            and not limits.are_met(head, records, size)
            and records + self.count <= limits.records
            and size + self.size <= limits.size
            and (self.operations is None) == (head.operations is None)
            and bool(self.keys) == bool(head.keys)
            and self._columns == head._columns
        )

    def split(self, limits: Limits) -> list["Piece"]:
        """Return the parts that a destination takes as batches; usually the piece itself."""
        if not limits.take(self.lines):
            return self.as_json().split(limits)
        if self.count <= limits.records and self.size <= limits.size:
            return [self]
        parts: list[Piece] = []
        begin = total = 0
        for index, size in enumerate(self._sizes()):
            if index > begin and (index - begin >= limits.records or total + size > limits.size):
                parts.append(self._part(begin, index))
                begin, total = index, 0
            total += size
        last = self._part(begin, self.count)
        last.boundary, last.position, last.complete = self.boundary, self.position, self.complete
        parts.append(last)
        first = parts[0]
        first.read += self.read - self.count
        first.filtered, first.rejects, first.usage = self.filtered, self.rejects, self.usage
        first.settled_ids, first.notes = self.settled_ids, self.notes
        first.left_out, first.left_out_keys = self.left_out, self.left_out_keys
        return parts

    def as_json(self) -> "Piece":
        """Return the piece without lines, for a destination that does not take them."""
        if self.lines is None:
            return self
        if isinstance(self.lines, JsonLines):
            records, keys = self.lines.records(), self.lines.single_keys()
        else:
            found = records_of_lines(self.lines.text, self.lines.columns)
            records, keys = list(map(_encode, found)), Keying(self.line_key).keys(found) or []
        return replace(self, records=records, lines=None, keys=keys, size=sum(map(len, records)))

    @property
    def _columns(self) -> object:
        return None if self.lines is None else self.lines.columns

    def _sizes(self) -> list[int]:
        """How large each record is."""
        if self.lines is None:
            return list(map(len, self.records))
        return _sizes_of(self.lines)

    def _part(self, begin: int, end: int) -> "Piece":
        lines = self.lines.part(begin, end) if self.lines is not None else None
        records = self.records[begin:end]
        return Piece(
            partition=self.partition,
            read=end - begin,
            records=records,
            lines=lines,
            line_key=self.line_key,
            keys=self.keys[begin:end],
            operations=None if self.operations is None else self.operations[begin:end],
            sources=self.sources[begin:end],
            source_keys=self.source_keys[begin:end],
            quarantine_ids=self.quarantine_ids[begin:end],
            size=len(lines.text) if lines is not None else sum(map(len, records)),
            barrier=self.barrier,
        )


def is_large(lines: TextLines, size: int) -> bool:
    """Tell whether one of the records may have more bytes as JSON."""
    around = 3 + sum(len(column.name) + _AROUND_VALUE for column in lines.columns)
    return len(lines.text) + around > size and max(_sizes_of(lines)) + around > size


def _sizes_of(lines: TextLines | JsonLines) -> list[int]:
    return [len(line) + 1 for line in lines.text.split(b"\n")[:-1]]


@dataclass(slots=True)
class Unit:
    """Pieces that are sent and acknowledged together.

    Attributes:
        sequence: The batch's number in its partition; 0 where there is nothing to send.
        request: The message that carries the batch; None where there is nothing to send and only a position
            passes.
        sent: How often the batch has been sent.
    """

    pieces: list[Piece]
    sequence: int = 0
    request: connector_pb2.WriteRequest | None = None
    sent: int = 0

    @property
    def batch(self) -> batch_pb2.Batch | None:
        """What is sent; None where there is nothing to send."""
        return self.request.batch if self.request is not None else None

    @property
    def last(self) -> Piece:
        """The piece whose position counts."""
        return self.pieces[-1]

    @property
    def size(self) -> int:
        """Bytes of record data."""
        return sum(piece.size for piece in self.pieces)

    @property
    def count(self) -> int:
        """How many mapped records are sent."""
        return sum(piece.count for piece in self.pieces) if self.request is not None else 0

    def fit(self, limits: Limits) -> None:
        """Have it sent as single records, under the same number, where its lines are not taken."""
        if self.request is not None and not all(limits.take(piece.lines) for piece in self.pieces):
            self.pieces = [piece.as_json() for piece in self.pieces]
            self.request = request_of(self.pieces, self.sequence)


def request_of(pieces: Sequence[Piece], sequence: int) -> connector_pb2.WriteRequest | None:
    """Return the message with the batch that carries the records of some pieces; None when they have none."""
    if not any(piece.count for piece in pieces):
        return None
    last = pieces[-1]
    request = connector_pb2.WriteRequest()
    # Filled where it stands, because a batch that is put into a message is copied.
    one = request.batch
    one.partition = last.partition
    one.sequence = sequence
    one.barrier = last.barrier
    lines = [piece.lines for piece in pieces if piece.lines is not None]
    if lines:
        one.records.append(b"".join(part.text for part in lines))
        one.line_count = sum(part.count for part in lines)
        _tell_form(one, lines)
    else:
        one.encoding = batch_pb2.ENCODING_JSON
        for piece in pieces:
            one.records.extend(piece.records)
            one.keys.extend(piece.keys)
            if piece.operations is not None:
                one.operations.extend(piece.operations)
    if last.position is not None:
        one.position.CopyFrom(last.position)
    return request


def _tell_form(one: batch_pb2.Batch, lines: Sequence[TextLines | JsonLines]) -> None:
    """Say what the lines of a batch are."""
    first = lines[0]
    if isinstance(first, JsonLines):
        one.encoding = batch_pb2.ENCODING_JSON_LINES
        one.key_lines = "".join(part.keys for part in lines if isinstance(part, JsonLines))
        return
    one.encoding = batch_pb2.ENCODING_TEXT_LINES
    for column in first.columns:
        one.columns.add(name=column.name, type=_COLUMN_TYPES[column.kind])


__all__ = ["Limits", "Piece", "Reason", "Reject", "Unit", "Usage", "is_large", "request_of"]
