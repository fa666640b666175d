"""Partitions of one stream, read side by side by one attempt."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from isthmus.host.local import LocalBackend
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk import Connector, Page, source
from isthmus.sdk.failures import TransientFailure
from isthmus.testing.waiting import waiting_for
from pydantic import BaseModel

Finish = scheduling.FinishAttemptRequest
NAMES = ("amber", "blue", "cyan", "dun")


class ShelvesSettings(BaseModel):
    each: int = 50
    page: int = 7
    meet: bool = False
    fail_in: str = ""
    fail_at: int = 21


class Shelves(Connector[ShelvesSettings]):
    """Has four shelves, which do not wait for one another unless they are asked to meet."""

    connector_id = "shelves"
    is_built_in = True
    open_shelves = 0
    most_open = 0
    known: tuple[str, ...] = ()
    met: asyncio.Barrier

    @classmethod
    def forget(cls) -> None:
        cls.open_shelves = cls.most_open = 0
        cls.known, cls.met = (), asyncio.Barrier(len(NAMES))

    async def shelves(self, known: tuple[str, ...]) -> list[str]:
        Shelves.known = known
        return list(NAMES)

    @source(key="id", cursor="place", partitions="shelves")
    async def numbers(
        self, partition: str, resume: dict[str, Any] | None
    ) -> AsyncIterator[Page[dict[str, Any]]]:
        """What stands on a shelf, from left to right."""
        async for page in self.shelf(partition, resume):
            yield page

    @source(key="id", partitions="shelves", most_side_by_side=1)
    async def one_by_one(
        self, partition: str, resume: dict[str, Any] | None
    ) -> AsyncIterator[Page[dict[str, Any]]]:
        """The same, for one reader at a time."""
        async for page in self.shelf(partition, resume):
            yield page

    async def shelf(
        self, partition: str, resume: dict[str, Any] | None
    ) -> AsyncIterator[Page[dict[str, Any]]]:
        settings, at = self.settings, (resume or {}).get("at", 0)
        Shelves.open_shelves += 1
        Shelves.most_open = max(Shelves.most_open, Shelves.open_shelves)
        try:
            if settings.meet:
                await Shelves.met.wait()
            while at < settings.each:
                if partition == settings.fail_in and at >= settings.fail_at:
                    raise TransientFailure("SYSTEM_UNREACHABLE", "The shelf is away; repeat later.")
                end = min(at + settings.page, settings.each)
                yield Page(
                    [{"id": f"{partition}-{n}", "place": n} for n in range(at, end)], resume={"at": end}
                )
                await asyncio.sleep(0)
                at = end
        finally:
            Shelves.open_shelves -= 1


@pytest.fixture
async def shelves(world):
    Shelves.forget()
    world.backend = LocalBackend(Shelves)
    yield world
    await world.backend.close()


def places(world):
    """What was written of each shelf, in the order in which it was."""
    found = defaultdict(list)
    for one in world.hub.batches:
        found[one.partition] += [msgspec.json.decode(record)["place"] for record in one.records]
    return dict(found)


async def test_partitions_are_read_side_by_side_each_in_its_order(shelves):
    """
    No partition gives anything until all have begun; in the end each record is there once.
    """
    shelves.registry.configuration = {"meet": True}

    ended = await shelves.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.read == ended.counts.created == shelves.hub.versions == 200
    assert places(shelves) == {name: list(range(50)) for name in NAMES}


async def test_small_pages_of_partitions_still_travel_together(shelves):
    """
    While the destination is busy the pages of each partition are gathered.
    """
    shelves.registry.configuration = {"meet": True, "page": 1}
    shelves.hub.open_gate.clear()
    running = asyncio.create_task(shelves.run())
    async with waiting_for("all shelves to be read"):
        while Shelves.most_open < len(NAMES) or Shelves.open_shelves:
            await asyncio.sleep(0.005)
    shelves.hub.open_gate.set()

    await running

    assert len(shelves.hub.batches) < 20
    assert places(shelves) == {name: list(range(50)) for name in NAMES}


@pytest.mark.parametrize("why", ["source", "instance", "host"])
async def test_partitions_are_read_one_after_another_where_that_is_asked_for(shelves, why):
    """
    The source, the instance's limits and the host's settings may each forbid it.
    """
    grant = shelves.scheduling.grant()
    grant.flow.source.stream = "one_by_one" if why == "source" else "numbers"
    shelves.registry.limits = {"concurrent": 1} if why == "instance" else {}

    ended = await shelves.run(grant, partitions=1 if why == "host" else 4)

    assert ended.counts.read == len(shelves.hub.data) == 200
    assert Shelves.most_open == 1


@pytest.mark.parametrize("side_by_side", [1, 2, 4])
async def test_a_partition_that_fails_leaves_the_positions_of_the_others(shelves, side_by_side):
    """
    The attempt fails; the next one goes on in each partition, and the counts of both add up.
    """
    shelves.registry.configuration = {"fail_in": "cyan"}
    failed = await shelves.run(partitions=side_by_side)
    known = {name for name, one in shelves.scheduling.checkpoints.items() if one.HasField("position")}

    shelves.registry.configuration = {}
    ended = await shelves.run(partitions=side_by_side)

    assert (failed.outcome, ended.outcome) == (Finish.OUTCOME_FAILED, Finish.OUTCOME_COMPLETED)
    assert "cyan" in known == set(Shelves.known)
    # A partition whose end was read, and not yet told when the other one failed, is read again.
    again = ended.counts.unchanged
    assert failed.counts.read + ended.counts.read - again == len(shelves.hub.data) == 200
    assert shelves.scheduling.total.created == shelves.hub.versions == 200


@pytest.mark.parametrize("cut_at", range(3, 30, 4))
async def test_a_stream_that_breaks_between_partitions_loses_and_doubles_nothing(shelves, cut_at):
    """
    Batches of several partitions are in flight when an acknowledgement is lost.
    """
    shelves.registry.configuration = {"meet": True}
    acknowledged = iter(range(1000))
    shelves.hub.before_ack = lambda _: next(acknowledged) == cut_at
    shelves.hub.most_records = 10

    ended = await shelves.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.read == ended.counts.created + ended.counts.unchanged == 200
    assert len(shelves.hub.data) == shelves.hub.versions == 200


async def test_positions_are_told_with_what_lies_behind_them_only(shelves):
    """
    What other partitions did since their own positions would be counted twice after a death.
    """
    shelves.registry.configuration = {"meet": True, "page": 25}
    shelves.hub.most_records = 4

    await shelves.run(commit_seconds=0)

    held = dict.fromkeys(NAMES, 0)
    for commit in shelves.scheduling.commits:
        for one in commit.checkpoints:
            held[one.partition] = (
                50 if one.is_complete else msgspec.json.decode(one.position.state)["page"] * 25
            )
        assert commit.counts.read <= sum(held.values())
