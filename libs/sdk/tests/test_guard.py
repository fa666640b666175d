"""What keeps a connector without HTTP to the limits of its instance."""

import asyncio

import pytest
from isthmus.sdk import (
    Batch,
    Connector,
    DataFailure,
    Guarantee,
    RateLimited,
    Stream,
    TransientFailure,
    Verdict,
    WriteMode,
)
from isthmus.sdk.runtime import Guards, Limits, Session, StepResult
from isthmus.testing.clock import StandingClock
from pydantic import BaseModel

FIXED = {"strategy": "fixed", "first_wait_seconds": 4}


class Settings(BaseModel):
    """Nothing to set."""


class Tape(Connector[Settings]):
    """A system that is reached by other means than HTTP."""

    def open(self):
        """Makes the guard."""
        self.drive = self.guard("the drive")
        self.outcomes = []

    async def check(self):
        """Turns the tape."""
        await self.run()

    async def streams(self):
        """The one tape."""
        return [
            Stream(
                "tape", write_modes=(WriteMode.UPSERT,), guarantee=Guarantee.TRANSACTIONAL, writer=self.write
            )
        ]

    async def run(self, **more):
        """Does what the next outcome says."""
        return await self.drive.run(self.turn, what="Turning the tape", **more)

    async def turn(self):
        """One try."""
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome() if callable(outcome) else outcome

    async def write(self, batch: Batch):
        """Rejects the first record, and does what the next outcome says."""

        async def apply(trial):
            trial.reject_at(0, "no room")
            if self.outcomes[0] == "twice":
                trial.rejected.clear()
                trial.repeated = True
            trial.created = 0 if trial.repeated else len(trial) - 1
            await self.turn()

        await self.drive.write(batch, apply, what="Writing the tape")


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
async def tape(clock):
    opened = []

    async def open_(document=None, outcomes=()):
        guards = Guards(Limits.of(document or {}), clock=clock, sleep=clock.sleep)
        opened.append(await Session(Tape, {}, guards=guards).__aenter__())
        connector = opened[-1].connector
        connector.outcomes = list(outcomes)
        connector.session = opened[-1]
        return connector

    yield open_
    for session in opened:
        await session.close()


async def test_transient_failures_are_tried_again(tape, clock):
    """
    Anything the connector takes for transient; the waits are the instance's.
    """
    drive = await tape({"retry": FIXED}, [OSError(), TransientFailure("BUSY", "busy"), 7])

    assert await drive.run() == 7
    assert clock.waits == [4, 4]
    assert (drive.context.stats.api_calls, drive.context.stats.retries) == (3, 2)


async def test_the_first_wait_may_take_all_of_its_second(tape, clock):
    """
    By default waits lie anywhere between nothing and one second, the first one included.
    """
    drive = await tape(outcomes=[OSError(), 7] * 100)

    assert [await drive.run() for _ in range(100)] == [7] * 100
    assert len(clock.waits) == 100
    assert 0.5 < max(clock.waits) <= 1


async def test_what_cannot_pass_is_not_tried_again(tape, clock):
    """
    A bad value stays bad; it comes out as the failure that the connector makes of it.
    """
    drive = await tape({"retry": FIXED}, [ValueError("secret")])

    with pytest.raises(DataFailure):
        await drive.run()

    assert clock.waits == []


async def test_what_must_not_happen_twice_is_tried_once(tape, clock):
    """
    Only the connector knows what is safe.
    """
    drive = await tape({"retry": FIXED}, [TransientFailure("BUSY", "busy"), 7])

    with pytest.raises(TransientFailure):
        await drive.run(safe=False)

    assert drive.outcomes == [7]


