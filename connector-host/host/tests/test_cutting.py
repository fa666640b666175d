"""The same pages make the same batches again, so that a destination can know one by its bytes."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.delivery import Delivery
from isthmus.host.attempt.pieces import Piece, Unit

PAUSES = st.lists(st.integers(0, 6), min_size=1, max_size=9)


class Destination:
    """Takes batches, each after so many turns of the event loop."""

    def __init__(self, pauses: list[int]) -> None:
        self.sizes: list[int] = []
        self._pauses = pauses
        self._answers: asyncio.Queue[connector.WriteResponse] = asyncio.Queue()

    def Write(self, *, timeout: float) -> "Destination":
        """Open the stream."""
        del timeout
        return self

    async def write(self, request: connector.WriteRequest) -> None:
        """Take a message."""
        if request.HasField("open"):
            ready = connector.WriteReady(credit=3, max_batch_records=1000)
            self._answers.put_nowait(connector.WriteResponse(ready=ready))
            return
        one = request.batch
        self.sizes.append(len(one.records))
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        self._answers.put_nowait(connector.WriteResponse(ack=ack))

    async def read(self) -> Any:
        """Give the next answer, in time."""
        await turns(self._pauses[len(self.sizes) % len(self._pauses)])
        return await self._answers.get()

    def cancel(self) -> None:
        """End."""


async def turns(count: int) -> None:
    """Let others do something."""
    for _ in range(count):
        await asyncio.sleep(0)


async def sizes(pages: list[int], coming: list[int], answering: list[int]) -> list[int]:
    """How many records each batch has, where pages come and answers are given after some turns."""
    destination = Destination(answering)

    async def connect() -> Destination:
        return destination

    async def settle(_unit: Unit, _ack: connector.BatchAck) -> None:
        pass

    delivery = Delivery(connector.WriteOpen(), connect, settle)
    running = asyncio.create_task(delivery.run())
    for number, count in enumerate(pages):
        await turns(coming[number % len(coming)])
        await delivery.offer(Piece(records=[b"{}"] * count, read=count, size=2 * count, boundary=True))
    await delivery.close()
    await running
    return destination.sizes


@given(st.lists(st.integers(125, 900), min_size=1, max_size=30), PAUSES, PAUSES)
@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
async def test_batches_are_cut_alike_however_fast_pages_come_and_go(pages, coming, answering):
    """
    The first page goes alone, and each batch holds as many of the others as fit.
    """
    cut = await sizes(pages, coming, answering)

    assert cut == await sizes(pages, [0], [0])
    assert cut[0] == pages[0]
    assert max(cut) <= 1000
    assert sum(cut) == sum(pages)


async def test_a_page_that_came_otherwise_shifts_only_the_batches_around_it():
    """
    After some batches all are cut anew.
    """
    pages = [250] * 60

    cut = await sizes(pages, [0], [0])
    shifted = await sizes([*pages[:5], 125, 125, *pages[6:]], [0], [0])

    assert cut == [250, *[1000] * 3, 750, *[1000] * 11]
    assert shifted[-11:] == cut[-11:]
