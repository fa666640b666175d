"""Records that cannot arrive, and what becomes of them."""

from typing import Any

import msgspec
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

Finish = scheduling.FinishAttemptRequest
Error = scheduling.ExecutionError


def accounted(counts: Any) -> int:
    """Records that are somewhere."""
    arrived = counts.created + counts.updated + counts.unchanged + counts.deleted
    return int(arrived + counts.filtered + counts.quarantined)


async def test_rejected_records_wait_in_quarantine_whole(world):
    """
    What the destination refuses is quarantined as the source gave it, and the rest goes on.
    """
    world.registry.configuration = {"count": 20, "page": 5}
    world.hub.reject = lambda record: record["id"] % 7 == 3

    ended = await world.run()

    held = list(world.quarantine.held.values())
    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.quarantined == len(held) == 3
    assert ended.counts.created == 17
    assert {one.record for one in held} == {f'{{"id":{n},"name":"n{n}"}}' for n in (3, 10, 17)}
    assert {one.reasons[0].reason for one in held} == {"BAD"}
    assert {one.key for one in held} == {"3", "10", "17"}


async def test_no_position_passes_a_record_that_is_not_safe_in_quarantine(world):
    """
    While quarantine is away nothing behind the rejected record is committed.
    """
    world.registry.configuration = {"count": 20, "page": 5}
    world.hub.reject = lambda record: record["id"] == 7
    world.quarantine.away = True
    failed = await world.run(patience_seconds=0.3)
    world.quarantine.away = False

    ended = await world.run()

    assert failed.error.kind == Error.KIND_TRANSIENT
    assert failed.counts.read <= 5
    assert failed.counts.read + ended.counts.read == 20
    assert ended.counts.quarantined == len(world.quarantine.held) == 1


async def test_too_many_quarantined_records_stop_the_flow(world):
    """
    A flow's limit turns a flood of rejects into one clear failure.
    """
    world.registry.configuration = {"count": 1000, "page": 5, "pause": 0.001}
    world.hub.reject = lambda record: True
    policy = scheduling.FailurePolicy(max_quarantined=12)

    ended = await world.run(world.scheduling.grant(failure_policy=policy))

    assert ended.error.kind == Error.KIND_DATA
    assert ended.error.reason == "TOO_MANY_QUARANTINED"
    assert 12 < ended.counts.quarantined <= 60


async def test_a_lost_acknowledgement_does_not_lose_its_rejects(world):
    """
    A batch that comes again tells its rejected records again, and they end in quarantine.
    """
    world.registry.configuration = {"count": 20, "page": 5}
    world.hub.reject = lambda record: record["id"] == 7
    lost = iter([True])
    world.hub.before_ack = lambda one: one.sequence == 2 and next(lost, False)

    ended = await world.run()

    assert ended.counts.quarantined == len(world.quarantine.held) == 1
    assert accounted(ended.counts) == ended.counts.read == 20


async def test_requeued_records_are_delivered_and_resolved(world):
    """
    A requeue reads quarantine instead of the source and marks what arrived.
    """
    world.registry.configuration = {"count": 20, "page": 5}
    world.hub.reject = lambda record: record["id"] in {3, 4}
    await world.run()
    for one in world.quarantine.held.values():
        one.status = 2
    world.hub.reject = lambda record: record["id"] == 4
    world.connector.reads.clear()
    grant = world.scheduling.grant()
    grant.execution.trigger = scheduling.Execution.TRIGGER_REQUEUE

    ended = await world.run(grant)

    assert world.connector.reads == []
    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.counts.read, ended.counts.created, ended.counts.quarantined) == (2, 1, 1)
    assert set(world.hub.data) == {str(n) for n in range(20)} - {"4"}
    assert len(world.quarantine.resolved) == 1


SMALLER = {"version": "isthmus/v1", "field_mappings": [{"target": "id", "source": "id"}]}
LARGE = {"count": 6, "page": 3, "large_at": 1, "large": 5_000_000}


async def test_a_large_record_that_maps_to_something_small_is_delivered(world):
    """
    What the mapping leaves out may be as large as it likes.
    """
    world.registry.configuration = LARGE
    world.mapping.definition = SMALLER

    ended = await world.run(world.scheduling.grant(mapping_id="map_1"))

    assert (ended.counts.read, ended.counts.created, ended.counts.quarantined) == (6, 6, 0)


async def test_a_large_record_waits_whole_and_is_requeued(world):
    """
    It does not fit into a batch as it is, and does once a mapping leaves fields out.
    """
    world.registry.configuration = LARGE
    world.mapping.definition = SMALLER
    ended = await world.run()
    (held,) = world.quarantine.held.values()
    record = msgspec.json.decode(held.record)
    held.status = 2
    grant = world.scheduling.grant(mapping_id="map_1")
    grant.execution.trigger = scheduling.Execution.TRIGGER_REQUEUE

    requeued = await world.run(grant)

    assert (ended.counts.created, ended.counts.quarantined) == (5, 1)
    assert held.reasons[0].reason == "RECORD_TOO_LARGE"
    assert record == {"id": 1, "name": "n1", "large": "x" * 5_000_000}
    assert (requeued.counts.read, requeued.counts.created) == (1, 1)
    assert set(world.hub.data) == {str(n) for n in range(6)}
    assert world.quarantine.resolved == [held.quarantine_id]


async def test_a_record_that_quarantine_cannot_keep_ends_the_reading_before_it(world):
    """
    The execution fails with what is to be done, and no position passes the record.
    """
    world.registry.configuration = LARGE
    world.quarantine.most_bytes = 2_000_000

    ended = await world.run()

    assert (ended.error.kind, ended.error.reason) == (Error.KIND_DATA, "RECORD_TOO_LARGE")
    assert ended.counts.read == 0
    assert world.quarantine.held == {}
