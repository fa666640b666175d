"""Pairs in the record store: what hosts write and read there comes out as both sides holding the same."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.records.v1 import pairs_pb2 as pb
from isthmus.records.v1 import pairs_pb2_grpc
from isthmus.scheduling.v1 import scheduling_pb2, scheduling_pb2_grpc
from isthmus.type.v1 import batch_pb2

STREAM = "pair:flw_both.01234567:{side}"
SIDES = ("source", "destination")
POLICIES = [
    scheduling_pb2.CONFLICT_POLICY_SOURCE_WINS,
    scheduling_pb2.CONFLICT_POLICY_DESTINATION_WINS,
    scheduling_pb2.CONFLICT_POLICY_MERGE,
    scheduling_pb2.CONFLICT_POLICY_REVIEW,
]


class FakeScheduling(scheduling_pb2_grpc.SchedulingServiceServicer):
    """Tells how a round stands, tenant by tenant."""

    def __init__(self) -> None:
        self.rounds: dict[str, scheduling_pb2.GetRoundResponse] = {}

    async def GetRound(self, request: Any, context: Any) -> scheduling_pb2.GetRoundResponse:
        tenant = dict(context.invocation_metadata()).get("isthmus-tenant", "")
        return self.rounds[tenant]


class Systems:
    """Two systems and the hosts between them and the pairs."""

    def __init__(self, hub: Any, scheduling: FakeScheduling, **flow: Any) -> None:
        self.hub = hub
        self.held: dict[str, dict[str, Any]] = {side: {} for side in SIDES}
        self.writes = 0
        self.token = 0
        self.current = scheduling.rounds.setdefault(hub.tenant, scheduling_pb2.GetRoundResponse())
        self.current.flow.CopyFrom(scheduling_pb2.Flow(flow_id="flw_both", destination_key=["id"], **flow))
        self.current.is_source_whole = self.current.is_destination_whole = True
        self.pairs = pairs_pb2_grpc.PairsServiceStub(hub.service.channel(tenant=hub.tenant))

    async def round(self, *, dies: str = "") -> None:
        """Run a round; one that dies does so before the writes of a side begin, or after half of them."""
        self.token += 1
        self.current.execution_id = f"exe_{self.token}"
        for side in SIDES:
            await self._read(side)
        for side in ("destination", "source"):
            if not await self._write(side, half=dies == side):
                return

    async def _read(self, side: str) -> None:
        self._next_attempt()
        records = [{"record": form} for form in self.held[side].values()]
        if not records:
            return
        write = await self._open(side)
        for _ in range(2):  # a batch that comes again has no effect
            ack = await write.put(records, list(self.held[side]), sequence=1)
        assert ack.repeated_batch
        await write.close()

    async def _open(self, side: str) -> Any:
        stream = STREAM.format(side=side)
        return await self.hub.open(
            stream, flow="flw_both", token=self.token, execution_id=self.current.execution_id
        )

    def _next_attempt(self) -> None:
        self.token += 1
        self.current.fencing_token = self.token

    async def _write(self, side: str, *, half: bool) -> bool:
        """Read what a side is to get and give it to the system; False where the host died on the way."""
        self._next_attempt()
        taken = getattr(self.current, f"{side}_position")
        request = connector_pb.ReadRequest(
            stream=STREAM.format(side=side),
            mode=connector_pb.READ_MODE_DELTA,
            max_batch_records=2,
            position=taken,
        )
        async for answer in self.hub.connector.Read(request):
            if answer.HasField("end"):
                taken.CopyFrom(answer.end.position)
                continue
            for key, record, operation in zip(
                answer.batch.keys, answer.batch.records, answer.batch.operations, strict=True
            ):
                self._take(side, key, json.loads(record), operation)
            if half:
                return False  # written, and the position was never stored
            taken.CopyFrom(answer.batch.position)
        return not half

    def _take(self, side: str, key: str, record: dict[str, Any], operation: int) -> None:
        self.writes += 1
        held = self.held[side]
        if operation == batch_pb2.OPERATION_DELETE:
            held.pop(key, None)
            return
        before = held.get(key, {}) if operation == batch_pb2.OPERATION_PATCH else {}
        whole = {**before, **record}
        held[key] = {name: value for name, value in whole.items() if value is not None}

    async def listed(self) -> list[pb.Pair]:
        """List the pairs."""
        return list((await self.pairs.ListPairs(pb.ListPairsRequest(flow_id="flw_both"))).pairs)

    async def conflicts(self, *statuses: int) -> list[pb.Conflict]:
        """List the conflicts."""
        request = pb.ListConflictsRequest(flow_id="flw_both", statuses=statuses)
        return list((await self.pairs.ListConflicts(request)).conflicts)


@pytest.fixture(scope="module")
async def paired(open_mesh: Any) -> AsyncIterator[Any]:
    """Run the record store with a scheduling service that tells what tests want."""
    scheduling = FakeScheduling()
    peers = {
        "scheduling": (scheduling_pb2_grpc.add_SchedulingServiceServicer_to_server, scheduling),
    }
    async with open_mesh(peers=peers) as mesh:
        yield await mesh.start("records"), scheduling


@pytest.fixture
def systems(paired: Any, hub_of: Any) -> Any:
    """Give two systems between which nothing has moved yet."""
    service, scheduling = paired
    return lambda **flow: Systems(hub_of(service), scheduling, **flow)


@pytest.mark.parametrize("seed", range(8))
async def test_both_sides_end_the_same_whatever_happens(systems: Any, seed: int) -> None:
    """
    Edits, creations and deletions on both sides, and hosts that die half way: a round later both hold the
    same or a person is asked, every record once, and the round after that writes nothing.
    """
    chance = random.Random(seed)
    both = systems(conflict_policy=POLICIES[seed % len(POLICIES)])
    for _ in range(6):
        for _ in range(chance.randrange(5)):
            side, key = chance.choice(SIDES), str(chance.randrange(6))
            if chance.random() < 0.3:
                both.held[side].pop(key, None)
            else:
                both.held[side][key] = {"id": key, chance.choice("ab"): chance.randrange(3)}
        await both.round(dies=chance.choice(("", "", *SIDES)))
    await both.round()
    await both.round()
    writes = both.writes
    await both.round()

    waiting = {one.source_key or one.destination_key for one in await both.conflicts()}
    pairs = await both.listed()
    agreed = [{k: v for k, v in both.held[side].items() if k not in waiting} for side in SIDES]
    assert agreed[0] == agreed[1]
    assert both.writes == writes
    assert len({one.source_key or one.destination_key for one in pairs}) == len(pairs)


async def test_a_decision_is_carried_out_and_kept(systems: Any) -> None:
    """
    Both versions, the result, the reason and who decided stay on record.
    """
    both = systems(conflict_policy=scheduling_pb2.CONFLICT_POLICY_REVIEW)
    both.held["source"]["1"] = {"id": "1", "title": "ours"}
    both.held["destination"]["1"] = {"id": "1", "title": "theirs"}
    await both.round()
    [waiting] = await both.conflicts()
    request = pb.ResolveConflictRequest(
        conflict_id=waiting.conflict_id,
        choice=pb.ResolveConflictRequest.CHOICE_DESTINATION,
        reason="they know better",
        request_id="once",
    )
    first = await both.pairs.ResolveConflict(request)
    again = await both.pairs.ResolveConflict(request)
    await both.round()
    [decided] = await both.conflicts(pb.Conflict.STATUS_RESOLVED)

    assert both.held["source"] == both.held["destination"] == {"1": {"id": "1", "title": "theirs"}}
    assert first.conflict.conflict_id == again.conflict.conflict_id
    assert (json.loads(decided.source_record)["title"], json.loads(decided.result)["title"]) == (
        "ours",
        "theirs",
    )
    assert decided.reason.endswith("they know better")


@pytest.mark.parametrize("record", ['{"id": "2", "title": "other"}', '{"title": "none"}', "{}"])
async def test_a_decision_keeps_the_key(systems: Any, refused: Any, record: str) -> None:
    """
    Under another key both sides would be given another record, and the one in question would stay.
    """
    both = systems(conflict_policy=scheduling_pb2.CONFLICT_POLICY_REVIEW)
    both.held["source"]["1"] = {"id": "1", "title": "ours"}
    both.held["destination"]["1"] = {"id": "1", "title": "theirs"}
    await both.round()
    [waiting] = await both.conflicts()
    request = pb.ResolveConflictRequest(
        conflict_id=waiting.conflict_id, choice=pb.ResolveConflictRequest.CHOICE_RECORD, record=record
    )

    assert (await refused(both.pairs.ResolveConflict(request)))[1] == "RECORD_INVALID"
    assert [one.conflict_id for one in await both.conflicts()] == [waiting.conflict_id]


async def test_a_decision_without_a_reason_says_what_was_taken(systems: Any) -> None:
    """
    Who reads it later is not told that a person still has to decide.
    """
    both = systems(conflict_policy=scheduling_pb2.CONFLICT_POLICY_REVIEW)
    both.held["source"]["1"] = {"id": "1", "title": "ours"}
    both.held["destination"]["1"] = {"id": "1", "title": "theirs"}
    await both.round()
    [waiting] = await both.conflicts()
    request = pb.ResolveConflictRequest(
        conflict_id=waiting.conflict_id, choice=pb.ResolveConflictRequest.CHOICE_SOURCE
    )

    decided = await both.pairs.ResolveConflict(request)

    assert decided.conflict.reason.endswith(": takes the source's version")


async def test_a_decision_about_old_versions_is_not_carried_out(systems: Any, refused: Any) -> None:
    """
    A side that has changed since is asked about anew; the old question is closed.
    """
    both = systems(conflict_policy=scheduling_pb2.CONFLICT_POLICY_REVIEW)
    both.held["source"]["1"] = {"id": "1", "title": "ours"}
    both.held["destination"]["1"] = {"id": "1", "title": "theirs"}
    await both.round()
    [first] = await both.conflicts()
    both.held["source"]["1"] = {"id": "1", "title": "ours, later"}
    await both.round()
    [second] = await both.conflicts()
    late = pb.ResolveConflictRequest(
        conflict_id=first.conflict_id, choice=pb.ResolveConflictRequest.CHOICE_SOURCE
    )

    assert json.loads(second.source_record)["title"] == "ours, later"
    assert (await refused(both.pairs.ResolveConflict(late)))[1] == "CONFLICT_DECIDED"
    assert both.writes == 0


async def test_a_round_that_would_delete_too_much_stops_before_it_writes(systems: Any, refused: Any) -> None:
    """
    A system that has lost its records does not empty the other one.
    """
    both = systems(delete_policy=scheduling_pb2.DeletePolicy(most_deletions=2))
    both.held["source"] = {str(n): {"id": str(n)} for n in range(5)}
    await both.round()
    both.held["source"].clear()

    assert (await refused(both.round()))[1] == "TOO_MANY_DELETIONS"
    assert len(both.held["destination"]) == 5


async def test_an_overtaken_host_is_refused_in_every_leg(systems: Any, ended: Any) -> None:
    """
    One that stalled in the leg before must not add what it had read then.
    """
    both = systems()
    both.held["source"]["1"] = {"id": "1"}
    await both.round()
    late = await both.hub.open(STREAM.format(side="source"), flow="flw_both", token=1)

    await late.send([{"record": {"id": "9"}}], ["9"])

    assert (await ended(late.call))[1] == "FENCED"
    assert len(await both.listed()) == 1


async def test_a_page_with_many_records_is_decided_in_pieces(systems: Any) -> None:
    """
    More pairs than one transaction decides arrive all the same.
    """
    both = systems()
    both.held["source"] = {str(n): {"id": str(n), "n": n} for n in range(620)}

    await asyncio.wait_for(both.round(), 60)

    assert both.held["destination"] == both.held["source"]
