"""Records and texts that no system should give, and some do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.host.failures import error_message
from isthmus.host.local import LocalBackend
from isthmus.host.texts import clean
from isthmus.resilience import RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk import Connector, Page, ReadReject, source
from pydantic import BaseModel


class Nothing(BaseModel):
    pass


class Hostile(Connector[Nothing]):
    """Gives what it should not."""

    connector_id = "numbers"
    page: Page[Any] = Page()

    @source(key="id")
    async def numbers(self) -> AsyncIterator[Page[Any]]:
        """Everything wrong."""
        yield self.page


@pytest.mark.parametrize(
    "record",
    [
        {"id": "a\0b"},
        {"id": "\ud800"},
        {"id": "x", "v": "\udfff"},
        {"id": "x", "v": float("nan")},
        {"id": "x", "v": 10**400},
        {"id": "x", "v": "x" * 1_100_000},
        {"id": "x" * 3000},
        {"v": "no key"},
        {"id": "x", "v": object()},
    ],
)
async def test_no_record_can_stop_a_flow(world, record):
    """
    It arrives or it waits in quarantine, and its neighbours arrive.
    """
    Hostile.page = Page([{"id": "1"}, record, {"id": "2"}])
    world.backend = LocalBackend(Hostile)

    ended = await world.run()

    assert ended.outcome == scheduling.FinishAttemptRequest.OUTCOME_COMPLETED, ended.error
    assert ended.counts.read == 3
    assert ended.counts.created + ended.counts.quarantined == 3
    assert {"1", "2"} <= set(world.hub.data)


async def test_what_a_source_rejects_is_kept_with_clean_reasons(world):
    """
    Bytes that are no JSON and messages with control characters reach quarantine.
    """
    Hostile.page = Page(rejected=[ReadReject(b"\xff\0", "BAD\0", "half \ud800 a character")])
    world.backend = LocalBackend(Hostile)

    await world.run()

    (held,) = world.quarantine.held.values()
    assert held.is_binary
    assert held.reasons[0].message == "half \ufffd a character"


@given(st.text(st.characters(), max_size=50))
def test_cleaned_text_can_travel_anywhere(text):
    """
    Whatever a system says fits into a message of the contract.
    """
    error = error_message(RetryLater("SYSTEM_UNREACHABLE", text), "Reading")

    assert scheduling.ExecutionError.FromString(error.SerializeToString()) == error
    assert "\0" not in clean(text)
    assert len(clean(text, 10)) <= 10


async def test_a_connector_that_swallows_its_cancellation_cannot_hold_an_execution(world, monkeypatch):
    """
    The attempt ends as stopped, and the stubborn reader is left behind.
    """
    monkeypatch.setattr("isthmus.host.attempt.tasks._CANCEL_AGAIN", 0.05)
    world.backend = LocalBackend(Stubborn)
    running = asyncio.create_task(world.run())
    await asyncio.wait_for(Stubborn.reading.wait(), 30)
    world.stop.set()

    ended = await asyncio.wait_for(running, 30)

    assert ended.error.kind == scheduling.ExecutionError.KIND_STOPPED
    Stubborn.released.set()


class Stubborn(Connector[Nothing]):
    """Does not want to end."""

    connector_id = "numbers"
    reading = asyncio.Event()
    released = asyncio.Event()

    @source(key="id")
    async def numbers(self) -> AsyncIterator[Page[Any]]:
        """Nothing, for ever."""
        self.reading.set()
        while not self.released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.released.wait()
        yield Page()
