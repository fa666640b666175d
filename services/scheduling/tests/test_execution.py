"""What follows the end of an attempt, and how counts add up over attempts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.resilience import Backoff
from isthmus.services.scheduling.domain import (
    NOTHING,
    Checkpoint,
    Counts,
    Endpoint,
    Execution,
    Failure,
    FailureKind,
    FailurePolicy,
    FlowSpec,
    Outcome,
    ReadMode,
    Report,
    RetryRules,
    Status,
    Stop,
    Trigger,
    end_attempt,
    resume_points,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RULES = RetryRules(Backoff(chance=lambda: 1.0), idle_stops=3)


def running(**more):
    policy = more.pop("policy", FailurePolicy())
    spec = FlowSpec("f", Endpoint("a", "x"), Endpoint("b", "y"), failure_policy=policy)
    defaults = {"status": Status.RUNNING, "attempts": 1, "fencing_token": 1}
    return Execution("exe_x", "flw_x", spec, "c", "e1", Trigger.MANUAL, "me", NOW, **{**defaults, **more})


def failed(kind, retry_after=None):
    return Report(Outcome.FAILED, failure=Failure(kind, "WHY", "It broke.", retry_after))


def test_counts_that_add_up_complete_an_execution():
    """
    Every record read has arrived, was left out on purpose, or waits in quarantine.
    """
    counts = Counts(read=10, created=4, updated=1, unchanged=1, deleted=1, filtered=1, quarantined=2)

    assert end_attempt(running(), Report(Outcome.COMPLETED, counts), NOW, RULES).status is Status.COMPLETED


def test_counts_that_do_not_add_up_fail_an_execution():
    """
    A record that nobody can account for is worse than a failure.
    """
    ending = end_attempt(running(), Report(Outcome.COMPLETED, Counts(read=10, created=9)), NOW, RULES)

    assert (ending.status, ending.failure.reason) == (Status.FAILED, "COUNTS_DO_NOT_RECONCILE")


def test_earlier_attempts_take_part_in_the_sum():
    """
    Two halves make a whole.
    """
    execution = running(before=Counts(read=600, created=600))
    ending = end_attempt(execution, Report(Outcome.COMPLETED, Counts(read=400, created=400)), NOW, RULES)

    assert (ending.status, ending.before) == (Status.COMPLETED, Counts(read=1000, created=1000))


def test_what_is_behind_no_position_is_not_counted():
    """
    Records after the last stored position are read again, and counted then.
    """
    execution = running(durable=Counts(read=500, created=500), live=Counts(read=740, created=700))
    ending = end_attempt(execution, failed(FailureKind.TRANSIENT), NOW, RULES)

    assert ending.before == Counts(read=500, created=500)


def test_counts_that_come_with_positions_are_durable():
    """
    A host that is told to stop hands its last positions over together with its counts.
    """
    report = Report(
        Outcome.FAILED,
        Counts(read=740, created=740),
        covers_positions=True,
        failure=Failure(FailureKind.STOPPED, "DRAINING", "The host stops."),
    )

    assert end_attempt(running(), report, NOW, RULES).before == Counts(read=740, created=740)


@pytest.mark.parametrize(("failures", "wait"), [(0, 1), (1, 2), (2, 4), (3, 8)])
def test_passing_failures_are_followed_by_longer_and_longer_waits(failures, wait):
    """
    The wait doubles with every failure.
    """
    ending = end_attempt(running(failures=failures), failed(FailureKind.TRANSIENT), NOW, RULES)

    assert (ending.status, ending.next_attempt_time) == (Status.PENDING, NOW + timedelta(seconds=wait))


def test_no_wait_is_longer_than_a_minute():
    """
    The growth of waits has an end.
    """
    execution = running(failures=50, policy=FailurePolicy(max_attempts=100))
    ending = end_attempt(execution, failed(FailureKind.TRANSIENT), NOW, RULES)

    assert ending.next_attempt_time == NOW + timedelta(seconds=60)


def test_the_last_allowed_attempt_is_the_last():
    """
    Five failures end an execution unless its flow says otherwise.
    """
    ending = end_attempt(running(failures=4), failed(FailureKind.TRANSIENT), NOW, RULES)

    assert (ending.status, ending.failure.reason) == (Status.FAILED, "WHY")


def test_a_system_that_asks_to_wait_is_given_its_time():
    """
    The wait a system asks for is never cut short.
    """
    report = failed(FailureKind.RATE_LIMITED, timedelta(seconds=90))

    assert end_attempt(running(), report, NOW, RULES).next_attempt_time >= NOW + timedelta(seconds=90)


@pytest.mark.parametrize(
    "kind", [kind for kind in FailureKind if not kind.passes and kind.value != "stopped"]
)
def test_failures_that_do_not_pass_end_an_execution_at_once(kind):
    """
    What a person has to mend is not tried again.
    """
    assert end_attempt(running(), failed(kind), NOW, RULES).status is Status.FAILED


@pytest.mark.parametrize("reason", ["VAULT_SEALED", "VAULT_UNREACHABLE"])
def test_a_vault_that_is_away_is_waited_for_and_does_not_count(reason):
    """
    However often: it is nothing that the flow could do better the next time.
    """
    told = failed(FailureKind.TRANSIENT)
    report = replace(told, failure=replace(told.failure, reason=reason))

    ending = end_attempt(running(failures=100), report, NOW, RULES)

    assert (ending.status, ending.is_counted) == (Status.PENDING, False)
    assert ending.next_attempt_time > NOW
    assert ending.failure.reason == reason


def test_a_stopped_attempt_is_followed_at_once_and_does_not_count():
    """
    Stopping a process is nobody's failure.
    """
    ending = end_attempt(running(failures=4), failed(FailureKind.STOPPED), NOW, RULES)

    assert (ending.status, ending.next_attempt_time, ending.is_counted) == (Status.PENDING, NOW, False)


def test_hosts_that_die_again_and_again_without_progress_end_an_execution():
    """
    A record that kills every host does not kill hosts for ever.
    """
    ending = end_attempt(running(idle_stops=2), failed(FailureKind.STOPPED), NOW, RULES)

    assert (ending.status, ending.failure.reason) == (Status.FAILED, "HOSTS_KEEP_STOPPING")


def test_progress_forgives_earlier_deaths():
    """
    Hosts that bring an execution forward may die as often as they like.
    """
    execution = running(idle_stops=2, durable=Counts(read=1, created=1))

    assert end_attempt(execution, failed(FailureKind.STOPPED), NOW, RULES).idle_stops == 0


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.FAILED])
def test_a_cancelled_execution_ends_cancelled_however_its_host_ends(outcome):
    """
    A host that fails while it stops was stopping.
    """
    report = Report(outcome, failure=Failure(FailureKind.TRANSIENT, "WHY", "It broke."))

    assert end_attempt(running(stop=Stop.CANCEL), report, NOW, RULES).status is Status.CANCELLED


def test_a_stop_nobody_asked_for_hands_the_execution_on():
    """
    Only a request cancels an execution.
    """
    assert end_attempt(running(), Report(Outcome.CANCELLED), NOW, RULES).status is Status.PENDING


def test_more_quarantined_records_than_allowed_fail_an_execution():
    """
    The limit counts the records of all attempts.
    """
    execution = running(before=Counts(read=2, quarantined=2), policy=FailurePolicy(max_quarantined=3))
    report = Report(Outcome.COMPLETED, Counts(read=2, quarantined=2))

    assert end_attempt(execution, report, NOW, RULES).failure.reason == "TOO_MANY_QUARANTINED"


HERE = Checkpoint("", b"here")
DONE = Checkpoint("", b"end", is_complete=True)


@pytest.mark.parametrize(
    ("stored", "by", "mode", "expected"),
    [
        (HERE, "exe_x", ReadMode.FULL, [HERE]),
        (HERE, "exe_before", ReadMode.FULL, [HERE]),
        (DONE, "exe_x", ReadMode.FULL, [DONE]),
        (DONE, "exe_before", ReadMode.FULL, []),
        (DONE, "exe_before", ReadMode.INCREMENTAL, [Checkpoint("", b"end")]),
        (Checkpoint("", is_complete=True), "exe_before", ReadMode.UNSPECIFIED, []),
        (Checkpoint("", is_complete=True), "exe_x", ReadMode.UNSPECIFIED, [Checkpoint("", is_complete=True)]),
    ],
)
def test_where_an_attempt_goes_on(stored, by, mode, expected):
    """
    An interrupted partition goes on; a completed one is left out, or begins anew in another execution.
    """
    assert resume_points([(stored, by)], "exe_x", mode) == expected


@pytest.mark.parametrize(("by", "expected"), [("exe_x", [HERE]), ("exe_before", [])])
def test_an_execution_that_has_to_show_everything_goes_on_in_itself_only(by, expected):
    """
    What it does not show counts as deleted, so another one's half of the way is worth nothing.
    """
    assert resume_points([(HERE, by)], "exe_x", ReadMode.FULL, whole=True) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12),
    st.integers(0, 300),
    st.randoms(use_true_random=False),
)
def test_a_sync_that_is_killed_anywhere_counts_every_record_once(deaths, total, chance):
    """
    However often hosts die between reading and storing positions, the counts of the completed
    execution are those of a run that nobody disturbed.
    """
    outcomes = [
        chance.choice(["created", "updated", "unchanged", "filtered", "quarantined"]) for _ in range(total)
    ]

    def counted(start, end):
        names = set(outcomes[start:end])
        return Counts(read=end - start, **{name: outcomes[start:end].count(name) for name in names})

    execution, position = running(), 0
    for stored, behind in deaths:
        reached = min(position + stored, total)
        durable, live = counted(position, reached), counted(position, min(reached + behind, total))
        dying = running(before=execution.before, durable=durable, live=live)
        ending = end_attempt(dying, failed(FailureKind.STOPPED), NOW, RetryRules(idle_stops=99))
        execution, position = running(before=ending.before), reached
    ending = end_attempt(execution, Report(Outcome.COMPLETED, counted(position, total)), NOW, RULES)

    assert (ending.status, ending.before) == (Status.COMPLETED, counted(0, total))
    assert running(before=ending.before, live=NOTHING).counts.reconcile
