"""Records that a complete reading no longer shows."""

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Bound
from isthmus.host.local import LocalBackend
from isthmus.resilience import Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk import Connector, Finished, Generation, Guarantee, Stream, WriteMode
from pydantic import BaseModel

Finish = scheduling.FinishAttemptRequest
Policy = scheduling.DeletePolicy
FULL = {"read_mode": connector.READ_MODE_FULL}
ABSENT = {**FULL, "delete_policy": Policy(absent=True)}


@pytest.fixture
def mirrored(world):
    """A hub that holds a hundred numbers, of which the counter has eighty left."""
    world.registry.configuration = {"count": 80, "page": 10}
    world.hub.data = {str(number): b"{}" for number in range(100)}
    return world


async def test_what_the_source_no_longer_shows_goes(mirrored):
    """
    It is counted as read and deleted, so that the counts add up.
    """
    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.counts.read, ended.counts.updated, ended.counts.deleted) == (100, 80, 20)
    assert len(mirrored.hub.data) == 80


async def test_what_is_absent_may_be_marked(mirrored):
    """
    The destination is told the field and its value.
    """
    policy = Policy(
        absent=True,
        kind=Policy.KIND_TOMBSTONE,
        tombstone_field="state",
        tombstone_value='"gone"',
        most_deletions=30,
        most_percent=40,
    )

    ended = await mirrored.run(mirrored.scheduling.grant(**FULL, delete_policy=policy))

    [asked] = mirrored.hub.finishing
    assert (asked.mark, asked.most_records, asked.most_percent) == (b'{"state":"gone"}', 30, 40)
    assert (ended.counts.read, ended.counts.updated, ended.counts.deleted) == (100, 100, 0)


@pytest.mark.parametrize(
    "flow",
    [FULL, {"delete_policy": Policy(absent=True)}, {**FULL, "delete_policy": Policy(absent=True, kind=3)}],
    ids=["not asked for", "not read in full", "ignored"],
)
async def test_absence_means_nothing_unless_it_is_asked_for(mirrored, flow):
    """
    Flows stay as they were: only what a source tells of counts as deleted.
    """
    ended = await mirrored.run(mirrored.scheduling.grant(**flow))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert mirrored.hub.finishing == []
    assert mirrored.hub.openings[0].generation_id == ""


async def test_every_attempt_at_an_execution_shows_for_all(mirrored):
    """
    The first one fails in the middle; nothing goes before another one has come to the end.
    """
    mirrored.registry.configuration = {"count": 80, "page": 10, "fail_at": 40}
    await mirrored.run(mirrored.scheduling.grant(**ABSENT))
    held = len(mirrored.hub.data)
    mirrored.registry.configuration = {"count": 80, "page": 10}
    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert (held, len(mirrored.hub.data)) == (100, 80)
    assert ended.counts.deleted == 20
    assert {one.generation_id for one in mirrored.hub.openings} == {"exe_1"}


async def test_an_end_whose_answer_is_lost_counts_once(mirrored):
    """
    The destination is asked again, and gives the answer that it gave.
    """
    lost = iter([True, True])
    mirrored.hub.after_finish = lambda: next(lost, False)

    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert len(mirrored.hub.finishing) == 3
    assert (ended.counts.read, ended.counts.deleted) == (100, 20)


async def test_a_host_that_dies_behind_the_end_leaves_it_to_the_next(mirrored):
    """
    Everything is read and the absent is gone, but nobody has heard of it: the next attempt only asks.
    """
    mirrored.hub.after_finish = lambda: mirrored.stop.set() or True
    stopped = await mirrored.run(mirrored.scheduling.grant(**ABSENT))
    mirrored.stop.clear()
    mirrored.hub.after_finish = lambda: False
    mirrored.connector.reads.clear()
    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert (stopped.outcome, stopped.counts.deleted) == (Finish.OUTCOME_FAILED, 0)
    assert (ended.outcome, ended.counts.deleted) == (Finish.OUTCOME_COMPLETED, 20)
    assert mirrored.connector.reads == []
    assert mirrored.scheduling.total.read == 100


