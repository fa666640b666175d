"""Calls to one system within the limits of an instance: paced, admitted, timed and tried again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from isthmus.resilience import Backoff, LimitReached, RetryLater
from isthmus.sdk.failures import ConfigurationFailure, Failure, RateLimited, TransientFailure
from isthmus.sdk.page import Batch

if TYPE_CHECKING:
    from isthmus.sdk.context import Context

T = TypeVar("T")
R = TypeVar("R")
Judge = Callable[[Any], "Verdict | None"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the outcome of one try says about the next.

    Attributes:
        repeat: Trying again may help.
        healthy: Whether the system is well; None where the outcome says nothing about that.
        asked: Seconds for which the system asked to be left alone.
    """

    repeat: bool = False
    healthy: bool | None = None
    asked: float | None = None


def verdict_of(outcome: Any) -> Verdict:
    """Judges by class: transient failures speak against the system, a result for it, the rest for neither."""
    if isinstance(outcome, TransientFailure):
        return Verdict(repeat=True, healthy=False, asked=outcome.retry_after)
    if isinstance(outcome, RateLimited):
        return Verdict(repeat=True, asked=outcome.retry_after)
    return Verdict(healthy=None if isinstance(outcome, Exception) else True)


class Guard:
    """Keeps calls to one system to the limits of the instance.

    Each try waits for its turn of the rate, then for a place among the calls under way, asks the
    breaker's leave and gets a time. A try that failed is repeated where its verdict allows, after
    a wait with full jitter. `Api` sends its requests through one; a connector that reaches its
    system by other means gets one from `Connector.guard`:

        rows = await self.database.run(self._fetch, what="Reading tickets")

    Calls are not to be nested: the outer one would hold the place that the inner one waits for.

    Args:
        context: The session's limits and counts, and what its instance shares.
        system: Which one, as people know it; guards of one name share their breaker.
        rate: What the connector asks for, else what it declares; an instance's own rate takes its place.
        told: Gives the typed failure for anything that a call raises; without it only failures are repeated.
        judge: What an outcome, or an exception as it was raised, says; None leaves it to `verdict_of`.
        counts: Whether each try counts as one call to the system.

    Raises:
        ConfigurationFailure: `RATE_INVALID`.
    """

    def __init__(
        self,
        context: "Context",
        system: str,
        *,
        rate: str = "",
        told: Callable[[Exception], Awaitable[Failure]] | None = None,
        judge: Judge | None = None,
        counts: bool = True,
    ) -> None:
        guards = context.guards
        try:
            self._bucket = guards.bucket(system, rate or context.rate)
        except ValueError as error:
            text = f"The rate is not one: {error}."
            raise ConfigurationFailure("RATE_INVALID", text, path="rate") from None
        self._context = context
        self._guards = guards
        self._breaker = guards.breaker(system)
        self._told = told
        self._judge = judge
        self._counts = counts
        retry = context.limits.retry
        self._policy = retry.policy()
        self._asked = Backoff(retry.first_wait, retry.longest_wait)

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        what: str,
        safe: bool = True,
        judge: Judge | None = None,
    ) -> T:
        """Returns what `work` returns, trying again where that is safe and helps.

        Args:
            work: Called once for each try; what a try spoiled, the next one has to make anew.
            what: Begins the message of a time-out, for example `Reading tickets`.
            safe: Whether the work may be done twice; otherwise it is tried once.
            judge: Takes the place of the guard's own.

        Raises:
            Failure: `SYSTEM_TIMEOUT`, `CIRCUIT_OPEN`, `BULKHEAD_FULL`, or what the last try failed with.
        """
        retry = self._context.limits.retry
        left, waited, attempt = retry.total, 0.0, 0
        while True:
            attempt += 1
            if self._guards.admitted is not None:
                await self._guards.admitted()
            # Waiting for a turn is the connection's own restraint, so it takes nothing from the time.
            if self._bucket is not None:
                await self._guards.sleep(self._bucket.take())
            started = self._guards.clock()
            outcome, verdict = await self._tried(work, what, left, judge or self._judge)
            left -= self._guards.clock() - started
            wait = self._wait(attempt, verdict.asked)
            spent = wait >= left or waited + wait > self._context.patience or attempt >= retry.attempts
            # What opened the breaker is told rather than that it is open now.
            held = wait > retry.longest_wait + 1 or self._breaker.held_for > wait
            if not (safe and verdict.repeat) or spent or held:
                break
            self._context.stats.retries += 1
            if verdict.asked and self._bucket is not None:
                self._bucket.pause(verdict.asked)
            await self._guards.sleep(wait)
            left -= wait
            waited += wait
        if isinstance(outcome, Failure):
            # What was raised first is not chained, because its text may quote records or secrets.
            raise outcome from None
        return outcome

    async def write(
        self, batch: Batch[R], apply: Callable[[Batch[R]], Awaitable[None]], *, what: str, safe: bool = True
    ) -> None:
        """Applies a batch; a try that failed half-way leaves nothing of its counts and rejects behind.

        Args:
            batch: Gets the outcome.
            apply: Writes the copy that it is given, and sets `repeated` for one that was applied before.
            what: As for `run`.
            safe: Whether `apply` recognises what comes twice, or does no harm by it.

        Raises:
            Failure: Nothing is acknowledged.
        """
        tries: list[Batch[R]] = []

        async def once() -> None:
            tries.append(batch.trial())
            await apply(tries[-1])

        await self.run(once, what=what, safe=safe)
        done, before = tries[-1], tries[:-1]
        if done.repeated and before:
            # An earlier try was applied and only its answer was lost. It is the one that came furthest.
            done = max(reversed(before), key=lambda trial: trial.told)
        batch.settle(done)

    def _wait(self, attempt: int, asked: float | None) -> float:
        return self._asked.wait(attempt, asked) if asked else self._policy.wait(attempt)

    async def _tried(
        self, work: Callable[[], Awaitable[T]], what: str, left: float, judge: Judge | None
    ) -> "tuple[T | Failure, Verdict]":
        """One try; failures come back as values, because they may be followed by another."""
        seconds = min(self._context.limits.total_seconds, left)
        async with self._admitted():
            # Stays as it is when the call is given up without an outcome.
            verdict = Verdict()
            try:
                if self._counts:
                    self._context.stats.api_calls += 1
                raised: Exception | None = None
                outcome: T | Failure
                try:
                    outcome = await _in_time(work, what, seconds)
                except Failure as failure:
                    raised = outcome = failure
                except Exception as error:
                    if self._told is None:
                        raise
                    raised, outcome = error, await self._told(error)
                said = None if judge is None else judge(outcome if raised is None else raised)
                verdict = said or verdict_of(outcome)
                return outcome, verdict
            finally:
                self._learn(verdict)

    def _learn(self, verdict: Verdict) -> None:
        if verdict.healthy is None:
            self._breaker.forgotten()
        elif verdict.healthy:
            self._breaker.succeeded()
        else:
            self._breaker.failed()

    @asynccontextmanager
    async def _admitted(self) -> AsyncGenerator[None, None]:
        """A place among the calls under way, and the breaker's leave; the outcome is told to it."""
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._guards.bulkhead)
                self._breaker.before()
            except (LimitReached, RetryLater) as refusal:
                text, after = refusal.message, refusal.retry_after
                raise TransientFailure(refusal.reason, text, retry_after=after) from None
            yield


async def _in_time(work: Callable[[], Awaitable[T]], what: str, seconds: float) -> T:
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            return await work()
    except TimeoutError:
        if not timer.expired():
            raise
        text = f"{what} took longer than {seconds:.3g} s; repeat later."
        raise TransientFailure("SYSTEM_TIMEOUT", text) from None


__all__ = ["Guard", "Verdict", "verdict_of"]
