"""What a destination host remembers of the flows that write to it."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.resilience import FixRequest, Precondition
from isthmus.type.v1 import batch_pb2 as batch

_MOST_PARTITIONS = 10_000
_ACKS_KEPT = 16


@dataclass(slots=True)
class Progress:
    """How far one partition of a flow has come, and its last acknowledgements."""

    token: int = 0
    sequence: int = 0
    acks: OrderedDict[int, connector.BatchAck] = field(default_factory=OrderedDict)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class WriteMemory:
    """Recognises batches that come again and attempts that have been overtaken.

    It lives in memory only: behind it stands the connector, whose writes are safe to repeat.
    """

    def __init__(self) -> None:
        self._partitions: OrderedDict[tuple[str, str, str], Progress] = OrderedDict()
        self._newest: OrderedDict[tuple[str, str], int] = OrderedDict()

    def admit(self, tenant_id: str, flow_id: str, token: int) -> None:
        """Note an attempt at a flow.

        Raises:
            Precondition: `FENCED`, a newer attempt has been seen.
        """
        key = (tenant_id, flow_id)
        newest = self._newest.get(key, 0)
        if token < newest:
            raise _fenced()
        self._newest[key] = token
        self._newest.move_to_end(key)
        _bound(self._newest)

    def progress(self, tenant_id: str, flow_id: str, partition: str) -> Progress:
        """Return what is known of one partition."""
        key = (tenant_id, flow_id, partition)
        found = self._partitions.setdefault(key, Progress())
        self._partitions.move_to_end(key)
        for idle in [key for key, held in self._oldest() if not held.writing.locked()]:
            del self._partitions[idle]
        return found

    def _oldest(self) -> Iterable[tuple[tuple[str, str, str], Progress]]:
        surplus = len(self._partitions) - _MOST_PARTITIONS
        return list(self._partitions.items())[:surplus] if surplus > 0 else []


def recognise(progress: Progress, token: int, sequence: int) -> connector.BatchAck | None:
    """Return the acknowledgement of a batch that was applied before, None for the next one in order.

    Call it with the partition's lock held.

    Raises:
        Precondition: `FENCED`.
        FixRequest: `BATCH_INVALID`, a batch is missing before this one.
    """
    if token < progress.token:
        raise _fenced()
    if token > progress.token:
        progress.token, progress.sequence = token, 0
        progress.acks.clear()
        if sequence > 1:  # this process may have forgotten what came before
            progress.sequence = sequence - 1
    if sequence <= progress.sequence and progress.sequence:
        return _repeated(progress, sequence)
    if sequence != progress.sequence + 1:
        message = f"Batch {sequence} came where {progress.sequence + 1} was due; send batches without gaps."
        raise FixRequest("BATCH_INVALID", message, path="batch.sequence")
    return None


def remember(progress: Progress, ack: connector.BatchAck) -> None:
    """Keep an acknowledgement, in case its batch comes again."""
    progress.sequence = ack.sequence
    progress.acks[ack.sequence] = ack
    while len(progress.acks) > _ACKS_KEPT:
        progress.acks.popitem(last=False)


def check_limits(one: batch.Batch, *, records: int, size: int) -> list[bytes]:
    """Return the records of a batch, unless it is larger than announced.

    Raises:
        FixRequest: `BATCH_INVALID`.
    """
    is_text = one.encoding == batch.ENCODING_TEXT_LINES
    if is_text and len(one.records) != 1:
        message = "Lines of text travel in the only element of `records`; put all of them there."
        raise FixRequest("BATCH_INVALID", message, path="batch.records")
    # Whoever looks at an element of a message gets a copy of it, so that is done once.
    found = list(one.records)
    count = one.line_count if is_text else len(found)
    total = sum(map(len, found))
    if count > records or (total > size and count > 1):
        message = f"A batch holds at most {records} records and {size} bytes; cut it smaller."
        raise FixRequest("BATCH_INVALID", message, path="batch.records")
    for name, given in (("keys", one.keys), ("operations", one.operations)):
        if given and len(given) != count:
            message = f"`{name}` has {len(given)} elements for {count} records; send one for each."
            raise FixRequest("BATCH_INVALID", message, path=f"batch.{name}")
    return found


def _repeated(progress: Progress, sequence: int) -> connector.BatchAck:
    known = progress.acks.get(sequence)
    ack = connector.BatchAck(sequence=sequence)
    if known is not None:
        ack.CopyFrom(known)
    ack.repeated_batch = True
    return ack


def _bound(kept: OrderedDict[tuple[str, str], int]) -> None:
    while len(kept) > _MOST_PARTITIONS:
        kept.popitem(last=False)


def _fenced() -> Precondition:
    return Precondition("FENCED", "A newer attempt writes this flow; stop.")


__all__ = ["Progress", "WriteMemory", "check_limits", "recognise", "remember"]
