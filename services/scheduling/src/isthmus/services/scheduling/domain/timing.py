"""When a schedule is due, and what becomes of times that passed while nothing could run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from isthmus.resilience.faults import FixRequest

PUNCTUAL = timedelta(seconds=30)
_LONGEST_CRON = 200

Spread = Callable[[float], float]
"""Draws a number between 0 and its argument."""


class ScheduleType(StrEnum):
    """What makes a schedule run."""

    INTERVAL = "interval"
    CRON = "cron"
    EVENT = "event"


class MissedRuns(StrEnum):
    """What happens to times that passed while nothing could run."""

    RUN_ONCE = "run_once"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """The part of a schedule that its owner decides; it runs a flow or a plan."""

    flow_id: str
    type: ScheduleType
    interval_minutes: int = 0
    cron_expression: str = ""
    event_trigger: str = ""
    time_zone: str = ""
    is_active: bool = True
    missed_runs: MissedRuns = MissedRuns.RUN_ONCE
    jitter: timedelta = timedelta()
    plan_id: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as stored.

    Attributes:
        schedule_id: Never reused.
        spec: What its owner decided.
        created_by: Subject of the creator.
        create_time: When it was created; intervals are counted from here.
        update_time: When it last changed.
        last_execution_time: When it last started an execution.
        next_execution_time: When it starts the next one, jitter included.
        revision: Grows with every change by a caller.
        last_skip_time: When it last left a start out.
        last_skip_reason: Why it did.
        hold_reason: What would keep it from starting anything at present.
    """

    schedule_id: str
    spec: ScheduleSpec
    created_by: str
    create_time: datetime
    update_time: datetime
    last_execution_time: datetime | None = None
    next_execution_time: datetime | None = None
    revision: int = 1
    last_skip_time: datetime | None = None
    last_skip_reason: str = ""
    hold_reason: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What to do about a due schedule.

    Attributes:
        start: Whether an execution starts now.
        next_time: When the schedule is due again.
    """

    start: bool
    next_time: datetime | None


def check_timing(spec: ScheduleSpec, now: datetime) -> None:
    """Refuse a cron expression or a time zone that cannot be understood.

    Raises:
        FixRequest: `CRON_INVALID` or `TIME_ZONE_UNKNOWN`.
    """
    _zone(spec.time_zone)
    if spec.type is ScheduleType.CRON:
        _next_cron(spec, now)


def next_time(spec: ScheduleSpec, created: datetime, after: datetime, spread: Spread) -> datetime | None:
    """Give the first time after `after` at which the schedule is due, jitter included.

    Args:
        spec: The schedule.
        created: When it was created.
        after: The moment from which on times count.
        spread: Draws the jitter.

    Returns:
        The time, or None for a schedule that is inactive or waits for events.
    """
    if not spec.is_active or spec.type is ScheduleType.EVENT:
        return None
    return _nominal(spec, created, after) + timedelta(seconds=spread(spec.jitter.total_seconds()))


def tick(schedule: Schedule, now: datetime, spread: Spread, *, can_run: bool) -> Tick:
    """Decide about a schedule whose time has come.

    A schedule that makes up for missed runs waits until its flow can run; one that skips them
    starts only when it is punctual.
    """
    following = next_time(schedule.spec, schedule.create_time, now, spread)
    if schedule.spec.missed_runs is MissedRuns.RUN_ONCE:
        return Tick(can_run, following if can_run else schedule.next_execution_time)
    return Tick(can_run and _is_punctual(schedule, now), following)


def _is_punctual(schedule: Schedule, now: datetime) -> bool:
    due = schedule.next_execution_time
    if due is None or now - due <= PUNCTUAL:
        return True
    return _nominal(schedule.spec, schedule.create_time, now - PUNCTUAL) <= now


def _nominal(spec: ScheduleSpec, created: datetime, after: datetime) -> datetime:
    if spec.type is ScheduleType.CRON:
        return _next_cron(spec, after)
    step = timedelta(minutes=spec.interval_minutes)
    return created + (max(after - created, timedelta()) // step + 1) * step


def _next_cron(spec: ScheduleSpec, after: datetime) -> datetime:
    text = spec.cron_expression
    if len(text) > _LONGEST_CRON:
        raise _bad_cron(text[:40] + "…", f"it is longer than {_LONGEST_CRON} characters")
    try:
        # The clock that is put back shows some times twice: the expression's next time on the
        # clock face can then lie before `after`, and the one behind it is meant.
        return next(
            moment
            for local in CronSim(text, _local(spec, after))
            if (moment := local.astimezone(UTC)) > after
        )
    except CronSimError as error:
        raise _bad_cron(text, str(error).lower()) from error
    except (StopIteration, OverflowError) as error:
        raise _bad_cron(text, "no such date comes in the next 50 years") from error


def _local(spec: ScheduleSpec, moment: datetime) -> datetime:
    return moment.astimezone(_zone(spec.time_zone))


def _bad_cron(text: str, why: str) -> FixRequest:
    message = (
        f'The cron expression "{text}" cannot be used: {why}. '
        "Write five fields (minute hour day month weekday) or six with seconds first."
    )
    return FixRequest("CRON_INVALID", message, path="schedule.cron_expression")


def _zone(name: str) -> tzinfo:
    if name in {"", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f'There is no time zone "{name}"; use an IANA name, for example Europe/Zurich.'
        raise FixRequest("TIME_ZONE_UNKNOWN", message, path="schedule.time_zone") from error


__all__ = [
    "PUNCTUAL",
    "MissedRuns",
    "Schedule",
    "ScheduleSpec",
    "ScheduleType",
    "Spread",
    "Tick",
    "check_timing",
    "next_time",
    "tick",
]
