"""Work without end: started again after a failure, with growing pauses, and watched."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.kit.metrics import counter
from isthmus.resilience.faults import RetryLater

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_HEALTHY_AFTER = 5.0
_BROKEN_AFTER = 3
_CANCEL_AGAIN = 2.0

_log = logger(__name__)
_failures = counter("isthmus.task.failures", "Failures of supervised tasks")


class Supervisor:
    """Runs tasks, restarts those that fail, and tells when one keeps failing.

    Args:
        on_change: Called with False when a task has failed several times in a row, and with True
            when none is in that state any more.
    """

    def __init__(self, on_change: Callable[[bool], Awaitable[None]]) -> None:
        self._on_change = on_change
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: set[str] = set()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns or the supervisor stops."""
        self._tasks.append(asyncio.create_task(self._keep_running(name, work), name=name))

    async def stop(self) -> None:
        """Cancel all tasks and wait until each has ended."""
        pending = set(self._tasks)
        while pending:
            # Once is not enough: `asyncio.wait_for` of Python 3.11 can swallow a cancellation.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN)
        self._tasks.clear()

    async def _keep_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            recovery = asyncio.create_task(self._recovered_later(name))
            started = asyncio.get_running_loop().time()
            try:
                await work()
                break
            except Exception as error:
                lasted = asyncio.get_running_loop().time() - started
                failures = 1 if lasted > _HEALTHY_AFTER else failures + 1
                self._report(name, error, failures)
            finally:
                recovery.cancel()
            if failures >= _BROKEN_AFTER:
                await self._note(name, broken=True)
            await asyncio.sleep(_pause(failures))
        await self._note(name, broken=False)

    async def _recovered_later(self, name: str) -> None:
        await asyncio.sleep(_HEALTHY_AFTER)
        await self._note(name, broken=False)

    async def _note(self, name: str, *, broken: bool) -> None:
        was_healthy = not self._broken
        (self._broken.add if broken else self._broken.discard)(name)
        if was_healthy != (not self._broken):
            with suppress(RuntimeError):
                await self._on_change(not self._broken)

    def _report(self, name: str, error: Exception, failures: int) -> None:
        _failures.add(1, task=name)
        fault = fault_of(error)
        if fault is None:
            _log.error("task failed", error, task=name, failures=failures)
        else:
            _log.warning("task failed", task=name, failures=failures, reason=fault.reason, why=fault.message)


async def when_reachable(work: Callable[[], Awaitable[None]], *, limit: float = 60.0) -> None:
    """Do something that needs another system, again and again while that system cannot be reached.

    Args:
        work: What to do; safe to repeat.
        limit: Seconds after which the last failure is raised.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    for attempt in itertools.count(1):
        try:
            return await work()
        except Exception as error:
            fault = fault_of(error)
            if not isinstance(fault, RetryLater) or loop.time() > until:
                raise
            _log.warning("waiting", reason=fault.reason, why=fault.message)
        await asyncio.sleep(min(1.0, _pause(attempt)))


def _pause(failures: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads restarts, guards nothing


__all__ = ["Supervisor", "when_reachable"]
