"""Stores records of the audit trail beside what they tell of, and brings them to the trail."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from isthmus.kit.db.database import Database, after_commit
from isthmus.kit.deed import INSTALLATION, Deed, joined
from isthmus.kit.errors import code_of, fault_from_rpc_error, fault_of
from isthmus.kit.logs import logger
from isthmus.kit.principal import acting_for
from isthmus.resilience.bucket import TokenBucket
from isthmus.resilience.faults import Fault
from sqlalchemy import text

if TYPE_CHECKING:
    import grpc.aio
    from isthmus.monitoring.v1 import audit_pb2
    from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = 200
_LARGEST_CALL = 2_000_000
_REST_SECONDS = 2.0
_POLL_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
_REFUSAL_SECONDS = 2.0
_CALL_SECONDS = 10.0
_STRANGERS_A_MINUTE = 60

_log = logger(__name__)

# The subject marks rows that go to the audit trail and not to the bus. A transaction has an id of its own
# from the moment in which it changes something.
_ADD_IF_CHANGED = text(
    "INSERT INTO outbox (tenant_id, id, subject, body) SELECT :tenant_id, :id, 'isthmus.audit', :body "
    "WHERE pg_current_xact_id_if_assigned() IS NOT NULL"
)
_ADD = text(
    "INSERT INTO outbox (tenant_id, id, subject, body) SELECT :tenant_id, id, 'isthmus.audit', body "
    "FROM unnest(cast(:ids AS text[]), cast(:bodies AS text[])) AS told (id, body)"
)
_TAKE = text(
    "SELECT tenant_id, id, body FROM outbox WHERE sent_at IS NULL AND subject = 'isthmus.audit' "
    "ORDER BY position LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_DONE = text(
    "UPDATE outbox SET sent_at = now(), sent_to = 'monitoring' "
    "WHERE tenant_id = :tenant_id AND id = any(cast(:ids AS text[]))"
)


async def record_change(conn: "AsyncConnection", deed: Deed, tenant_id: str) -> None:
    """Store the record of a deed in a transaction that has changed something; else do nothing.

    Args:
        conn: The transaction, just before its end.
        deed: What the caller does.
        tenant_id: Whose rows the transaction sees; empty for those of all.
    """
    owner = tenant_id or deed.owner or INSTALLATION
    stored = await conn.execute(_ADD_IF_CHANGED, {"tenant_id": owner, **deed.record()})
    if stored.rowcount:
        _recorded(conn, deed)


async def record_together(conn: "AsyncConnection", tenant_id: str, deeds: Iterable[Deed | None]) -> None:
    """Store the records of what one transaction does for several callers; parts of one call go together."""
    kept = [deed for deed in deeds if deed is not None]
    if kept:
        rows = [deed.record() for deed in joined(kept)]
        await conn.execute(_ADD, {"tenant_id": tenant_id, **_columns(rows)})
        for deed in kept:
            _recorded(conn, deed)


class Recorder:
    """Records what no transaction has recorded: refusals, access to secrets, and what changed no row.

    Args:
        db: The service's database, which has the table `outbox`.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._strangers = TokenBucket(_STRANGERS_A_MINUTE / 60, _STRANGERS_A_MINUTE)
        self.added = asyncio.Event()

    async def finish(self, deed: Deed) -> None:
        """Record a deed that ended well; it does not count as done before that.

        Raises:
            RetryLater: The record cannot be stored at the moment.
        """
        deed.over = True
        rows = [part.record(code_of(fault).name, fault.reason, fault.message) for part, fault in deed.refused]
        if not rows and not deed.recorded and not deed.has_left_no_trace:
            rows = [deed.record()]
        if rows:
            await self._store(deed, rows)

    async def refuse(self, deed: Deed, fault: Fault) -> None:
        """Record a deed that was refused or has failed; the caller gets the refusal in any case."""
        deed.over = True
        deed.forget_effects()
        if deed.is_anonymous and self._strangers.take(0.0) > 0:
            return  # the log has it; nobody fills the trail without an identity
        if deed.is_anonymous:
            self._strangers.take()
        try:
            async with asyncio.timeout(_REFUSAL_SECONDS):
                await self._store(deed, [deed.record(code_of(fault).name, fault.reason, fault.message)])
        except Exception as error:
            known = fault_of(error)
            why = known.reason if known else type(error).__name__
            _log.error("a refusal is missing in the audit trail", method=deed.method, why=why)

    async def _store(self, deed: Deed, rows: Sequence[dict[str, str]]) -> None:
        owner = deed.owner
        async with self._db.tenant(owner) if owner else self._db.system() as conn:
            await conn.execute(_ADD, {"tenant_id": owner or INSTALLATION, **_columns(rows)})
            _recorded(conn, deed)