@pytest.mark.parametrize(("asked", "tries"), [(9.0, 2), (100.0, 1)])
async def test_the_system_s_own_wait_is_kept(tape, clock, asked, tries):
    """
    Never shorter than it asked; one that is longer than allowed is left to the host.
    """
    limits = {"retry": {"first_wait_seconds": 0, "attempts": 2}}
    limited = RateLimited("SLOW", "slow down", retry_after=asked)
    drive = await tape(limits, [limited, limited])

    with pytest.raises(RateLimited):
        await drive.run()

    assert clock.waits == [asked] * (tries - 1)


async def test_the_time_for_all_tries_ends_them(tape, clock):
    """
    Work and waits use it up together.
    """

    def slow():
        clock.now += 3
        raise TransientFailure("BUSY", "busy")

    drive = await tape({"retry": {**FIXED, "attempts": 20, "total_seconds": 15}}, [slow] * 20)

    with pytest.raises(TransientFailure):
        await drive.run()

    assert clock.waits == [4, 4]


async def test_a_try_that_hangs_is_given_up(tape):
    """
    The message says what took too long, and how long was allowed.
    """
    drive = await tape({"retry": {"attempts": 1}, "timeouts": {"total_seconds": 0.1}})

    with pytest.raises(TransientFailure) as raised:
        await drive.drive.run(asyncio.Event().wait, what="Turning the tape")

    assert raised.value.reason == "SYSTEM_TIMEOUT"
    assert raised.value.message.startswith("Turning the tape took longer than 0.1 s")


async def test_breaker_opens_fails_fast_and_closes_again(tape, clock):
    """
    What opens it is told as it is; then calls fail without being made until it tries again.
    """
    busy = TransientFailure("BUSY", "busy")
    limits = {"retry": {"attempts": 5, "first_wait_seconds": 0}, "breaker": {"failures": 2, "successes": 1}}
    drive = await tape(limits, [busy, busy, 7, 8])

    for reason in ("BUSY", "CIRCUIT_OPEN"):
        with pytest.raises(TransientFailure) as raised:
            await drive.run()
        assert raised.value.reason == reason
    clock.now += 60

    assert "the drive" in raised.value.message
    assert [await drive.run(), await drive.run()] == [7, 8]


async def test_judge_tells_collisions_from_illness(tape):
    """
    A try may be worth repeating though nothing is wrong with the system.
    """
    limits = {"retry": {"attempts": 3, "first_wait_seconds": 0}, "breaker": {"failures": 1}}
    drive = await tape(limits, [KeyError("locked"), KeyError("locked"), 7])

    def judge(outcome):
        return Verdict(repeat=True) if isinstance(outcome, KeyError) else None

    assert await drive.run(judge=judge) == 7


async def test_calls_take_turns_and_places(tape, clock):
    """
    The rate makes them wait, and of two places none is taken twice.
    """
    drive = await tape({"rate": "2/s", "concurrent": 2})
    under_way, most = 0, 0

    async def work():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await asyncio.gather(*(drive.drive.run(work, what="Working") for _ in range(6)))

    assert most == 2
    assert sorted(clock.waits)[:3] == [0, 0, 0.5]


async def test_a_batch_has_the_outcome_of_the_try_that_held(tape):
    """
    Rejects of failed tries do not add up; a lost answer does not lose the rejects behind it.
    """
    lost = TransientFailure("LOST", "lost")
    drive = await tape({"retry": {"first_wait_seconds": 0}}, [lost, lost, "twice"])

    result = await drive.session.write("tape", [{"id": 1}, {"id": 2}])

    assert (result.created, result.repeated, result.retries) == (1, False, 2)
    assert [reject.message for reject in result.rejected] == ["no room"]


async def test_a_check_does_not_let_a_person_wait(tape, clock):
    """
    A system that stays away is told after a few seconds, however patient flows are.
    """
    drive = await tape({"retry": {**FIXED, "first_wait_seconds": 1}}, [OSError()] * 5)

    steps = {step.step: step.result async for step in drive.session.check()}

    assert steps["reach"] is StepResult.FAILED
    assert clock.waits == [1, 1, 1]
    assert drive.context.patience > 300