async def test_nothing_goes_while_a_record_waits_in_quarantine(mirrored):
    """
    Nobody knows its key, so it would look absent; the log tells why.
    """
    mirrored.hub.reject = lambda record: record["id"] == 7

    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.quarantined == 1
    assert "1 records are in quarantine" in ended.note
    assert mirrored.hub.finishing == []
    assert len(mirrored.hub.data) == 100


LATER = {
    "version": "isthmus/v1",
    "transformations": {"where": {"path": "id", "at_least": 40}},
    "field_mappings": [{"target": "id", "source": "id"}],
}


@pytest.mark.parametrize(("filtered", "held"), [(False, 100), (True, 40)], ids=["kept", "wanted"])
async def test_what_the_mapping_leaves_out_is_absent_only_where_that_is_wanted(mirrored, filtered, held):
    """
    Without the flow's word nothing goes, and the execution says why and what to do.
    """
    mirrored.mapping.definition = LATER
    policy = Policy(absent=True, filtered=filtered, most_percent=100)
    grant = mirrored.scheduling.grant(**FULL, mapping_id="map_1", delete_policy=policy)

    ended = await mirrored.run(grant)

    assert (ended.outcome, ended.counts.filtered) == (Finish.OUTCOME_COMPLETED, 40)
    assert len(mirrored.hub.data) == held
    assert ("filtered: true" in ended.note) == (not filtered)


async def test_a_destination_that_knew_nothing_before_is_told_of(mirrored):
    """
    In the execution, so that nobody waits in vain for the first time.
    """
    mirrored.hub.is_first = True

    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert "it knows from now on" in ended.note


async def test_records_without_a_key_cannot_be_absent(mirrored):
    """
    The flow is refused before anything is sent.
    """

    async def keyless(*_):
        return [
            connector.StreamSpec(stream="numbers", read_modes=[connector.READ_MODE_FULL]),
        ]

    mirrored.monkeypatch.setattr("isthmus.host.local.LocalConnection.streams", keyless)

    ended = await mirrored.run(mirrored.scheduling.grant(**ABSENT))

    assert (ended.outcome, ended.error.reason) == (Finish.OUTCOME_FAILED, "KEY_MISSING")
    assert mirrored.hub.openings == []


class Nothing(BaseModel):
    """No settings."""


class Keeper(Connector[Nothing]):
    """A destination that can tell what it was not shown."""

    ended: list[Generation] = []  # noqa: RUF012 - shared by intention

    async def streams(self):
        stream = Stream(
            "kept",
            write_modes=(WriteMode.UPSERT,),
            guarantee=Guarantee.TRANSACTIONAL,
            writer=self.write,
            finisher=self.finish,
        )
        return [stream]

    async def write(self, batch):
        """Takes everything."""

    async def finish(self, generation):
        Keeper.ended.append(generation)
        return Finished(3, 2)


async def test_a_connector_is_told_what_a_refresh_was():
    """
    It gets all limits and the mark as an object; an attempt that was overtaken does not reach it.
    """
    Keeper.ended.clear()
    backend = LocalBackend(Keeper)
    opening = connector.WriteOpen(stream="kept", flow_id="flw_1", fencing_token=2, generation_id="exe_1")
    asked = connector.FinishGenerationRequest(
        open=opening, mark=b'{"gone":true}', most_records=5, most_percent=6
    )

    async with backend.connect(Bound("tnt_test", "ins_1")) as connection:
        done = await connection.finish(asked)
        asked.open.fencing_token = 1
        with pytest.raises(Precondition, match="newer attempt"):
            await connection.finish(asked)
    await backend.close()

    assert (done.shown, done.removed) == (3, 2)
    assert Keeper.ended == [Generation("flw_1", "exe_1", 2, {"gone": True}, 5, 6)]
