"""The transactional outbox: an event is stored in the transaction that made it true."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from isthmus.kit.bus import CORRELATION_HEADER
from isthmus.kit.db.database import Database, after_commit
from isthmus.kit.deed import tell_event
from isthmus.kit.event import DomainEvent
from isthmus.kit.principal import current_correlation_id
from isthmus.kit.redaction import without_secrets
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import current_traceparent
from isthmus.resilience.faults import Broken
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LARGEST_BODY = 900_000  # NATS takes a megabyte, headers included
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")

_ADD = text(
    "INSERT INTO outbox (tenant_id, id, subject, body, headers) "
    "VALUES (:tenant_id, :id, :subject, :body, cast(:headers AS jsonb)) ON CONFLICT DO NOTHING"
)


class Outbox:
    """Stores events beside the change they tell of; the relay publishes them afterwards.

    Args:
        service: Name of the service, which becomes part of each event's type and subject.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self.added = asyncio.Event()

    async def add(self, conn: AsyncConnection, event: DomainEvent) -> None:
        """Store the event; it is published if and only if the transaction commits.

        Fields marked `debug_redact` are left out of it.
        """
        data = MessageToDict(without_secrets(event.payload))
        tell_event(f"{event.entity}.{event.verb}", event.subject_id, data)
        await self._store(conn, self.row(event, data))

    def row(
        self,
        event: DomainEvent,
        data: Mapping[str, Any] | None = None,
        *,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> dict[str, str]:
        """Return the columns of an event's row, for a statement that stores several with what they tell of.

        Whoever stores it sets `added` after the commit.

        Args:
            event: The event.
            data: Its payload in canonical proto JSON without what is marked `debug_redact`, if at hand.
            correlation_id: What the event belongs to; what is done at present by default.
            traceparent: The trace that it belongs to; the present one by default.
        """
        context = _context(correlation_id, traceparent)
        words = (event.tenant_id, self._service, event.entity, event.verb)
        if not all(map(_WORD.fullmatch, words)):
            raise ValueError(f"an event's tenant, entity and verb are plain words, not {words}")
        body = json.dumps(self._envelope(event, data, context), ensure_ascii=False, separators=(",", ":"))
        subject = "isthmus.v1." + ".".join(words)
        values = {"tenant_id": event.tenant_id, "id": event.id, "subject": subject, "body": body}
        return _row(values, "application/cloudevents+json", context)

    async def add_message(
        self, conn: AsyncConnection, *, tenant_id: str, message_id: str, subject: str, body: str
    ) -> None:
        """Store a message that is no event, a job for example, to be published like one.

        Args:
            conn: The transaction that makes the message true.
            tenant_id: Whose work it is.
            message_id: Two messages with one id are stored once, here and on the bus.
            subject: Where to, for example `isthmus.jobs.files`.
            body: JSON.
        """
        values = {"tenant_id": tenant_id, "id": message_id, "subject": subject, "body": body}
        await self._store(conn, _row(values, "application/json", _context()))

    async def _store(self, conn: AsyncConnection, row: dict[str, str]) -> None:
        await conn.execute(_ADD, row)
        after_commit(conn, self.added.set)

    def _envelope(
        self, event: DomainEvent, data: Mapping[str, Any] | None, context: Mapping[str, str]
    ) -> dict[str, Any]:
        envelope = {
            "specversion": "1.0",
            "id": event.id,
            "source": f"isthmus/{self._service}",
            "type": f"isthmus.{self._service}.{event.entity}.{event.verb}.v1",
            "subject": event.subject_id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "tenantid": event.tenant_id,
            "correlationid": context[CORRELATION_HEADER],
            "traceparent": context[TRACE_HEADER],
            "data": MessageToDict(without_secrets(event.payload)) if data is None else data,
        }
        return {name: value for name, value in envelope.items() if value != ""}


async def has_outbox(db: Database) -> bool:
    """Tell whether a service has the table `outbox`."""
    async with db.system() as conn:
        return (await conn.execute(text("SELECT to_regclass('outbox')"))).scalar() is not None


def _context(correlation_id: str | None = None, traceparent: str | None = None) -> dict[str, str]:
    return {
        CORRELATION_HEADER: current_correlation_id() if correlation_id is None else correlation_id,
        TRACE_HEADER: current_traceparent() if traceparent is None else traceparent,
    }


def _row(values: dict[str, str], kind: str, context: Mapping[str, str]) -> dict[str, str]:
    if len(values["body"].encode()) > _LARGEST_BODY:
        message = f"Put a reference into the event instead of the data; it exceeds {_LARGEST_BODY} bytes."
        raise Broken("EVENT_TOO_LARGE", message)
    headers = {"content-type": kind, **context}
    return {**values, "headers": json.dumps({name: value for name, value in headers.items() if value})}


__all__ = ["Outbox", "has_outbox"]
