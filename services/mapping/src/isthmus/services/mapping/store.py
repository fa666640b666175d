"""The only SQL of the mapping service."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.kit.redacting import NOTHING_ELSE, Redactor
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.mapping.domain import Documents, MappingVersion, State
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_EVERY = """select v.tenant_id, v.mapping_id, v.version, v.name, v.description, v.instance_id,
        v.source_schema, v.target_schema, v.field_mappings, v.transformations, v.fingerprint,
        v.created_by, m.create_time, v.update_time, v.state, v.golden_samples, v.activate_time,
        m.active_version
    from mappings m join mapping_versions v on v.tenant_id = m.tenant_id and v.mapping_id = m.mapping_id"""
_NEWEST = f"{_EVERY} and v.version = m.version"

_ENOUGH_RECORDS = 20
"""From how many records on what they have not is believed to be missing in all."""


class Store:
    """Opens units of work on the service's tables."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.redactor = Redactor(db, NOTHING_ELSE)
        """Takes people out of what is kept for repeated requests and of events."""

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator["Rows"]:
        """Open a transaction that sees one tenant."""
        async with self._db.tenant(tenant_id) as conn:
            yield Rows(conn)


class Rows:
    """The rows that one transaction sees."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn

    async def add(self, mapping: MappingVersion) -> None:
        """Store a mapping in its first version.

        Raises:
            AlreadyExists: `MAPPING_NAME_TAKEN`.
        """
        sql = """insert into mappings
                (tenant_id, mapping_id, name, instance_id, version, create_time, active_version)
            values (:tenant_id, :mapping_id, :name, :instance_id, :version, :create_time, :active_version)
            on conflict (tenant_id, name) do nothing returning 1"""
        if not await self._all(sql, **_fields(mapping)):
            raise _name_taken(mapping.name)
        await self._add_version(mapping)

    async def change(self, mapping: MappingVersion) -> None:
        """Store a further version, make it the newest, and say which one is active.

        Raises:
            AlreadyExists: `MAPPING_NAME_TAKEN`.
        """
        other = "select 1 from mappings where name = :name and mapping_id <> :mapping_id"
        fields = _fields(mapping)
        if await self._all(other, name=mapping.name, mapping_id=mapping.mapping_id):
            raise _name_taken(mapping.name)
        sql = """update mappings set name = :name, instance_id = :instance_id, version = :version,
                active_version = :active_version
            where tenant_id = :tenant_id and mapping_id = :mapping_id"""
        await self.conn.execute(text(sql), fields)
        await self._add_version(mapping)

    async def _add_version(self, mapping: MappingVersion) -> None:
        sql = """insert into mapping_versions (tenant_id, mapping_id, version, name, description, instance_id,
                source_schema, target_schema, field_mappings, transformations, fingerprint, created_by,
                update_time, state, golden_samples, activate_time)
            values (:tenant_id, :mapping_id, :version, :name, :description, :instance_id, :source_schema,
                :target_schema, :field_mappings, :transformations, :fingerprint, :created_by, :update_time,
                :state, :golden_samples, :activate_time)"""
        await self.conn.execute(text(sql), _fields(mapping))

    async def find(self, mapping_id: str, *, lock: bool = False) -> MappingVersion | None:
        """Return a mapping in its newest version, or None; `lock` keeps others from changing it meanwhile."""
        sql = f"{_NEWEST} where m.mapping_id = :id" + (" for update of m" if lock else "")
        rows = await self._all(sql, id=mapping_id)
        return _version(rows[0]) if rows else None

    async def get(self, mapping_id: str, version: int = 0, *, lock: bool = False) -> MappingVersion:
        """Return a mapping in one version; 0 means the newest.

        Raises:
            Missing: `MAPPING_UNKNOWN`.
        """
        if version == 0:
            newest = await self.find(mapping_id, lock=lock)
            if newest is not None:
                return newest
        else:
            sql = f"{_EVERY} where m.mapping_id = :id and v.version = :version"
            rows = await self._all(sql, id=mapping_id, version=version)
            if rows:
                return _version(rows[0])
        what = f"version {version} of mapping `{mapping_id}`" if version else f"mapping `{mapping_id}`"
        message = f"There is no {what} in this tenant; ListMappings shows what there is."
        raise Missing("MAPPING_UNKNOWN", message, path="mapping_id")

    async def active(self, mapping_id: str) -> MappingVersion:
        """Return a mapping in its active version, or in its newest one where none is active.

        Raises:
            Missing: `MAPPING_UNKNOWN`.
        """
        sql = f"""{_EVERY} where m.mapping_id = :id
            and v.version = case m.active_version when 0 then m.version else m.active_version end"""
        rows = await self._all(sql, id=mapping_id)
        return _version(rows[0]) if rows else await self.get(mapping_id)

    async def page(self, page: PageRequest, *, name: str, instance_id: str) -> list[MappingVersion]:
        """Return mappings in their newest version, oldest first, one more than the page holds."""
        sql = f"""{_NEWEST} where m.mapping_id > :after and (:name = '' or m.name = :name)
            and (:instance = '' or m.instance_id = :instance) order by m.mapping_id limit :limit"""
        after = str((page.after or {}).get("id", ""))
        rows = await self._all(sql, after=after, name=name, instance=instance_id, limit=page.size + 1)
        return [_version(row) for row in rows]

    async def versions(self, mapping_id: str, page: PageRequest) -> list[MappingVersion]:
        """Return versions, newest first, one more than the page holds."""
        sql = f"""{_EVERY} where m.mapping_id = :id and (:after = 0 or v.version < :after)
            order by v.version desc limit :limit"""
        after = (page.after or {}).get("version", 0)
        return [
            _version(row) for row in await self._all(sql, id=mapping_id, after=after, limit=page.size + 1)
        ]

    async def keep_state(self, mapping: MappingVersion) -> None:
        """Store how far a version has come, and which one is active."""
        sql = """with changed as (
                update mapping_versions set state = :state, activate_time = :activate_time
                where tenant_id = :tenant_id and mapping_id = :mapping_id and version = :version)
            update mappings set active_version = :active_version
            where tenant_id = :tenant_id and mapping_id = :mapping_id"""
        await self.conn.execute(text(sql), _fields(mapping))

    async def active_before(self, mapping: MappingVersion) -> MappingVersion | None:
        """Return the last version before the active one that was active and may be again, or None."""
        sql = f"""{_EVERY} where m.mapping_id = :id and v.version < m.active_version
            and v.activate_time is not null and v.state = 'validated' order by v.version desc limit 1"""
        rows = await self._all(sql, id=mapping.mapping_id)
        return _version(rows[0]) if rows else None

    async def schemas(
        self, flow_ids: Sequence[str]
    ) -> dict[tuple[str, str, str], tuple[dict[str, Any], ...]]:
        """Return what the records look like that flows read, where that is known well enough to rely on.

        A stream whose schema has just changed has two forms until somebody has decided.
        """
        sql = """select s.flow_id, s.instance_id, s.stream, s.expected,
                coalesce(c.after_expected, '') as after
            from schemas s left join schema_changes c
                on c.tenant_id = s.tenant_id and c.change_id = s.change_id
            where s.flow_id = any(:flows) and (s.declared <> '' or s.records >= :enough)"""
        found = {}
        for row in await self._all(sql, flows=list(flow_ids), enough=_ENOUGH_RECORDS):
            forms = tuple(json.loads(text) for text in (row["expected"], row["after"]) if text)
            found[row["flow_id"], row["instance_id"], row["stream"]] = forms
        return found

    async def remove(self, mapping: MappingVersion) -> None:
        """Delete a mapping with all its versions."""
        sql = "delete from mappings where tenant_id = :t and mapping_id = :id"
        await self.conn.execute(text(sql), {"t": mapping.tenant_id, "id": mapping.mapping_id})

    async def _all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        return [row._asdict() for row in await self.conn.execute(text(sql), values)]


def _name_taken(name: str) -> AlreadyExists:
    message = f"There is a mapping `{name}` already; choose another name or update that one."
    return AlreadyExists("MAPPING_NAME_TAKEN", message, path="name")


_DOCUMENTS = tuple(Documents.__dataclass_fields__)


def _fields(mapping: MappingVersion) -> dict[str, Any]:
    values = {name: getattr(mapping, name) for name in mapping.__dataclass_fields__ if name != "documents"}
    return values | {name: getattr(mapping.documents, name) for name in _DOCUMENTS}


def _version(row: Mapping[str, Any]) -> MappingVersion:
    documents = Documents(**{name: row[name] for name in _DOCUMENTS})
    others = {name: value for name, value in row.items() if name not in _DOCUMENTS}
    return MappingVersion(documents=documents, **{**others, "state": State(row["state"])})


__all__ = ["Rows", "Store"]
