"""One run of a flow: its life, its attempts, and what follows when one of them ends."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from isthmus.resilience import Backoff
from isthmus.services.scheduling.domain.asked import NOTHING_ASKED, Asked
from isthmus.services.scheduling.domain.checkpoint import Checkpoint
from isthmus.services.scheduling.domain.counts import NOTHING, Counts
from isthmus.services.scheduling.domain.failure import (
    Failure,
    FailureKind,
    exceeds,
    stopped_unasked,
    too_many_quarantined,
    unreconciled,
)
from isthmus.services.scheduling.domain.flow import FlowSpec
from isthmus.services.scheduling.domain.legs import Leg, LegDone, movement, next_leg
from isthmus.services.scheduling.domain.place import NO_PLACE, Place
from isthmus.services.scheduling.domain.reconciling import Reconcile, reconciling_movement

DEFAULT_ATTEMPTS = 5
IDLE_STOPS = 100
PRIORITY_STEP = timedelta(seconds=3)
_PAUSED = "It was paused; it goes on from here once its flow, or the run of its plan, is resumed."
_LONGEST_WAIT = timedelta(days=1)
_WAITED_FOR = frozenset({"VAULT_SEALED", "VAULT_UNREACHABLE"})
"""What is the installation's trouble and no flow's: executions wait for it, however long it takes."""
_QUOTA = "QUOTA_EXCEEDED"


class Trigger(StrEnum):
    """What started an execution."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    EVENT = "event"
    REQUEUE = "requeue"
    PLAN = "plan"


class Status(StrEnum):
    """Where an execution is in its life; a paused one is pending, with a stop that lasts."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    @property
    def is_live(self) -> bool:
        """Whether the execution has not ended."""
        return self in {Status.PENDING, Status.RUNNING}


class Stop(StrEnum):
    """Why an execution is asked to stop."""

    NONE = ""
    CANCEL = "cancel"
    PAUSE = "pause"
    QUARANTINE = "quarantine"


class Outcome(StrEnum):
    """How a host says that its attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a flow, as stored.

    Attributes:
        execution_id: Never reused.
        flow_id: The flow it is a run of.
        flow: The flow in the form that this run uses.
        connector_id: Whose hosts carry it out.
        lineage: Which positions it reads and writes; see docs/adr.
        schedule_id: What started it; empty for other triggers.
        trigger: What started it.
        status: Where it is in its life.
        initiated_by: A caller's subject, or the schedule.
        create_time: When it was started.
        start_time: When the first attempt began.
        end_time: When it ended.
        before: Durable counts of the attempts that have ended.
        live: What the present attempt told last.
        durable: What the present attempt told together with positions.
        expected_records: What the source said it would give; 0 when it did not say.
        mapping_version: 0 until the first attempt begins, and for flows without a mapping.
        attempts: Attempts so far.
        failures: Attempts that count against the policy.
        idle_stops: Attempts in a row that were stopped and brought nothing forward.
        fencing_token: The present or last attempt's.
        host_id: Who has or had the lease.
        lease_expire_time: When the lease ends.
        next_attempt_time: When the next attempt may begin.
        stop: Why it is to stop.
        failure: Why the last attempt did not succeed.
        quarantine_ids: For a requeue: what to deliver; empty means all.
        leg: The leg at work or due.
        legs: The legs that are complete.
        epoch: The flow's when the execution started.
        destination_connector_id: Whose hosts read the destination, where it is read.
        asked: What is special about it.
        preview: What a dry run has found, as its host told it.
        reconcile: Set where both sides are compared instead of moving what is new.
        place: Its place in the run of a plan.
        priority: What it is worth among others.
        note: What a person should know besides the counts.
        waits_for: The instance that has no place for it; empty where there is room.
        revision: Grows with every change.
    """

    execution_id: str
    flow_id: str
    flow: FlowSpec
    connector_id: str
    lineage: str
    trigger: Trigger
    initiated_by: str
    create_time: datetime
    schedule_id: str = ""
    status: Status = Status.PENDING
    start_time: datetime | None = None
    end_time: datetime | None = None
    before: Counts = NOTHING
    live: Counts = NOTHING
    durable: Counts = NOTHING
    expected_records: int = 0
    mapping_version: int = 0
    attempts: int = 0
    failures: int = 0
    idle_stops: int = 0
    fencing_token: int = 0
    host_id: str = ""
    lease_expire_time: datetime | None = None
    next_attempt_time: datetime | None = None
    stop: Stop = Stop.NONE
    failure: Failure | None = None
    quarantine_ids: tuple[str, ...] = ()
    leg: Leg = Leg.WHOLE
    legs: tuple[LegDone, ...] = ()
    epoch: int = 1
    destination_connector_id: str = ""
    asked: Asked = NOTHING_ASKED
    preview: bytes = b""
    reconcile: Reconcile | None = None
    place: Place = NO_PLACE
    priority: int = 0
    note: str = ""
    waits_for: str = ""
    revision: int = 1

    @property
    def leg_counts(self) -> Counts:
        """What the present leg did: ended attempts as far as durable, and the present one."""
        return self.before + self.live

    @property
    def counts(self) -> Counts:
        """What happened so far, over all legs."""
        return sum((done.counts for done in self.legs), self.leg_counts)

    @property
    def moving(self) -> FlowSpec:
        """The present leg as a flow that goes one way."""
        if self.reconcile is not None:
            return reconciling_movement(self.execution_id, self.flow_id, self.flow, self.leg)
        return movement(self.flow_id, self.flow, self.leg)

    @property
    def following_leg(self) -> Leg | None:
        """The leg that comes after the present one; None at the end."""
        return self.reconcile.following(self.leg) if self.reconcile is not None else next_leg(self.leg)

    @property
    def is_held(self) -> bool:
        """Whether it waits to be resumed."""
        return self.status is Status.PENDING and self.stop is Stop.PAUSE

    @property
    def rank_time(self) -> datetime:
        """The earliest of those that wait for the same hosts goes first; priority counts as time waited."""
        return self.create_time - self.priority * PRIORITY_STEP

    @property
    def is_cancel_requested(self) -> bool:
        """Whether a person's stop is under way."""
        return self.status.is_live and self.stop is Stop.CANCEL