class Courier:
    """Brings stored records to the audit trail; one that has not been acknowledged is brought again.

    Args:
        db: The service's database.
        channel: Gives the way to the monitoring service.
        added: Set when this process has stored one; others' are found by looking.
    """

    def __init__(self, db: Database, channel: Callable[[], "grpc.aio.Channel"], added: asyncio.Event) -> None:
        self._db = db
        self._channel = channel
        self._added = added
        self._waiting_for = ""
        self._pause = _PAUSE_SECONDS

    async def run(self) -> None:
        """Bring records for ever; an unreachable database or monitoring service only delays."""
        while True:
            self._added.clear()
            try:
                full = await self._bring_batch()
            except Exception as error:
                await self._wait_out(error)
                continue
            self._waiting_for, self._pause = "", _PAUSE_SECONDS
            if not full:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._added.wait()
                await asyncio.sleep(_REST_SECONDS)  # what follows closely goes along

    async def _wait_out(self, error: Exception) -> None:
        fault = fault_of(error)
        if fault is None:
            raise error
        if fault.reason != self._waiting_for:
            _log.warning("records of the audit trail wait", reason=fault.reason, why=fault.message)
        self._waiting_for = fault.reason
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _POLL_SECONDS)

    async def _bring_batch(self) -> bool:
        """Bring one batch and tell whether more may be waiting."""
        async with self._db.system() as conn:
            found = await conn.execute(_TAKE, {"limit": _BATCH})
            rows = sorted(found, key=lambda row: str(row.tenant_id))
            for tenant_id, group in groupby(rows, key=lambda row: str(row.tenant_id)):
                for part in _portions(list(group)):
                    await self._bring(tenant_id, [json.loads(row.body) for row in part])
                    await conn.execute(_DONE, {"tenant_id": tenant_id, "ids": [row.id for row in part]})
        return len(rows) == _BATCH

    async def _bring(self, tenant_id: str, records: Sequence[dict[str, Any]]) -> None:
        import grpc
        from isthmus.monitoring.v1 import audit_pb2, audit_pb2_grpc

        stub = audit_pb2_grpc.AuditServiceStub(self._channel())
        request = audit_pb2.AppendAuditRecordsRequest(records=map(_message, records))
        with acting_for(tenant_id):
            try:
                await stub.AppendAuditRecords(request, timeout=_CALL_SECONDS)
            except grpc.RpcError as error:
                raise fault_from_rpc_error(error) from error


def _recorded(conn: "AsyncConnection", deed: Deed) -> None:
    def note() -> None:
        (deed.whole or deed).recorded = deed.recorded = True
        deed.wake()

    after_commit(conn, note)


def _columns(rows: Sequence[dict[str, str]]) -> dict[str, list[str]]:
    return {"ids": [row["id"] for row in rows], "bodies": [row["body"] for row in rows]}


def _portions(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Divide rows into parts that a call can carry."""
    part: list[Any] = []
    size = 0
    for row in rows:
        size += len(row.body.encode())
        if part and size > _LARGEST_CALL:
            yield part
            part, size = [], len(row.body.encode())
        part.append(row)
    if part:
        yield part


def _message(record: dict[str, Any]) -> "audit_pb2.AuditRecord":
    from isthmus.monitoring.v1 import audit_pb2

    kind = audit_pb2.AuditRecord.Kind.Value(f"KIND_{record['kind'].upper()}")
    plain = {name: value for name, value in record.items() if name not in {"kind", "time"}}
    message = audit_pb2.AuditRecord(kind=kind, **plain)
    message.time.FromDatetime(datetime.fromisoformat(record["time"]))
    return message


__all__ = ["Courier", "Recorder", "record_change", "record_together"]
