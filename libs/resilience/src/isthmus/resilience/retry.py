"""Repeats what may succeed the next time.

retry = Retry(RetryPolicy.exponential(attempts=5))
answer = await retry(lambda: client.get(url))
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from isthmus.resilience.backoff import Backoff
from isthmus.resilience.deadline import Deadline
from isthmus.resilience.faults import LimitReached, RetryLater

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
_off: ContextVar[bool] = ContextVar("isthmus_retries_off", default=False)


def passes_by_itself(error: BaseException) -> bool:
    """Tell whether waiting helps: the fault says so by its class."""
    return isinstance(error, RetryLater | LimitReached)


@contextmanager
def retries_off() -> Iterator[None]:
    """Let everything inside the block fail at the first failure, for tests."""
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait in between.

    Attributes:
        attempts: Tries in all, the first included.
        wait: Seconds to wait after the failed attempt of that number, counted from 1.
        longest_asked: A wait that the other side asks for is kept up to this; a longer one ends the tries.
    """

    attempts: int
    wait: Callable[[int], float]
    longest_asked: float = 300.0

    @classmethod
    def exponential(
        cls,
        attempts: int = 5,
        *,
        first: float = 1.0,
        longest: float = 60.0,
        factor: float = 2.0,
        chance: Callable[[], float] = random.random,
    ) -> Self:
        """Wait up to 1, 2, 4 … 60 seconds, with full jitter."""
        return cls(attempts, Backoff(first, longest, factor, chance).wait)

    @classmethod
    def fixed(cls, attempts: int = 3, *, seconds: float = 5.0) -> Self:
        """Wait the same time after each attempt."""
        return cls(attempts, lambda _: seconds)

    @classmethod
    def linear(cls, attempts: int = 5, *, first: float = 1.0, step: float = 2.0) -> Self:
        """Wait 1, 3, 5 … seconds."""
        return cls(attempts, lambda attempt: first + step * (attempt - 1))

    @classmethod
    def never(cls) -> Self:
        """Try once."""
        return cls(1, lambda _: 0.0)


class Retry:
    """Repeats work by a policy and counts how often it had to.

    Only work that is safe to repeat belongs here; which failures are worth it is decided by `when`.

    Args:
        policy: How often and how long.
        when: Which failures are repeated; by default those whose class says that waiting helps.
        on_retry: Told the attempt, the failure and the wait before each repetition.
        sleep: Waits; tests put their own in.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        when: Callable[[BaseException], bool] = passes_by_itself,
        on_retry: Callable[[int, BaseException, float], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = policy
        self._when = when
        self._on_retry = on_retry
        self._sleep = sleep
        self.retries = 0

    async def __call__(self, work: Callable[[], Awaitable[T]], *, deadline: Deadline | None = None) -> T:
        """Return what `work` returns, or raise its last failure.

        Args:
            work: What to do; called once per attempt.
            deadline: No attempt begins after it, and no wait goes beyond it.
        """
        try:
            return await work()
        except Exception as error:
            return await self._repeated(work, error, deadline)

    async def _repeated(
        self, work: Callable[[], Awaitable[T]], failed: Exception, deadline: Deadline | None
    ) -> T:
        """Go on where the first attempt has failed; most work never comes here."""
        from tenacity import AsyncRetrying

        before: list[Exception] = [failed]

        def finished(state: "RetryCallState") -> bool:
            return self._finished(state, deadline)

        async def once() -> T:  # tenacity awaits coroutine functions only, and `work` may be a lambda
            if before:
                raise before.pop()
            return await work()

        trying = AsyncRetrying(
            stop=finished,
            wait=self._wait,
            retry=self._worth_it,
            before_sleep=self._count,
            sleep=self._sleep,
            reraise=True,
        )
        return await trying(once)

    def _worth_it(self, state: "RetryCallState") -> bool:
        error = state.outcome.exception() if state.outcome else None
        return error is not None and not _off.get() and self._when(error)

    def _finished(self, state: "RetryCallState", deadline: Deadline | None) -> bool:
        if state.attempt_number >= self._policy.attempts:
            return True
        wait = state.upcoming_sleep
        asked = _asked(state)
        if asked is not None and asked > self._policy.longest_asked:
            return True
        return deadline is not None and wait >= deadline.remaining()

    def _wait(self, state: "RetryCallState") -> float:
        """Wait by the policy, and never less than the other side asked for."""
        return max(self._policy.wait(state.attempt_number), _asked(state) or 0.0)

    def _count(self, state: "RetryCallState") -> None:
        self.retries += 1
        error = state.outcome.exception() if state.outcome else None
        if self._on_retry is not None and error is not None:
            self._on_retry(state.attempt_number, error, state.upcoming_sleep)


def _asked(state: "RetryCallState") -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return getattr(error, "retry_after", None)
