"""Dry runs of a host: everything is read, mapped and compared, and nothing is left behind."""

from typing import Any

import msgspec
import pytest
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

Finish = scheduling.FinishAttemptRequest
Sample = scheduling.PreviewSample
MAPPING = {
    "version": "isthmus/v1",
    "field_mappings": [
        {"target": "id", "source": "id", "required": True},
        {"target": "name", "source": "name", "enum": {f"n{digit}": "known" for digit in range(10)}},
    ],
}


def dry(world: Any, limit: int = 0, **flow: Any) -> scheduling.AcquireLeaseResponse:
    """Grant a dry run."""
    grant: scheduling.AcquireLeaseResponse = world.scheduling.grant(**flow)
    grant.execution.is_dry_run = True
    grant.execution.record_limit = limit
    return grant


def samples(preview: scheduling.Preview, kind: int) -> list[scheduling.PreviewSample]:
    """The samples of one kind."""
    return [sample for sample in preview.samples if sample.kind == kind]


async def test_a_dry_run_tells_what_a_sync_then_does(world):
    """
    The counts of the dry run are those of the run that follows it.
    """
    world.hub.previews = True
    world.hub.reject = lambda record: record["id"] == 5
    world.registry.configuration = {"count": 40, "page": 7}
    world.hub.data = {
        "1": msgspec.json.encode({"id": 1, "name": "n1"}),
        "2": msgspec.json.encode({"id": 2, "name": "old"}),
    }

    told = await world.run(dry(world))
    done = await world.run()

    for counts in (told.counts, told.preview.counts, done.counts):
        arrived = (counts.created, counts.updated, counts.unchanged, counts.quarantined)
        assert (counts.read, *arrived) == (40, 37, 1, 1, 1)
    assert told.preview.is_exact
    assert told.preview.note == ""


async def test_a_dry_run_leaves_nothing_behind(world):
    """
    No record, no position, no quarantine, no observation of the schema, no measure of success.
    """
    world.hub.previews = True
    world.hub.reject = lambda record: record["id"] == 5
    world.registry.configuration = {"count": 40, "page": 7}

    ended = await world.run(dry(world))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (world.hub.data, world.hub.seen, world.hub.previewed) == ({}, {}, 40)
    assert (world.quarantine.held, world.schemas.asked, world.scheduling.checkpoints) == ({}, [], {})
    assert not any(commit.checkpoints for commit in world.scheduling.commits)


async def test_a_sample_shows_the_fields_that_differ(world):
    """
    Of an updated record only what changes is told, and values that look like secrets are stars.
    """
    world.hub.previews = True
    world.registry.configuration = {"count": 2}
    held = {"id": 0, "name": "old", "api_token": "s3cr3t"}
    world.hub.data = {"0": msgspec.json.encode(held)}

    preview = (await world.run(dry(world))).preview

    (updated,) = samples(preview, Sample.KIND_UPDATED)
    shown = {field.path: (field.before, field.after) for field in updated.fields}
    assert shown == {"name": ('"old"', '"n0"'), "api_token": ('"***"', "")}
    assert "s3cr3t" not in str(preview)


async def test_a_destination_that_cannot_be_asked_gets_nothing(world):
    """
    It is said plainly that nobody knows what it would do.
    """
    world.registry.configuration = {"count": 30}

    ended = await world.run(dry(world))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.preview.is_exact, ended.preview.to_be_sent, ended.counts.read) == (False, 30, 30)
    assert ended.preview.note.startswith("Would be sent: 30; the destination cannot be asked")
    assert len(samples(ended.preview, Sample.KIND_SENT)) == 5
    assert (world.hub.data, world.hub.batches) == ({}, [])


@pytest.mark.parametrize("can_tell", [True, False], ids=["asked", "unasked"])
async def test_reasons_for_quarantine_are_counted_with_their_fields(world, can_tell):
    """
    Records that the mapping refuses are told of by reason and field, with a few examples.
    """
    world.hub.previews = can_tell
    world.mapping.definition = MAPPING
    world.registry.configuration = {"count": 30}

    preview = (await world.run(dry(world, mapping_id="map_1"))).preview

    (reason,) = preview.reasons
    assert (reason.path, reason.records, preview.counts.quarantined) == ("name", 20, 20)
    examples = samples(preview, Sample.KIND_QUARANTINED)
    assert [one.key for one in examples] == ["10", "11", "12", "13", "14"]
    assert examples[0].reasons[0].reason == reason.reason


async def test_a_limit_ends_the_reading(world):
    """
    No more records are read than were asked for, and the preview says so.
    """
    world.hub.previews = True
    world.registry.configuration = {"count": 1000, "page": 7}

    preview = (await world.run(dry(world, limit=10))).preview

    assert (preview.counts.read, preview.counts.created) == (10, 10)
    assert preview.note == "Reading stopped after 10 records."
    assert len(world.connector.reads) < 50


async def test_records_that_are_left_out_are_shown(world):
    """
    What the mapping filters is counted and shown as the source gives it.
    """
    world.hub.previews = True
    world.mapping.definition = {**MAPPING, "transformations": {"where": {"path": "id", "less_than": 3}}}
    world.registry.configuration = {"count": 9}

    preview = (await world.run(dry(world, mapping_id="map_1"))).preview

    assert (preview.counts.filtered, preview.counts.created) == (6, 3)
    left_out = samples(preview, Sample.KIND_FILTERED)
    assert [one.key for one in left_out] == ["3", "4", "5", "6", "7"]
    assert [field.path for field in left_out[0].fields] == ["id", "name"]


ABSENT = {"read_mode": 1, "delete_policy": scheduling.DeletePolicy(absent=True, most_percent=100)}


async def test_a_dry_run_foresees_what_would_be_taken_for_deleted(world):
    """
    With a few of the records, and without a word to the destination that would remove them.
    """
    world.hub.previews = True
    world.registry.configuration = {"count": 8}
    world.hub.data = {str(number): b"{}" for number in range(10)}

    told = await world.run(dry(world, **ABSENT))

    assert (told.preview.counts.read, told.preview.counts.deleted) == (10, 2)
    assert [one.key for one in samples(told.preview, Sample.KIND_DELETED)] == ["8", "9"]
    assert "2 records that the source no longer shows would be deleted" in told.preview.note
    assert len(world.hub.data) == 10


async def test_a_dry_run_that_stops_early_says_nothing_of_what_is_absent(world):
    """
    What it has not read may be there.
    """
    world.hub.previews = True
    world.registry.configuration = {"count": 8}

    told = await world.run(dry(world, 3, **ABSENT))

    assert "Nothing can be told of what is absent" in told.preview.note
    assert world.hub.finishing == []
