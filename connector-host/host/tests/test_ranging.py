"""Backfills of a host: only what belongs to a range, whatever has been read before."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.ranging import Range, RangedPlan, moment_of, range_of
from isthmus.mapper import identity_plan
from isthmus.resilience import Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.runtime import Between

Finish = scheduling.FinishAttemptRequest
Error = scheduling.ExecutionError
SPAN = Between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def backfill(world: Any, first: int, end: int, field: str = "id", **flow: Any) -> Any:
    """Grant a backfill; the numbers that the source counts are taken as seconds since 1970."""
    grant = world.scheduling.grant(**flow)
    grant.execution.range.field = field
    grant.execution.range.start_time.FromSeconds(first)
    grant.execution.range.end_time.FromSeconds(end)
    return grant


async def test_only_the_range_arrives(world):
    """
    What lies outside is counted as filtered; the start belongs to the range, the end does not.
    """
    world.registry.configuration = {"count": 50, "page": 7}

    ended = await world.run(backfill(world, 10, 30))

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert sorted(map(int, world.hub.data)) == list(range(10, 30))
    assert (ended.counts.read, ended.counts.created, ended.counts.filtered) == (50, 20, 30)


async def test_a_backfill_goes_on_where_it_was_broken_off(world):
    """
    An attempt that failed leaves positions from which the next one goes on.
    """
    world.registry.configuration = {"count": 50, "page": 5, "fail_at": 25}
    failed = await world.run(backfill(world, 10, 40))
    world.registry.configuration = {"count": 50, "page": 5}

    await world.run(backfill(world, 10, 40))

    assert failed.outcome == Finish.OUTCOME_FAILED
    assert world.connector.reads == list(range(50))
    assert sorted(map(int, world.hub.data)) == list(range(10, 40))


async def test_a_stream_without_times_says_what_to_do(world):
    """
    Where nothing says which field holds the time, the fault names the remedy, and nothing is read.
    """
    ended = await world.run(backfill(world, 10, 30, field=""))

    assert (ended.error.kind, ended.error.reason) == (Error.KIND_CONFIGURATION, "RANGE_UNSUPPORTED")
    assert "--field" in ended.error.message
    assert world.connector.reads == []


async def test_a_field_that_no_record_has_is_told(world):
    """
    A misspelt field leaves everything out, and the execution says why; one that records have is no matter.
    """
    world.registry.configuration = {"count": 4}

    misspelt = await world.run(backfill(world, 0, 10, field="di"))
    outside = await world.run(backfill(world, 100, 110))

    assert (misspelt.outcome, misspelt.counts.filtered) == (Finish.OUTCOME_COMPLETED, 4)
    assert "None of the 4 records" in misspelt.note
    assert "`di`" in misspelt.note
    assert outside.note == ""


async def test_a_record_whose_time_cannot_be_read_waits_in_quarantine(world):
    """
    Nobody can tell whether it belongs to the range, so it is not lost silently.
    """
    world.registry.configuration = {"count": 4}

    ended = await world.run(backfill(world, 0, 10, field="name"))

    assert (ended.counts.quarantined, ended.counts.created) == (4, 0)
    reasons = {(one.reasons[0].reason, one.reasons[0].source_path) for one in world.quarantine.held.values()}
    assert reasons == {("RANGE_FIELD_INVALID", "name")}


@given(st.lists(st.datetimes(datetime(2025, 12, 1), datetime(2026, 3, 1)), max_size=20), st.integers(-12, 12))
def test_a_time_belongs_to_a_range_whatever_its_zone(moments, hours):
    """
    The same moments are chosen however they are written.
    """
    zone = timezone(timedelta(hours=hours))
    plan = RangedPlan(identity_plan(), Range(SPAN, "at.time", asks=False))

    mapped = plan.apply_many(
        {"at": {"time": moment.replace(tzinfo=UTC).astimezone(zone).isoformat()}} for moment in moments
    )

    inside = [place for place, one in enumerate(moments) if SPAN.start <= one.replace(tzinfo=UTC) < SPAN.end]
    assert mapped.indexes == inside
    assert mapped.filtered == len(moments) - len(inside)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2026-01-05T01:00:00+01:00", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2026-01-05 00:00:00", datetime(2026, 1, 5, tzinfo=UTC)),
        (1767571200, datetime(2026, 1, 5, tzinfo=UTC)),
        (1767571200000, datetime(2026, 1, 5, tzinfo=UTC)),
    ],
    ids=["date", "zone", "no-zone", "seconds", "milliseconds"],
)
def test_times_are_read_in_many_forms(value, moment):
    """
    A time without a zone counts as UTC.
    """
    assert moment_of(value) == moment


@pytest.mark.parametrize("value", ["soon", True, [], 1e300, float("nan")], ids=str)
def test_what_is_no_time_is_refused(value):
    """
    Nothing is taken for a time that is none.
    """
    with pytest.raises(ValueError, match=r".*"):
        moment_of(value)


@pytest.mark.parametrize(
    ("asked", "declared", "native", "asks"),
    [
        ("", "at", True, True),
        ("at", "at", True, True),
        ("other", "at", True, False),
        ("", "at", False, False),
    ],
    ids=["declared", "named", "other-field", "not-native"],
)
def test_the_source_is_asked_only_by_the_field_that_it_knows(asked, declared, native, asks):
    """
    Another field than the one that the stream names is looked at by the host.
    """
    stream = connector.StreamSpec(stream="s", range_field=declared, asks_for_range=native)

    assert range_of(scheduling.TimeRange(field=asked), stream).asks is asks


def test_what_a_source_gave_on_request_stays_though_it_has_no_time():
    """
    The system was asked by its own clock, so it is believed; others have to show a time.
    """
    for asks in (True, False):
        assert Range(SPAN, "at", asks).holds({"id": 1}) is asks
    with pytest.raises(Precondition):
        range_of(scheduling.TimeRange(), connector.StreamSpec(stream="s"))
