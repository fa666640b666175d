"""Retry, deadline and bulkhead with a clock of our own."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience import (
    Bulkhead,
    Deadline,
    FixRequest,
    LimitReached,
    OutOfTime,
    Retry,
    RetryLater,
    RetryPolicy,
    retries_off,
)

DOWN = RetryLater("DOWN", "down")


class Time:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Work:
    """Fails as often as it was told, then answers."""

    def __init__(self, failures, error=DOWN):
        self.left = failures
        self.error = error
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.fixture
def time():
    return Time()


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (RetryPolicy.exponential(8, chance=lambda: 1.0), [1, 2, 4, 8, 16, 32, 60]),
        (RetryPolicy.fixed(), [5, 5]),
        (RetryPolicy.linear(), [1, 3, 5, 7]),
        (RetryPolicy.never(), []),
    ],
    ids=["exponential", "fixed", "linear", "never"],
)
async def test_policies_wait_as_they_say(policy, waits, time):
    """
    Each policy has its attempts and its waits, and the last failure is raised.
    """
    retry = Retry(policy, sleep=time.sleep)
    work = Work(failures=99)
    with pytest.raises(RetryLater):
        await retry(work)

    assert time.slept == waits
    assert (work.calls, retry.retries) == (policy.attempts, policy.attempts - 1)


async def test_answer_after_failures(time):
    """
    The first answer ends the tries, and each repetition was told.
    """
    told = []
    retry = Retry(RetryPolicy.fixed(), sleep=time.sleep, on_retry=lambda *what: told.append(what))

    assert await retry(Work(failures=2)) == "done"
    assert told == [(1, DOWN, 5.0), (2, DOWN, 5.0)]


async def test_work_may_be_any_callable_that_gives_something_to_await(time):
    """
    A plain function around a coroutine is repeated like a coroutine function.
    """
    work = Work(failures=2)

    def ask():
        return work()

    assert await Retry(RetryPolicy.exponential(), sleep=time.sleep)(ask) == "done"
    assert work.calls == 3


async def test_waits_at_least_what_the_other_side_asks(time):
    """
    A longer Retry-After wins over the policy.
    """
    retry = Retry(RetryPolicy.fixed(seconds=1), sleep=time.sleep)
    await retry(Work(1, LimitReached("BUSY", "busy", retry_after=42)))

    assert time.slept == [42]


async def test_absurd_wait_ends_the_tries(time):
    """
    Somebody who asks for a day is not waited for.
    """
    retry = Retry(RetryPolicy.fixed(), sleep=time.sleep)
    with pytest.raises(LimitReached):
        await retry(Work(1, LimitReached("BUSY", "busy", retry_after=86_400)))

    assert time.slept == []


@pytest.mark.parametrize(
    "error", [FixRequest("WRONG", "wrong"), ValueError("defect"), asyncio.CancelledError()]
)
async def test_hopeless_failures_are_not_repeated(error, time):
    """
    What waiting does not mend is raised at once.
    """
    work = Work(1, error)
    with pytest.raises(type(error)):
        await Retry(RetryPolicy.fixed(), sleep=time.sleep)(work)

    assert work.calls == 1


async def test_no_wait_goes_beyond_the_deadline(time):
    """
    The budget bounds all attempts together.
    """
    retry = Retry(RetryPolicy.fixed(100), sleep=time.sleep)
    with pytest.raises(RetryLater):
        await retry(Work(99), deadline=Deadline.after(12, clock=time))

    assert time.now == 10


async def test_retries_can_be_switched_off(time):
    """
    Tests see the first failure.
    """
    work = Work(1)
    with retries_off(), pytest.raises(RetryLater):
        await Retry(RetryPolicy.fixed(), sleep=time.sleep)(work)

    assert work.calls == 1


@given(budget=st.floats(0, 100), parts=st.lists(st.tuples(st.floats(-1, 100), st.floats(0, 20)), max_size=20))
def test_a_share_is_never_more_than_the_whole(budget, parts):
    """
    However a deadline is shrunk, nobody gets more than there was.
    """
    time = Time()
    deadline = Deadline.after(budget, clock=time)
    for seconds, passed in parts:
        smaller = deadline.shrink(seconds)
        assert smaller.at <= deadline.at
        deadline = smaller
        time.now += passed

    assert 0 <= deadline.remaining() <= budget


def test_passed_deadline_says_so(time):
    """
    After its moment a deadline raises.
    """
    deadline = Deadline.after(1, clock=time)
    deadline.check()
    time.now = 1

    with pytest.raises(OutOfTime):
        deadline.check()


async def test_bulkhead_refuses_whom_it_cannot_hold():
    """
    Two inside, one waiting, the fourth is refused, and everybody leaves in the end.
    """
    bulkhead, leave, inside = Bulkhead(2, queue=1), asyncio.Event(), []

    async def visit():
        async with bulkhead:
            inside.append(1)
            await leave.wait()

    tasks = [asyncio.create_task(visit()) for _ in range(4)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    refused = [task.exception() for task in done]
    entered = len(inside)
    leave.set()
    await asyncio.wait(tasks)

    assert [type(error) for error in refused] == [LimitReached]
    assert (entered, len(inside), bulkhead.waiting) == (2, 3, 0)


async def test_bulkhead_forgets_who_stopped_waiting():
    """
    A cancelled waiter leaves the queue.
    """
    bulkhead = Bulkhead(1, queue=1)
    async with bulkhead:
        task = asyncio.create_task(bulkhead.__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        waiting = bulkhead.waiting

    assert waiting == 0
    async with bulkhead:
        pass


async def test_bulkhead_with_fewer_places_waits_until_they_are_free():
    """
    Who is inside stays, nobody is let in while there are too many, and more places let more in.
    """
    bulkhead, leave = Bulkhead(3, queue=10), [asyncio.Event() for _ in range(6)]

    async def visit(number):
        async with bulkhead:
            await leave[number].wait()

    tasks = [asyncio.create_task(visit(number)) for number in range(6)]
    await asyncio.sleep(0)
    bulkhead.resize(1)
    leave[0].set()
    leave[1].set()
    await asyncio.wait(tasks[:2])
    shrunk = (bulkhead.inside, bulkhead.waiting)
    bulkhead.resize(2)
    grown = (bulkhead.inside, bulkhead.waiting)
    for event in leave:
        event.set()
    await asyncio.wait(tasks)

    assert (shrunk, grown) == ((1, 3), (2, 2))
    assert (bulkhead.inside, bulkhead.waiting) == (0, 0)


async def test_place_given_to_somebody_who_is_cancelled_goes_to_the_next():
    """
    A waiter that is let in and cancelled in the same moment takes no place along.
    """
    bulkhead = Bulkhead(1, queue=2)
    await bulkhead.__aenter__()
    first, second = (asyncio.create_task(bulkhead.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)

    await bulkhead.__aexit__(None, None, None)
    first.cancel()
    await asyncio.wait({first, second})

    assert (first.cancelled(), second.done(), bulkhead.inside) == (True, True, 1)
