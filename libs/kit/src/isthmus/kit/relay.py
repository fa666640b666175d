"""Publishes what waits in the outbox; any number of replicas may do it side by side."""

import asyncio
from contextlib import suppress
from typing import Any

from isthmus.kit.bus import Bus
from isthmus.kit.db.database import Database
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.kit.metrics import counter
from isthmus.kit.outbox import Outbox, has_outbox
from isthmus.resilience.faults import RetryLater
from sqlalchemy import text

_BATCH = 200
_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 0.5

_log = logger(__name__)
_published = counter("isthmus.outbox.published", "Messages that left the outbox")

_TAKE = text(
    "SELECT tenant_id, id, subject, body, headers FROM outbox WHERE sent_at IS NULL "
    "AND subject <> 'isthmus.audit' "
    "ORDER BY position LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_DONE = text(
    "UPDATE outbox SET sent_at = now(), sent_to = :sent_to, sent_sequence = done.sequence "
    "FROM unnest(cast(:tenants AS text[]), cast(:ids AS text[]), cast(:sequences AS bigint[])) "
    "AS done(tenant_id, id, sequence) WHERE outbox.tenant_id = done.tenant_id AND outbox.id = done.id"
)
_LOST = text(
    "UPDATE outbox SET sent_at = NULL WHERE sent_at IS NOT NULL "
    "AND subject LIKE 'isthmus.v1.%' AND (sent_to <> :sent_to OR sent_sequence > :last)"
)


class Relay:
    """Moves messages from one service's outbox to the bus.

    A message stays in the outbox for a day after it was published: when NATS loses its store,
    everything retained is published again, and consumers ignore what they had seen.

    Args:
        db: The service's database.
        bus: Where the messages go.
        outbox: Says when something was added by this process; other replicas' additions are found by polling.
        rest: Seconds in which what follows closely gathers, to go along together.
    """

    def __init__(self, db: Database, bus: Bus, outbox: Outbox, *, rest: float = 0.05) -> None:
        self._rest = rest
        self._db = db
        self._bus = bus
        self._outbox = outbox
        self._checked = 0
        self._waiting_for = ""

    async def run(self) -> None:
        """Publish for ever; an unreachable database or bus only delays.

        Returns at once when the service has no outbox.
        """
        if not await has_outbox(self._db):
            return
        while True:
            await self._bus.ready()
            self._outbox.added.clear()
            try:
                await self._resend_lost()
                full = await self._send_batch()
            except Exception as error:
                await self._wait_out(error)
                continue
            self._waiting_for = ""
            if not full:
                await asyncio.sleep(self._rest)  # what follows closely goes along with the next batch
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._outbox.added.wait()

    async def _wait_out(self, error: Exception) -> None:
        """Pause during an outage, which is logged once; other failures are the supervisor's."""
        fault = fault_of(error)
        if not isinstance(fault, RetryLater):
            raise error
        if fault.reason != self._waiting_for:
            _log.warning("relay waits", reason=fault.reason)
        self._waiting_for = fault.reason
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _resend_lost(self) -> None:
        """Mark for sending again what went to a stream that is gone."""
        now = self._bus.incarnation
        if now.generation == self._checked:
            return
        async with self._db.system() as conn:
            lost = await conn.execute(_LOST, {"sent_to": now.created, "last": now.last_sequence})
        self._checked = now.generation
        if lost.rowcount:
            _log.warning("publishing again what the bus lost", messages=lost.rowcount)

    async def _send_batch(self) -> bool:
        """Publish one batch and tell whether more may be waiting."""
        async with self._db.system() as conn:
            rows = (await conn.execute(_TAKE, {"limit": _BATCH})).all()
            if not rows:
                return False
            sent_to = self._bus.incarnation.created
            results = await asyncio.gather(*(self._publish(row) for row in rows), return_exceptions=True)
            done = [(row, seq) for row, seq in zip(rows, results, strict=True) if isinstance(seq, int)]
            await conn.execute(
                _DONE,
                {
                    "sent_to": sent_to,
                    "tenants": [row.tenant_id for row, _ in done],
                    "ids": [row.id for row, _ in done],
                    "sequences": [sequence for _, sequence in done],
                },
            )
        _published.add(len(done))
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None:
            raise failure
        return len(rows) == _BATCH

    async def _publish(self, row: Any) -> int:
        return await self._bus.publish(
            row.subject, row.body.encode(), message_id=row.id, headers=dict(row.headers)
        )


__all__ = ["Relay"]
