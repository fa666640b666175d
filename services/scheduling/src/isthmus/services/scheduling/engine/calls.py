"""Calls of actions: made beside everything else, kept by a lease, and never twice where that would harm."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from isthmus.kit import Clock, Database, acting_for
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.kit.principal import correlated
from isthmus.resilience import Backoff
from isthmus.resilience.faults import Broken, Fault, OutOfTime, RetryLater
from isthmus.services.scheduling.domain import ActionCall, CallEnd, call_failed, outcome_unknown
from isthmus.services.scheduling.engine.ports import Actions, HostAway
from isthmus.services.scheduling.store import calls
from sqlalchemy.ext.asyncio import AsyncConnection

_log = logger(__name__)
_AT_ONCE = 16
_LEASE = timedelta(seconds=15)
_LARGEST_OUTPUT = 65_536
_PAUSE_AFTER_OUTAGE = 1.0
_STOP_SECONDS = 5.0


class Calls:
    """Makes the calls that steps of plans ask for; any number of replicas may do so.

    A call is a row before it is made. Who makes it holds it with a lease; when that ends without an answer,
    the next one repeats the call under the same id where the action allows it, and leaves it to a person
    where it does not.

    Args:
        db: For the transactions.
        actions: Calls connectors.
        clock: The time.
        retry: Waits between tries.
        wake: Called once a call has ended.
    """

    def __init__(
        self, db: Database, actions: Actions, clock: Clock, retry: Backoff, wake: Callable[[], None]
    ) -> None:
        self._db = db
        self._actions = actions
        self._clock = clock
        self._retry = retry
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, conn: AsyncConnection) -> list[ActionCall]:
        """Take what has to be called; the transaction sees all tenants."""
        free = _AT_ONCE - len(self._tasks)
        if free <= 0:
            return []
        now = self._clock.now()
        return await calls.take_calls(conn, now, expires=now + _LEASE, limit=free)

    def begin(self, call: ActionCall) -> None:
        """Make a call beside everything else."""
        task = asyncio.create_task(self._make(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give calls under way a moment; what does not end in time is unsure from then on."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_STOP_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, call: ActionCall) -> None:
        with acting_for(call.tenant_id), correlated(call.correlation_id):
            renewing = asyncio.create_task(self._renew(call))
            try:
                end = await self._outcome(call)
            finally:
                renewing.cancel()
            await self._store(call, end)
        self._wake()

    async def _outcome(self, call: ActionCall) -> CallEnd:
        is_repeatable = False
        try:
            is_repeatable = await self._actions.is_repeatable(call.action)
            if call.is_unsure and not is_repeatable:
                return outcome_unknown(call, "Whoever called it stopped before there was an answer.")
            output = await self._actions.invoke(call.action, call.call_id)
            return CallEnd(output=output if len(output) <= _LARGEST_OUTPUT else "")
        except HostAway as away:
            soon = timedelta(seconds=self._retry.bound(1))
            return CallEnd(away.reason, away.message, retry_after=soon, is_counted=False)
        except Exception as error:
            fault = fault_of(error) or _unforeseen(error)
            wait = timedelta(seconds=self._retry.wait(call.attempts))
            return call_failed(call, fault, wait, is_repeatable=is_repeatable)

    async def _renew(self, call: ActionCall) -> None:
        while True:
            await asyncio.sleep(_LEASE.total_seconds() / 3)
            with suppress(Fault):
                async with self._db.tenant(call.tenant_id) as conn:
                    await calls.renew_call(conn, call, self._clock.now() + _LEASE)

    async def _store(self, call: ActionCall, end: CallEnd) -> None:
        """Store what came of a call; an outage of the database is waited out, for the answer is here only."""
        while True:
            try:
                async with self._db.tenant(call.tenant_id) as conn:
                    await calls.end_call(conn, call, end, self._clock.now())
            except Exception as error:
                if not isinstance(fault_of(error), RetryLater | OutOfTime):
                    raise
                await asyncio.sleep(_PAUSE_AFTER_OUTAGE)
            else:
                return


def _unforeseen(error: Exception) -> Fault:
    _log.error("a call of an action broke", error)
    return Broken(
        "INTERNAL", "The call broke for a reason that nobody foresaw; the log of scheduling tells more."
    )


__all__ = ["Calls"]
