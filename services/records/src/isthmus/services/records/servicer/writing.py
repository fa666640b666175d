"""One call of Write: batches come in while others are in the database."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.resilience.faults import FixRequest, RetryLater
from isthmus.services.records.domain.batches import Screened
from isthmus.services.records.domain.records import Applied, Writer
from isthmus.services.records.servicer import messages
from isthmus.services.records.store import RecordWriter

_End = Exception | None


class WriteCall:
    """Receives, screens and groups the batches of one writer.

    While a group is in the database the next batches are received and screened. What has arrived
    by the time the database is free goes there together: fewer commits when there is much to do, and no
    waiting when there is little.

    Args:
        store: Takes the groups.
        target: Who writes what.
        draining: Set when the process is told to stop; the group in hand is finished first.
        credit: Most batches received and not acknowledged.
        group: Most batches in one transaction.
    """

    def __init__(
        self, store: RecordWriter, target: Writer, draining: asyncio.Event, *, credit: int, group: int
    ) -> None:
        self._store = store
        self._target = target
        self._draining = draining
        self._group = group
        self._arrived: asyncio.Queue[Screened | _End] = asyncio.Queue(maxsize=credit)
        self._end: _End = None
        self._ended = False

    async def run(self, requests: AsyncIterator[pb.WriteRequest]) -> AsyncIterator[Sequence[Applied]]:
        """Apply all batches and yield what each group did, once it is durable."""
        receiving = asyncio.create_task(self._receive(requests))
        stopping = asyncio.create_task(self._draining.wait())
        try:
            while group := await self._next_group(stopping):
                yield await self._store.apply(self._target, group)
        finally:
            receiving.cancel()
            stopping.cancel()
            await asyncio.gather(receiving, stopping, return_exceptions=True)
        if self._end is not None:
            raise self._end

    async def _receive(self, requests: AsyncIterator[pb.WriteRequest]) -> None:
        end: _End = None
        try:
            async for request in requests:
                if request.WhichOneof("item") != "batch":
                    raise FixRequest("BATCH_INVALID", "Send `open` once, then batches only.", path="item")
                await self._arrived.put(messages.screened(request.batch, self._target))
        except Exception as error:  # told by `run`, behind the batches that came before
            end = error
        await self._arrived.put(end)

    async def _next_group(self, stopping: asyncio.Task[bool]) -> list[Screened]:
        group: list[Screened] = []
        while not self._ended and len(group) < self._group:
            if group and self._arrived.empty():
                break
            item = await self._next(stopping)
            if isinstance(item, Screened):
                group.append(item)
            else:
                self._end, self._ended = item, True
        return group

    async def _next(self, stopping: asyncio.Task[bool]) -> Screened | _End:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        waiting = asyncio.create_task(self._arrived.get())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not waiting.done():
                waiting.cancel()
        if not waiting.done():
            raise RetryLater("DRAINING", "The hub is stopping; write to another replica.", retry_after=1.0)
        return waiting.result()


__all__ = ["WriteCall"]
