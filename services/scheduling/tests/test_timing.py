"""When schedules are due: intervals, cron over changes of the clock, missed runs."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience.faults import FixRequest
from isthmus.services.scheduling.domain import (
    MissedRuns,
    Schedule,
    ScheduleSpec,
    ScheduleType,
    check_timing,
    next_time,
    tick,
)

CREATED = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def never(_: float) -> float:
    return 0.0


def cron(expression, zone="", **more):
    return ScheduleSpec(
        "flw_x", ScheduleType.CRON, cron_expression=expression, time_zone=zone, is_active=True, **more
    )


def interval(minutes, **more):
    return ScheduleSpec("flw_x", ScheduleType.INTERVAL, interval_minutes=minutes, is_active=True, **more)


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def following(spec, after, count):
    times = []
    for _ in range(count):
        after = next_time(spec, CREATED, after, never)
        times.append(after)
    return times


def stored(spec, due):
    return Schedule("sch_x", spec, "me", CREATED, CREATED, next_execution_time=due)


def test_an_interval_is_counted_from_the_creation():
    """
    Whenever it is asked, an interval's next time lies a whole number of intervals after the creation.
    """
    assert next_time(interval(15), CREATED, at("2026-01-01T13:07:00Z"), never) == at("2026-01-01T13:15:30Z")


def test_the_first_interval_ends_one_interval_after_the_creation():
    """
    A schedule does not start at the moment of its creation.
    """
    assert next_time(interval(1), CREATED, CREATED, never) == CREATED + timedelta(minutes=1)


@given(st.integers(1, 100_000), st.timedeltas(timedelta(), timedelta(days=3000)))
def test_interval_times_are_ahead_and_on_the_grid(minutes, passed):
    """
    The next time is later than now, by at most one interval, and on the grid.
    """
    now = CREATED + passed
    due = next_time(interval(minutes), CREATED, now, never)

    assert now < due <= now + timedelta(minutes=minutes)
    assert (due - CREATED) % timedelta(minutes=minutes) == timedelta()


def test_a_time_that_the_clock_leaves_out_comes_right_after():
    """
    02:30 does not exist on the day the clock goes forward in Zurich; the run comes at 03:00.
    """
    spec = cron("30 2 * * *", "Europe/Zurich")
    times = following(spec, at("2026-03-28T12:00:00Z"), 2)

    assert times == [at("2026-03-29T03:00:00+02:00"), at("2026-03-30T02:30:00+02:00")]


def test_a_time_that_the_clock_shows_twice_comes_once():
    """
    02:30 happens twice on the day the clock goes back in Zurich; the run comes the first time.
    """
    spec = cron("30 2 * * *", "Europe/Zurich")
    times = following(spec, at("2026-10-24T12:00:00Z"), 2)

    assert times == [at("2026-10-25T02:30:00+02:00"), at("2026-10-26T02:30:00+01:00")]


def test_the_next_time_is_never_in_the_past_while_the_clock_repeats_itself():
    """
    Asked in the repeated hour, after the run of that day, the answer is the next day.
    """
    spec = cron("30 2 * * *", "Europe/Zurich")
    inside = at("2026-10-25T02:10:00+01:00")

    assert next_time(spec, CREATED, inside, never) == at("2026-10-26T02:30:00+01:00")


def test_every_half_hour_is_every_half_hour_even_when_the_clock_changes():
    """
    An expression without fixed hours runs through both showings of an hour.
    """
    times = following(cron("*/30 * * * *", "Europe/Zurich"), at("2026-10-25T00:00:00Z"), 6)

    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=30)}


def test_nine_in_the_morning_stays_nine_in_the_morning():
    """
    A fixed local time moves against UTC when the clock changes.
    """
    times = following(cron("0 9 * * *", "America/New_York"), at("2026-03-07T00:00:00Z"), 2)

    assert times == [at("2026-03-07T14:00:00Z"), at("2026-03-08T13:00:00Z")]


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["Europe/Zurich", "UTC", ""])
)
def test_cron_times_are_always_ahead(moment, zone):
    """
    Whenever it is asked, also inside a change of the clock, the next time is later than now.
    """
    now = moment.replace(tzinfo=UTC)

    assert now < next_time(cron("30 2 * * *", zone), CREATED, now, never) <= now + timedelta(hours=26)


def test_seconds_may_come_first():
    """
    Six fields begin with seconds.
    """
    assert following(cron("*/20 * * * * *"), CREATED, 2) == [
        CREATED + timedelta(seconds=10),
        CREATED + timedelta(seconds=30),
    ]


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("61 * * * *", "minute"),
        ("* 25 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * FRIDAY", "day-of-week"),
        ("* * *", "number of fields"),
        ("", "number of fields"),
        ("0 0 31 2 *", "day-of-month"),
        ("0 0 * * 1#6", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("0 0 1 1 *" + " " * 300, "longer"),
    ],
)
def test_a_cron_expression_that_cannot_be_used_is_refused_with_its_part(expression, part):
    """
    The message says which part of the expression is wrong.
    """
    with pytest.raises(FixRequest, match=part) as caught:
        check_timing(cron(expression), CREATED)

    assert caught.value.reason == "CRON_INVALID"


@given(st.text(alphabet="0123456789*/,-#LW MONJAN\0é", max_size=60))
def test_no_text_breaks_the_reading_of_cron_expressions(expression):
    """
    Any text is either understood or refused.
    """
    with suppress(FixRequest):
        check_timing(cron(expression), CREATED)


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "é" * 300]
)
def test_a_time_zone_that_does_not_exist_is_refused(zone):
    """
    A time zone is an IANA name and nothing else.
    """
    with pytest.raises(FixRequest) as caught:
        check_timing(interval(5, time_zone=zone), CREATED)

    assert caught.value.reason == "TIME_ZONE_UNKNOWN"


def test_schedules_that_wait_for_events_or_are_inactive_have_no_next_time():
    """
    Only active interval and cron schedules have a next time.
    """
    event = ScheduleSpec("flw_x", ScheduleType.EVENT, event_trigger="a.b.v1")
    inactive = ScheduleSpec("flw_x", ScheduleType.INTERVAL, interval_minutes=1, is_active=False)

    assert [next_time(spec, CREATED, CREATED, never) for spec in (event, inactive)] == [None, None]


def test_jitter_puts_a_start_off_and_leaves_the_grid_alone():
    """
    A start that was put off does not move the starts after it.
    """
    spec = interval(10, jitter=timedelta(minutes=4))
    first = next_time(spec, CREATED, CREATED, lambda most: most)
    second = tick(stored(spec, first), first, never, can_run=True).next_time

    assert first == CREATED + timedelta(minutes=14)
    assert second == CREATED + timedelta(minutes=20)


def test_many_missed_runs_are_made_up_for_by_one():
    """
    After a long outage a schedule starts once, and goes on with its rhythm.
    """
    spec = interval(10)
    now = CREATED + timedelta(hours=5, minutes=3)
    decision = tick(stored(spec, CREATED + timedelta(minutes=10)), now, never, can_run=True)

    assert (decision.start, decision.next_time) == (True, CREATED + timedelta(hours=5, minutes=10))


def test_missed_runs_are_left_out_on_request():
    """
    A schedule that skips does not start late.
    """
    spec = interval(10, missed_runs=MissedRuns.SKIP)
    now = CREATED + timedelta(hours=5, minutes=3)
    decision = tick(stored(spec, CREATED + timedelta(minutes=10)), now, never, can_run=True)

    assert (decision.start, decision.next_time) == (False, CREATED + timedelta(hours=5, minutes=10))


def test_the_latest_of_many_missed_runs_starts_when_it_is_punctual():
    """
    A schedule that skips leaves out what is late and starts what is due now.
    """
    spec = interval(10, missed_runs=MissedRuns.SKIP)
    now = CREATED + timedelta(hours=5, seconds=3)

    assert tick(stored(spec, CREATED + timedelta(minutes=10)), now, never, can_run=True).start


@pytest.mark.parametrize("choice", list(MissedRuns))
def test_a_busy_flow_is_waited_for_or_passed_over(choice):
    """
    While the flow is busy nothing starts; the run is made up for later, or left out.
    """
    due = CREATED + timedelta(minutes=10)
    decision = tick(stored(interval(10, missed_runs=choice), due), due, never, can_run=False)
    expected = due if choice is MissedRuns.RUN_ONCE else due + timedelta(minutes=10)

    assert (decision.start, decision.next_time) == (False, expected)
