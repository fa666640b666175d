"""Takes and gives quarantined records that are too large for one message."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from isthmus.kit import current_principal
from isthmus.kit.host_rights import require_flow
from isthmus.records.v1 import records_pb2 as pb
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain import quarantine
from isthmus.services.records.servicer import messages
from isthmus.services.records.store import QuarantineStore

_PIECE = 1 << 20
# Each may be in memory several times while it is examined and stored.
_AT_A_TIME = 2
# Base64 of the largest record, and a little.
_MOST_TEXT = quarantine.MAX_RECORD_BYTES // 3 * 4 + 16


class LargeRecords:
    """Moves large records between streams and the store, a few at a time.

    Args:
        waiting: Knows the quarantine.
    """

    def __init__(self, waiting: QuarantineStore) -> None:
        self._waiting = waiting
        self._places = asyncio.Semaphore(_AT_A_TIME)

    async def put_aside(self, requests: AsyncIterator[pb.QuarantineLargeRecordRequest]) -> str:
        """Keep the record that a stream brings, and return its id.

        Raises:
            FixRequest: `BATCH_INVALID` or `RECORD_TOO_LARGE`.
        """
        caller = current_principal()
        async with self._places:
            first = await anext(aiter(requests), None)
            if first is None or not first.HasField("record"):
                raise FixRequest("BATCH_INVALID", "Tell about the record first, once.", path="record")
            require_flow(first.record.flow_id)
            given = replace(messages.quarantined(first.record), record="")
            packed = await _gathered(first.record.record, requests)
            # A minute of looking at megabytes must not keep other calls waiting.
            admitted = await asyncio.to_thread(_admitted, given, packed, caller.tenant_id)
            await self._waiting.add(caller.tenant_id, [admitted], caller.subject)
        return admitted.quarantine_id

    async def read(self, quarantine_id: str) -> AsyncIterator[pb.ReadQuarantinedResponse]:
        """Give the text of a record, piece by piece.

        Raises:
            Missing: `QUARANTINED_RECORD_UNKNOWN`.
        """
        text = await self._waiting.read(current_principal().tenant_id, quarantine_id)
        packed = await asyncio.to_thread(text.encode)
        for start in range(0, len(packed), _PIECE):
            yield pb.ReadQuarantinedResponse(piece=packed[start : start + _PIECE])


async def _gathered(beginning: str, requests: AsyncIterator[pb.QuarantineLargeRecordRequest]) -> bytearray:
    packed = bytearray(beginning.encode())
    async for request in requests:
        if not request.HasField("piece"):
            raise FixRequest("BATCH_INVALID", "After the record only pieces of it may come.", path="piece")
        packed += request.piece
        quarantine.check_size(len(packed) if len(packed) > _MOST_TEXT else 0)
    return packed


def _admitted(given: quarantine.Quarantined, packed: bytearray, tenant_id: str) -> quarantine.Quarantined:
    try:
        text = packed.decode()
    except UnicodeDecodeError as error:
        message = f"The text is not UTF-8 at byte {error.start}; send such a record as base64."
        raise FixRequest("BATCH_INVALID", message, path="piece") from error
    return quarantine.admit_large(replace(given, record=text), tenant_id)


__all__ = ["LargeRecords"]