@dataclass(frozen=True, slots=True)
class Round:
    """How a two-way flow's round stands.

    Attributes:
        flow_id: Which flow.
        flow: In the form that counts.
        execution: The one at work; None between two rounds.
        taken: Up to where either side has taken what was written for it.
    """

    flow_id: str
    flow: FlowSpec
    execution: Execution | None
    taken: Mapping[Leg, Checkpoint]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one host at an execution."""

    attempt: int
    fencing_token: int
    host_id: str
    start_time: datetime
    end_time: datetime | None = None
    outcome: str = ""
    failure: Failure | None = None
    counts: Counts = NOTHING


@dataclass(frozen=True, slots=True)
class Ending:
    """What an attempt's end means.

    Attributes:
        status: The execution's next status; `PENDING` when another attempt follows.
        before: Durable counts from now on.
        failure: Why the attempt did not succeed; None when it did.
        next_attempt_time: When the next attempt may begin.
        is_counted: Whether the attempt counts against the policy.
        idle_stops: Stopped attempts in a row that brought nothing forward.
    """

    status: Status
    before: Counts
    failure: Failure | None = None
    next_attempt_time: datetime | None = None
    is_counted: bool = False
    idle_stops: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a host says when its attempt ends.

    Attributes:
        outcome: How it ended.
        counts: What the attempt did.
        covers_positions: Whether positions came along, so that the counts are durable with them.
        failure: Why it failed.
    """

    outcome: Outcome
    counts: Counts = NOTHING
    covers_positions: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How a failed attempt is followed by another."""

    backoff: Backoff = field(default_factory=Backoff)
    idle_stops: int = IDLE_STOPS


def end_attempt(execution: Execution, report: Report, now: datetime, rules: RetryRules) -> Ending:
    """Decide what follows the end of the present attempt."""
    durable = report.counts if report.covers_positions else execution.durable
    if report.outcome is Outcome.COMPLETED:
        return _completed(execution, execution.before + report.counts)
    before = execution.before + durable
    if execution.stop is Stop.QUARANTINE:
        return Ending(Status.FAILED, before, too_many_quarantined(execution.flow.failure_policy))
    if execution.stop is Stop.CANCEL:
        return Ending(Status.CANCELLED, before)
    if execution.stop is Stop.PAUSE and report.outcome is Outcome.CANCELLED:
        return Ending(Status.PENDING, before, Failure(FailureKind.STOPPED, "PAUSED", _PAUSED), now)
    failure = report.failure or stopped_unasked()
    if failure.kind is FailureKind.STOPPED:
        return _stopped(execution, before, failure, now, rules)
    return _failed(execution, before, failure, now, rules)


def _completed(execution: Execution, total: Counts) -> Ending:
    policy = execution.flow.failure_policy
    # A dry run cannot tell what a destination that nobody may ask would have done.
    if not total.reconcile and not execution.asked.dry_run:
        return Ending(Status.FAILED, total, unreconciled(total), is_counted=True)
    if exceeds(policy, total):
        return Ending(Status.FAILED, total, too_many_quarantined(policy), is_counted=True)
    return Ending(Status.COMPLETED, total)


def _stopped(
    execution: Execution, before: Counts, failure: Failure, now: datetime, rules: RetryRules
) -> Ending:
    idle = execution.idle_stops + 1 if before == execution.before else 0
    if idle < rules.idle_stops:
        return Ending(Status.PENDING, before, failure, now, idle_stops=idle)
    message = (
        f"{idle} hosts in a row stopped before anything became durable; "
        "look for the cause in the hosts' logs, then start the flow again."
    )
    return Ending(Status.FAILED, before, Failure(FailureKind.FATAL, "HOSTS_KEEP_STOPPING", message))


def _failed(
    execution: Execution, before: Counts, failure: Failure, now: datetime, rules: RetryRules
) -> Ending:
    if failure.reason in _WAITED_FOR:
        wait = timedelta(seconds=rules.backoff.wait(1, None))
        return Ending(Status.PENDING, before, failure, now + wait)
    asked = failure.retry_after.total_seconds() if failure.retry_after else None
    if failure.reason == _QUOTA:
        # The flow has done nothing wrong; and as a quota may be raised at any time, it is tried before the
        # time that was told, less and less often.
        wait = timedelta(seconds=min(rules.backoff.wait(max(1, execution.attempts)), asked or math.inf))
        return Ending(Status.PENDING, before, failure, now + wait)
    attempts = execution.failures + 1
    most = execution.flow.failure_policy.max_attempts or DEFAULT_ATTEMPTS
    if not failure.kind.passes or attempts >= most:
        return Ending(Status.FAILED, before, failure, is_counted=True)
    wait = min(timedelta(seconds=rules.backoff.wait(attempts, asked)), _LONGEST_WAIT)
    return Ending(Status.PENDING, before, failure, now + wait, is_counted=True)


__all__ = [
    "Attempt",
    "Ending",
    "Execution",
    "Outcome",
    "Report",
    "RetryRules",
    "Round",
    "Status",
    "Stop",
    "Trigger",
    "end_attempt",
]
