"""Backoff, breaker and bucket with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience import (
    Backoff,
    BreakerState,
    CircuitBreaker,
    RetryLater,
    TokenBucket,
    parse_rate,
)


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
    Five failures open it, sixty seconds later calls may try, three successes close it.
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


def test_breaker_lets_three_calls_try_at_a_time(clock):
    """
    A fourth caller waits while three try.
    """
    breaker = CircuitBreaker(failures=1, clock=clock)
    breaker.failed()
    clock.now += 60
    for _ in range(3):
        breaker.before()

    with pytest.raises(RetryLater, match="held back"):
        breaker.before()


def test_late_answers_do_not_move_an_open_breaker(clock):
    """
    Calls begun before the breaker opened neither close it nor keep it open for longer.
    """
    breaker = CircuitBreaker(failures=1, clock=clock)
    breaker.failed()
    clock.now += 30
    for _ in range(3):
        breaker.succeeded()
    breaker.failed()
    state = breaker.state
    clock.now += 30

    assert (state, breaker.state) == (BreakerState.OPEN, BreakerState.HALF_OPEN)


def test_failed_trial_opens_again(clock):
    """
    One failure while trying opens it for the whole time again.
    """
    breaker = CircuitBreaker(failures=1, clock=clock)
    breaker.failed()
    clock.now += 60
    breaker.before()
    breaker.failed()

    with pytest.raises(RetryLater) as refusal:
        breaker.before()

    assert refusal.value.retry_after == 60


OUTCOMES = st.lists(st.tuples(st.sampled_from(["ok", "bad", "lost"]), st.floats(0, 100)), max_size=60)


@given(outcomes=OUTCOMES)
def test_breaker_always_recovers(outcomes):
    """
    Whatever happened before, quiet time and three successes close it.
    """
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    for outcome, passed in outcomes:
        clock.now += passed
        try:
            breaker.before()
        except RetryLater:
            continue
        {"ok": breaker.succeeded, "bad": breaker.failed, "lost": breaker.forgotten}[outcome]()
    clock.now += 60.001  # sums of floats may lack the last digit
    for _ in range(3):
        breaker.before()
        breaker.succeeded()

    assert breaker.state is BreakerState.CLOSED


@given(rate=st.floats(0.1, 1000), turns=st.lists(st.floats(0, 5), min_size=1, max_size=50))
def test_bucket_never_exceeds_its_rate(rate, turns):
    """
    Over any stretch of time no more turns come than the burst and the rate allow.
    """
    clock = Clock()
    bucket = TokenBucket(rate, clock=clock)
    came = []
    for passed in turns:
        clock.now += passed
        came.append(clock.now + bucket.take())

    assert came == sorted(came)
    assert len(came) <= bucket.burst + rate * (came[-1] - 100.0) + 1e-6 + 1


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_bound(attempt, chance):
    """
    A wait is never negative and never above the longest, however many attempts there were.
    """
    wait = Backoff(chance=lambda: chance).wait(attempt)

    assert 0 <= wait <= 60


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", 10), ("100/min", 100 / 60), (" 6 / hour ", 1 / 600), ("0.5/s", 0.5)]
)
def test_rates_as_people_write_them(text, rate):
    """
    A rate is turns per unit of time.
    """
    assert parse_rate(text) == pytest.approx(rate)


@given(text=st.text(max_size=20))
def test_wrong_rates_are_refused(text):
    """
    A text is a rate greater than zero, or an error.
    """
    try:
        rate = parse_rate(text)
    except ValueError:
        return

    assert rate > 0


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


def test_bucket_goes_on_at_another_rate(clock):
    """
    What was saved up is cut to the new burst, and a debt is paid off at the new rate.
    """
    saved, owing = TokenBucket(10, 10, clock=clock), TokenBucket(10, 10, clock=clock)
    for _ in range(20):
        owing.take()

    saved.change(5, 5)
    owing.change(5, 5)

    assert [saved.take() for _ in range(6)] == pytest.approx([0, 0, 0, 0, 0, 0.2])
    assert owing.take() == pytest.approx(1.2)
