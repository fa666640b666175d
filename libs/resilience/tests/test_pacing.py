"""Backoff, breaker and bucket with a clock of our own."""

import pytest
from isthmus.resilience import Backoff, BreakerState, CircuitBreaker, RetryLater, TokenBucket


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_waits_double_up_to_the_longest():
    """
    The bound doubles with every attempt and stays at the longest.
    """
    backoff = Backoff(first=1, longest=60, chance=lambda: 1.0)

    assert [backoff.wait(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_never_waits_less_than_asked():
    """
    What the other side asks for is the least, even beyond the longest.
    """
    backoff = Backoff(longest=60, chance=lambda: 0.0)

    assert backoff.wait(1, asked=120) == 120


def test_breaker_opens_tries_and_closes(clock):
    """
    Five failures open it, sixty seconds later one call may try, three successes close it.
    """
    breaker = CircuitBreaker(clock=clock)
    for _ in range(5):
        breaker.before()
        breaker.failed()
    with pytest.raises(RetryLater) as refusal:
        breaker.before()
    clock.now += 60
    for _ in range(3):
        breaker.before()
        breaker.succeeded()

    assert refusal.value.retry_after == 60
    assert breaker.state is BreakerState.CLOSED


def test_breaker_lets_one_call_try_at_a_time(clock):
    """
    A second caller waits while the first one tries.
    """
    breaker = CircuitBreaker(failures=1, clock=clock)
    breaker.failed()
    clock.now += 60
    breaker.before()

    with pytest.raises(RetryLater, match="held back"):
        breaker.before()


def test_bucket_keeps_the_rate_after_the_burst(clock):
    """
    Ten at once, then one every tenth of a second.
    """
    bucket = TokenBucket(10, clock=clock)

    waits = [bucket.take() for _ in range(12)]

    assert waits[:10] == [0.0] * 10
    assert waits[10:] == pytest.approx([0.1, 0.2])


def test_bucket_pauses_when_asked(clock):
    """
    After a pause nobody has a turn before its end.
    """
    bucket = TokenBucket(10, clock=clock)
    bucket.pause(5)

    assert bucket.take() >= 5
