"""The SQL of schemas, their changes, and what flows do about them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.resilience.faults import Missing
from isthmus.services.mapping.domain.schemas import Known, Policy, SchemaChange, Status, packed, unpacked
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_KEY = "flow_id = :flow_id and instance_id = :instance_id and stream = :stream"
_KNOWN = """flow_id, instance_id, stream, expected, declared, primary_key, cursor_field, records, dropped,
    change_id, first_seen, last_seen"""
_CHANGE = """change_id, flow_id, instance_id, stream, status, differences, before_schema, after_expected,
    after_declared, after_primary_key, after_cursor_field, after_records, mapping_fingerprint, create_time,
    decided_by, decide_time"""
_OPEN = [status.value for status in Status if status.is_open]
_MOST_KEPT = 200


class SchemaStore:
    """Opens units of work on the tables of schemas."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator["SchemaRows"]:
        """Open a transaction that sees one tenant."""
        async with self._db.tenant(tenant_id) as conn:
            yield SchemaRows(conn, tenant_id)


class SchemaRows:
    """The rows that one transaction sees."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self.conn = conn
        self.tenant_id = tenant_id

    async def known(self, flow_id: str, instance_id: str, stream: str) -> Known | None:
        """Return a stream as remembered, and keep others from judging it meanwhile."""
        key = {"flow_id": flow_id, "instance_id": instance_id, "stream": stream}
        lock = "select pg_advisory_xact_lock(hashtextextended(:lock, 0))"
        await self._all(lock, lock="\n".join(("schemas", self.tenant_id, *key.values())))
        rows = await self._all(f"select {_KNOWN} from schemas where {_KEY}", **key)
        return _known(rows[0]) if rows else None

    async def remember(self, known: Known) -> None:
        """Store a stream as it is known from now on."""
        names = [name.strip() for name in _KNOWN.split(",")]
        values = {**asdict(known), "tenant_id": self.tenant_id}
        values |= {"primary_key": list(known.primary_key), "dropped": list(known.dropped)}
        sql = f"""insert into schemas (tenant_id, {_KNOWN})
            values (:tenant_id, {", ".join(f":{name}" for name in names)})
            on conflict (tenant_id, flow_id, instance_id, stream) do update
            set {", ".join(f"{name} = excluded.{name}" for name in names[3:] if name != "first_seen")}"""
        await self.conn.execute(text(sql), values)

    async def page(self, page: PageRequest, flow_id: str) -> list[Known]:
        """Return what is known, by flow, instance and stream, one more than the page holds."""
        sql = f"""select {_KNOWN} from schemas where (:flow = '' or flow_id = :flow)
            and (flow_id, instance_id, stream) > (:after_flow, :after_instance, :after_stream)
            order by flow_id, instance_id, stream limit :limit"""
        after = page.after or {"flow": "", "instance": "", "stream": ""}
        named = {f"after_{name}": value for name, value in after.items()}
        rows = await self._all(sql, flow=flow_id, limit=page.size + 1, **named)
        return [_known(row) for row in rows]

    async def change(self, change_id: str, *, lock: bool = False) -> SchemaChange:
        """Return a change.

        Raises:
            Missing: `SCHEMA_CHANGE_UNKNOWN`.
        """
        sql = f"select {_CHANGE} from schema_changes where change_id = :change_id"
        rows = await self._all(sql + (" for update" if lock else ""), change_id=change_id)
        if rows:
            return _change(rows[0])
        message = (
            f"There is no schema change `{change_id}` in this tenant; ListSchemaChanges shows what there is."
        )
        raise Missing("SCHEMA_CHANGE_UNKNOWN", message, path="change_id")

    async def keep(self, change: SchemaChange) -> None:
        """Store a change, new or decided; the oldest of its flow that are over are forgotten."""
        after = change.after
        values = {name: getattr(change, name) for name in change.__dataclass_fields__ if name != "after"}
        values |= {
            "tenant_id": self.tenant_id,
            "status": change.status.value,
            "differences": json.dumps(packed(change.differences)),
            "after_expected": after.expected,
            "after_declared": after.declared,
            "after_primary_key": list(after.primary_key),
            "after_cursor_field": after.cursor_field,
            "after_records": after.records,
        }
        names = [name.strip() for name in _CHANGE.split(",")]
        places = (f"cast(:{name} as jsonb)" if name == "differences" else f":{name}" for name in names)
        sql = f"""insert into schema_changes (tenant_id, {_CHANGE}) values (:tenant_id, {", ".join(places)})
            on conflict (tenant_id, change_id) do update set status = excluded.status,
                decided_by = excluded.decided_by, decide_time = excluded.decide_time"""
        await self.conn.execute(text(sql), values)
        forget = """delete from schema_changes where flow_id = :flow_id and status <> all(:open)
            and change_id <= (select change_id from schema_changes where flow_id = :flow_id
                order by change_id desc offset :most limit 1)"""
        await self.conn.execute(text(forget), {"flow_id": change.flow_id, "open": _OPEN, "most": _MOST_KEPT})

    async def changes(self, page: PageRequest, flow_id: str, *, only_open: bool) -> list[SchemaChange]:
        """Return changes, newest first, one more than the page holds."""
        sql = f"""select {_CHANGE} from schema_changes where (:flow = '' or flow_id = :flow)
            and (:after = '' or change_id < :after) and (not :only_open or status = any(:open))
            order by change_id desc limit :limit"""
        after = str((page.after or {}).get("id", ""))
        rows = await self._all(
            sql, flow=flow_id, after=after, only_open=only_open, open=_OPEN, limit=page.size + 1
        )
        return [_change(row) for row in rows]

    async def policy(self, flow_id: str) -> Policy:
        """Return what a flow does about changes."""
        sql = """select keeps_unknown, stops_on_additive, quarantines_breaking from schema_policies
            where flow_id = :flow_id"""
        rows = await self._all(sql, flow_id=flow_id)
        return Policy(**rows[0]) if rows else Policy()

    async def policies(self, page: PageRequest) -> list[tuple[str, Policy]]:
        """Return the policies that were set, by flow, one more than the page holds."""
        sql = """select flow_id, keeps_unknown, stops_on_additive, quarantines_breaking from schema_policies
            where flow_id > :after order by flow_id limit :limit"""
        after = str((page.after or {}).get("flow", ""))
        rows = await self._all(sql, after=after, limit=page.size + 1)
        return [(row.pop("flow_id"), Policy(**row)) for row in rows]

    async def set_policy(self, flow_id: str, policy: Policy) -> None:
        """Store what a flow does about changes."""
        sql = """insert into schema_policies
                (tenant_id, flow_id, keeps_unknown, stops_on_additive, quarantines_breaking)
            values (:tenant_id, :flow_id, :keeps_unknown, :stops_on_additive, :quarantines_breaking)
            on conflict (tenant_id, flow_id) do update set keeps_unknown = excluded.keeps_unknown,
                stops_on_additive = excluded.stops_on_additive,
                quarantines_breaking = excluded.quarantines_breaking"""
        values = {**asdict(policy), "tenant_id": self.tenant_id, "flow_id": flow_id}
        await self.conn.execute(text(sql), values)

    async def forget(self, flow_id: str) -> None:
        """Remove all that is known of a flow; its changes stay as history, and stop nothing any more."""
        for table in ("schemas", "schema_policies"):
            await self.conn.execute(text(f"delete from {table} where flow_id = :id"), {"id": flow_id})
        over = "update schema_changes set status = :over where flow_id = :id and status = any(:open)"
        await self.conn.execute(text(over), {"over": Status.WITHDRAWN.value, "id": flow_id, "open": _OPEN})

    async def _all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in (await self.conn.execute(text(sql), values)).mappings()]


def _known(row: Mapping[str, Any]) -> Known:
    lists = {name: tuple(row[name]) for name in ("primary_key", "dropped")}
    return Known(**{**row, **lists})


def _change(row: Mapping[str, Any]) -> SchemaChange:
    plain = {name: value for name, value in row.items() if not name.startswith("after_")}
    after = Known(
        row["flow_id"],
        row["instance_id"],
        row["stream"],
        row["create_time"],
        row["create_time"],
        expected=row["after_expected"],
        declared=row["after_declared"],
        primary_key=tuple(row["after_primary_key"]),
        cursor_field=row["after_cursor_field"],
        records=row["after_records"],
    )
    plain |= {"status": Status(row["status"]), "differences": unpacked(row["differences"]), "after": after}
    return SchemaChange(**plain)


__all__ = ["SchemaRows", "SchemaStore"]
