"""Runs one consumer: takes events, gives each its effect once, sets aside what cannot be handled."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from datetime import datetime
from typing import Any

from isthmus.kit.bus import CORRELATION_HEADER, EVENTS_STREAM, Bus
from isthmus.kit.bus_users import Durable
from isthmus.kit.consumer import Consumer
from isthmus.kit.db.database import Database
from isthmus.kit.errors import fault_of
from isthmus.kit.event import ReceivedEvent
from isthmus.kit.logs import logger, safe_text
from isthmus.kit.metrics import counter
from isthmus.kit.principal import acting_for, correlated
from isthmus.kit.pull import Pull
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import consuming
from isthmus.resilience.faults import RetryLater
from nats import errors
from nats.js import errors as stream_errors
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = 256
_REST_SECONDS = 0.1
_BUSY_REST_SECONDS = 0.25
_BUSY = 16  # so many events at once are a sign of busy times
_PULL_SECONDS = 5.0
_LONGEST_PAUSE = 60.0
_LONGEST_WAIT_FOR_OTHERS = 10.0
_FINISH_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_REMEMBERED_FAILURES = 1000

_log = logger(__name__)
_handled = counter("isthmus.events.handled", "Events by consumer and outcome")

_REMEMBER = text(
    "INSERT INTO inbox (tenant_id, consumer, event_id) VALUES (:tenant_id, :consumer, :event_id) "
    "ON CONFLICT DO NOTHING"
)
_REMEMBER_ALL = text(
    "INSERT INTO inbox (tenant_id, consumer, event_id) "
    "SELECT tenant_id, :consumer, event_id "
    "FROM unnest(cast(:tenants AS text[]), cast(:ids AS text[])) AS came (tenant_id, event_id) "
    "ON CONFLICT DO NOTHING RETURNING event_id"
)


class Subscription:
    """One consumer at work.

    Args:
        consumer: What to do with which events.
        db: The service's database, which has the table `inbox`.
        bus: Where the events come from.
    """

    def __init__(self, consumer: Consumer, db: Database, bus: Bus) -> None:
        self._consumer = consumer
        self._db = db
        self._bus = bus
        self._failures: OrderedDict[str, int] = OrderedDict()

    async def run(self) -> None:
        """Consume for ever; makes the durable consumer again when NATS has lost it."""
        while True:
            await self._bus.ready()
            generation = self._bus.incarnation.generation
            try:
                pull = await self._bind()
            except (errors.Error, OSError) as error:
                _log.warning("consumer waits", durable=self._consumer.durable, kind=type(error).__name__)
                await asyncio.sleep(1.0)
                continue
            try:
                while generation == self._bus.incarnation.generation:
                    messages = await self._fetch(pull)
                    begun = time.monotonic()
                    await self._finish(messages)
                    # A short rest lets more come together, which costs less than one by one.
                    rest = _BUSY_REST_SECONDS if len(messages) >= _BUSY else _REST_SECONDS
                    await asyncio.sleep(max(0.0, begun + rest - time.monotonic()))
            except (errors.Error, OSError) as error:
                _log.info("consumer binds again", durable=self._consumer.durable, kind=type(error).__name__)
                await asyncio.sleep(0.5)
            finally:
                await pull.close()

    async def _bind(self) -> Pull:
        wanted = self._consumer
        if self._bus.makes_streams:
            durable = Durable(wanted.durable, tuple(wanted.subjects))
            await self._bus.make_consumer(durable, ack_wait=wanted.ack_wait)
        else:
            await self._made_by_others()
        return Pull(self._bus.client, EVENTS_STREAM, wanted.durable)

    async def _made_by_others(self) -> None:
        """Wait for those who keep the streams to make the consumer."""
        async with asyncio.timeout(_LONGEST_WAIT_FOR_OTHERS):
            while True:
                with suppress(stream_errors.NotFoundError):
                    await self._bus.jetstream.consumer_info(EVENTS_STREAM, self._consumer.durable)
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def _fetch(self, pull: Pull) -> list[Any]:
        try:
            return await pull.some(_BATCH, _PULL_SECONDS)
        except TimeoutError:
            await self._bus.jetstream.consumer_info(EVENTS_STREAM, self._consumer.durable)
            return []

    async def _finish(self, messages: list[Any]) -> None:
        """Handle messages to their end, also when the service is told to stop meanwhile."""
        work = asyncio.ensure_future(self._handle_all(messages))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            try:
                await asyncio.wait({work}, timeout=_FINISH_SECONDS)
            finally:
                work.cancel()
            raise

    async def _handle_all(self, messages: list[Any]) -> None:
        """Handle what came together in one transaction for each tenant; where that fails, one by one."""
        readable: dict[str, list[tuple[Any, ReceivedEvent]]] = {}
        alone: list[Any] = []
        wanted = self._consumer.wanted
        for message in messages:
            event = received(message.subject, message.data, message.headers)
            if event is None or self._failures.get(event.id):
                alone.append(message)
            elif wanted is not None and not wanted(event):
                await self._done(message)
            else:
                readable.setdefault("" if self._consumer.system else event.tenant_id, []).append(
                    (message, event)
                )
        for group in readable.values():
            if len(group) == 1 or not await self._handled_together(group):
                alone += [message for message, _ in group]
        for message in alone:
            await self._handle(message)

    async def _handled_together(self, group: list[tuple[Any, ReceivedEvent]]) -> bool:
        try:
            async with self._transaction(group[0][1]) as conn:
                await self._handle_new(conn, [event for _, event in group])
        except Exception as error:
            _log.debug("events are handled one by one", durable=self._consumer.durable, why=safe_text(error))
            return False
        for message, _ in group:
            await self._done(message)
        return True

    async def _handle_new(self, conn: AsyncConnection, events: list[ReceivedEvent]) -> None:
        """Handle those of the events that were not handled before; one that came twice once."""
        if self._consumer.awaited is not None:
            events = list(await self._consumer.awaited(conn, events))
        ids = await self._remembered(conn, events)
        new = list({event.id: event for event in events if event.id in ids}.values())
        if self._consumer.together is not None and new and not self._consumer.system:
            with acting_for(new[0].tenant_id):
                await self._consumer.together(conn, new)
            return
        for event in new:
            with self._context(event):
                await self._consumer.handle(conn, event)

    async def _done(self, message: Any) -> None:
        _handled.add(1, durable=self._consumer.durable, outcome="done")
        await message.ack()

    async def _remembered(self, conn: AsyncConnection, events: list[ReceivedEvent]) -> set[str]:
        """Remember events in one statement; give the ids of those that were not handled before."""
        if self._consumer.is_repeatable or not events:
            return {event.id for event in events}
        values = {
            "consumer": self._consumer.durable,
            "tenants": [event.tenant_id for event in events],
            "ids": [event.id for event in events],
        }
        return set((await conn.execute(_REMEMBER_ALL, values)).scalars())

    @contextmanager
    def _context(self, event: ReceivedEvent) -> Iterator[None]:
        """Work in the name of the event's tenant, in the trace of whoever published it."""
        trace = consuming(f"consume {self._consumer.durable}", event.traceparent)
        with trace, correlated(event.correlation_id), acting_for(event.tenant_id):
            yield

    async def _handle(self, message: Any) -> None:
        event = received(message.subject, message.data, message.headers)
        if event is None:
            await self._set_aside(message, "EVENT_UNREADABLE")
            return
        with self._context(event):
            try:
                async with self._transaction(event) as conn:
                    await self._apply(conn, event)
            except Exception as error:
                await self._failed(message, event, error)
                return
        self._failures.pop(event.id, None)
        await self._done(message)

    async def _apply(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        """Run the handler and remember the event, in one transaction, unless it was handled before."""
        if self._consumer.awaited is not None and not await self._consumer.awaited(conn, [event]):
            return
        key = {
            "tenant_id": event.tenant_id,
            "consumer": self._consumer.durable,
            "event_id": event.id,
        }
        if self._consumer.is_repeatable or (await conn.execute(_REMEMBER, key)).rowcount:
            await self._consumer.handle(conn, event)

    def _transaction(self, event: ReceivedEvent) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._db.system() if self._consumer.system else self._db.tenant(event.tenant_id)

    async def _failed(self, message: Any, event: ReceivedEvent, error: Exception) -> None:
        fault = fault_of(error)
        if isinstance(fault, RetryLater):
            # An outage is not the event's fault: it waits, however long, and is not set aside.
            pause = self._consumer.backoff * 2.0 ** min(message.metadata.num_delivered - 1, 10)
            await message.nak(delay=min(pause, _LONGEST_WAIT_FOR_OTHERS))
            return
        failures = self._count(event.id)
        reason = fault.reason if fault else type(error).__name__
        if failures >= self._consumer.max_deliver:
            _log.error("event set aside", error, durable=self._consumer.durable, event_id=event.id)
            await self._set_aside(message, reason, safe_text(error))
            return
        _log.warning("event failed", durable=self._consumer.durable, event_id=event.id, reason=reason)
        pause = self._consumer.backoff * 2.0 ** min(failures - 1, 10)
        await message.nak(delay=min(pause, _LONGEST_PAUSE))

    def _count(self, event_id: str) -> int:
        failures = self._failures.pop(event_id, 0) + 1
        self._failures[event_id] = failures
        while len(self._failures) > _REMEMBERED_FAILURES:
            self._failures.popitem(last=False)
        return failures

    async def _set_aside(self, message: Any, reason: str, why: str = "") -> None:
        """Keep the message for a human on the dead-letter subject, then take it off the consumer."""
        durable = self._consumer.durable
        headers = {
            "isthmus-subject": message.subject,
            "isthmus-reason": reason,
            "isthmus-error": why.replace("\n", " ").replace("\r", " ")[:500],
        }
        sequence = message.metadata.sequence.stream
        await self._bus.publish(
            f"isthmus.dead.{durable}", message.data, message_id=f"{durable}-{sequence}", headers=headers
        )
        _handled.add(1, durable=durable, outcome="dead")
        await message.term()


def received(subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> ReceivedEvent | None:
    """Read a CloudEvent in structured JSON; None when it is not one of ours."""
    told = headers or {}
    try:
        envelope = json.loads(data)
        return ReceivedEvent(
            id=envelope["id"],
            type=envelope["type"],
            tenant_id=envelope["tenantid"],
            source=envelope["source"],
            subject=envelope.get("subject", ""),
            time=datetime.fromisoformat(envelope["time"]),
            data=envelope.get("data") or {},
            nats_subject=subject,
            correlation_id=told.get(CORRELATION_HEADER, envelope["id"]),
            traceparent=told.get(TRACE_HEADER, ""),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


__all__ = ["Subscription", "received"]
