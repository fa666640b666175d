"""The SQL of schemas by name and version."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.mapper.privacy import DataClass
from isthmus.resilience.faults import Missing
from isthmus.services.mapping.domain.registry.fields import Field, KnownField, Wanted
from isthmus.services.mapping.domain.registry.model import (
    Compatibility,
    Definition,
    Format,
    Level,
    Loss,
    Policy,
    Status,
    Subject,
    Version,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SHORT = """v.subject, v.version, v.format, v.fingerprint, v.title, v.status, v.status_note, v.created_by,
    v.create_time"""
_WHOLE = f"{_SHORT}, v.definition, v.json_schema, v.losses"
_FIELD = "path, types, format, description, data_class, is_required"
_FIELDS = f"{', '.join(f'f.{name}' for name in _FIELD.split(', '))}, f.first_version, f.last_version"


class RegistryStore:
    """Opens units of work on the tables of the registry."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator["RegistryRows"]:
        """Open a transaction that sees one tenant."""
        async with self._db.tenant(tenant_id) as conn:
            yield RegistryRows(conn, tenant_id)


class RegistryRows:
    """The rows that one transaction sees."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self.conn = conn
        self.tenant_id = tenant_id

    async def numbered(self, subject: str) -> int:
        """Return the last number that was given, and keep others from adding versions meanwhile."""
        lock = "select pg_advisory_xact_lock(hashtextextended(:lock, 0))"
        await self._all(lock, lock="\n".join(("subjects", self.tenant_id, subject)))
        rows = await self._all("select numbered from schema_subjects where subject = :name", name=subject)
        return int(rows[0]["numbered"]) if rows else 0

    async def same(self, subject: str, fingerprint: str) -> Version | None:
        """Return the version of a subject that says the same."""
        sql = f"""select {_WHOLE} from schema_versions v
            where v.subject = :name and v.fingerprint = :fingerprint"""
        rows = await self._all(sql, name=subject, fingerprint=fingerprint)
        return _version(rows[0]) if rows else None

    async def get(self, subject: str, version: int = 0) -> Version:
        """Return a version; 0 means the newest.

        Raises:
            Missing: `SCHEMA_UNKNOWN`.
        """
        sql = f"""select {_WHOLE} from schema_versions v join schema_subjects s
                on s.tenant_id = v.tenant_id and s.subject = v.subject
            where v.subject = :name and v.version = case :version when 0 then s.latest else :version end"""
        rows = await self._all(sql, name=subject, version=version)
        if rows:
            return _version(rows[0])
        raise unknown(subject, version)

    async def whole(self, subject: str, *, last: int = 0) -> list[Version]:
        """Return the versions of a subject, oldest first; only the newest where `last` says how many."""
        sql = f"""select {_WHOLE} from schema_versions v where v.subject = :name
            order by v.version desc limit :last"""
        rows = await self._all(sql, name=subject, last=last or None)
        return [_version(row) for row in reversed(rows)]

    async def count(self, subject: str) -> int:
        """Tell how many versions a subject has."""
        sql = "select count(*) as found from schema_versions where subject = :name"
        return int((await self._all(sql, name=subject))[0]["found"])

    async def versions(self, subject: str, page: PageRequest) -> list[Version]:
        """Return versions without their definitions, newest first, one more than the page holds."""
        sql = f"""select {_SHORT} from schema_versions v where v.subject = :name
            and (:after = 0 or v.version < :after) order by v.version desc limit :limit"""
        after = (page.after or {}).get("version", 0)
        return [_version(row) for row in await self._all(sql, name=subject, after=after, limit=page.size + 1)]

    async def subjects(self, page: PageRequest, prefix: str) -> list[Subject]:
        """Return subjects by name, one more than the page holds."""
        sql = """select s.subject, s.latest, v.format, v.title, v.fingerprint, v.create_time
            from schema_subjects s join schema_versions v
                on v.tenant_id = s.tenant_id and v.subject = s.subject and v.version = s.latest
            where s.subject collate "C" > :after and starts_with(s.subject, :prefix)
            order by s.subject collate "C" limit :limit"""
        after = str((page.after or {}).get("subject", ""))
        rows = await self._all(sql, after=after, prefix=prefix, limit=page.size + 1)
        return [
            Subject(
                row["subject"],
                row["latest"],
                Format(row["format"]),
                row["title"],
                row["fingerprint"],
                row["create_time"],
            )
            for row in rows
        ]

    async def add(self, version: Version, fields: Iterable[Field]) -> None:
        """Store a version and what its fields are."""
        subject = """insert into schema_subjects (tenant_id, subject, numbered, latest)
            values (:tenant_id, :subject, :version, :version)
            on conflict (tenant_id, subject) do update set numbered = excluded.numbered,
                latest = excluded.latest"""
        await self.conn.execute(text(subject), self._key(version.subject, version.version))
        row = """insert into schema_versions (tenant_id, subject, version, format, definition, json_schema,
                fingerprint, title, losses, status, status_note, created_by, create_time)
            values (:tenant_id, :subject, :version, :format, :definition, :json_schema, :fingerprint, :title,
                cast(:losses as jsonb), :status, :status_note, :created_by, :create_time)"""
        definition = version.definition
        values = {
            **self._key(version.subject, version.version),
            "format": definition.format.value,
            "definition": definition.text,
            "json_schema": definition.json_schema,
            "fingerprint": definition.fingerprint,
            "title": definition.title,
            "losses": json.dumps([asdict(loss) for loss in definition.losses]),
            "status": version.status.value,
            "status_note": version.status_note,
            "created_by": version.created_by,
            "create_time": version.create_time,
        }
        await self.conn.execute(text(row), values)
        await self.describe(version.subject, version.version, fields)

    async def describe(self, subject: str, version: int, fields: Iterable[Field]) -> None:
        """Remember the fields of a version as the newest of its subject."""
        sql = f"""insert into schema_fields (tenant_id, subject, {_FIELD}, place, first_version, last_version)
            select :tenant_id, :subject, path, types, format, description, data_class, is_required, place,
                :version, :version
            from jsonb_to_recordset(cast(:fields as jsonb)) as f (path text, types text, format text,
                description text, data_class smallint, is_required boolean, place integer)
            on conflict (tenant_id, subject, path) do update set types = excluded.types,
                format = excluded.format, description = excluded.description, place = excluded.place,
                data_class = excluded.data_class, is_required = excluded.is_required,
                last_version = excluded.last_version"""
        told = [{**asdict(field), "place": place} for place, field in enumerate(fields)]
        values = {**self._key(subject, version), "fields": json.dumps(told)}
        if told:
            await self.conn.execute(text(sql), values)

    async def prefer(self, subject: str, version: int) -> None:
        """Make a version that is there already the newest one."""
        sql = "update schema_subjects set latest = :version where subject = :subject"
        await self.conn.execute(text(sql), {"subject": subject, "version": version})

    async def fields(self, subject: str, page: PageRequest) -> list[KnownField]:
        """Return the fields of a subject by path, one more than the page holds."""
        sql = f"""select f.subject, {_FIELDS} from schema_fields f
            where f.subject = :name and f.path collate "C" > :after
            order by f.path collate "C" limit :limit"""
        after = str((page.after or {}).get("path", ""))
        return list(map(_field, await self._all(sql, name=subject, after=after, limit=page.size + 1)))

    async def search(self, page: PageRequest, wanted: Wanted) -> list[KnownField]:
        """Return fields of newest versions by subject and path, one more than the page holds."""
        sql = f"""select f.subject, {_FIELDS} from schema_fields f
            join schema_subjects s on s.tenant_id = f.tenant_id and s.subject = f.subject
                and s.latest = f.last_version
            join schema_versions v on v.tenant_id = s.tenant_id and v.subject = s.subject
                and v.version = s.latest
            where (f.subject collate "C", f.path collate "C") > (:after_subject, :after_path)
                and starts_with(f.subject, :prefix)
                and (:data_class = 0 or f.data_class = :data_class)
                and (:type = '' or f.types = '' or :type = any (string_to_array(f.types, '|')))
                and strpos(lower(regexp_replace(f.path, '^.*[.]', '')), :field) > 0
                and not exists (select from unnest(cast(:words as text[])) as w (word)
                    where strpos(lower(concat_ws(' ', f.subject, v.title, f.path, f.description)),
                        w.word) = 0)
            order by f.subject collate "C", f.path collate "C" limit :limit"""
        after = page.after or {"subject": "", "path": ""}
        found = await self._all(
            sql,
            after_subject=after["subject"],
            after_path=after["path"],
            prefix=wanted.prefix,
            data_class=wanted.data_class,
            type=wanted.type,
            field=wanted.field.lower(),
            words=wanted.query.lower().split(),
            limit=page.size + 1,
        )
        return list(map(_field, found))

    async def forget_fields(self, subject: str) -> None:
        """Forget the fields of a subject, to remember those of the versions that are left."""
        sql = "delete from schema_fields where subject = :subject"
        await self.conn.execute(text(sql), {"subject": subject})

    async def mark(self, version: Version) -> None:
        """Store a version's status."""
        sql = """update schema_versions set status = :status, status_note = :note
            where tenant_id = :tenant_id and subject = :subject and version = :version"""
        key = self._key(version.subject, version.version)
        await self.conn.execute(
            text(sql), {**key, "status": version.status.value, "note": version.status_note}
        )

    async def remove(self, subject: str, version: int) -> None:
        """Remove a version; the newest of those that are left becomes the newest."""
        key = self._key(subject, version)
        gone = "delete from schema_versions where subject = :subject and version = :version"
        await self.conn.execute(text(gone), {"subject": subject, "version": version})
        newest = """update schema_subjects s set latest = coalesce((select max(v.version)
                from schema_versions v where v.tenant_id = s.tenant_id and v.subject = s.subject), 0)
            where s.tenant_id = :tenant_id and s.subject = :subject"""
        await self.conn.execute(text(newest), {name: key[name] for name in ("tenant_id", "subject")})

    async def prune(self, subject: str, most: int) -> None:
        """Remove the oldest versions, so that no more than so many are left."""
        sql = """delete from schema_versions where subject = :subject and version <= (select version
            from schema_versions where subject = :subject order by version desc offset :most limit 1)"""
        await self.conn.execute(text(sql), {"subject": subject, "most": most})

    async def compatibility(self, subject: str) -> tuple[Compatibility, Compatibility]:
        """Return what is set for a subject, and for all that say nothing."""
        sql = "select subject, level, policy from schema_compatibility where subject in ('', :name)"
        found = {row["subject"]: _compatibility(row) for row in await self._all(sql, name=subject)}
        return found.get(subject, Compatibility()), found.get("", Compatibility())

    async def set_compatibility(self, subject: str, wanted: Compatibility) -> None:
        """Store what is set for a subject, or for all that say nothing."""
        sql = """insert into schema_compatibility (tenant_id, subject, level, policy)
            values (:tenant_id, :subject, :level, :policy)
            on conflict (tenant_id, subject) do update set level = excluded.level, policy = excluded.policy"""
        said = {"level": wanted.level, "policy": wanted.policy}
        values = {"tenant_id": self.tenant_id, "subject": subject, **said}
        await self.conn.execute(text(sql), values)

    def _key(self, subject: str, version: int) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "subject": subject, "version": version}

    async def _all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in (await self.conn.execute(text(sql), values)).mappings()]


def unknown(subject: str, version: int) -> Missing:
    """The refusal of a version that is not there."""
    what = f"version {version} of the subject" if version else "subject"
    message = f"There is no {what} `{subject}` in this tenant; ListSchemaSubjects shows what there is."
    return Missing("SCHEMA_UNKNOWN", message, path="subject")


def _field(row: Mapping[str, Any]) -> KnownField:
    told = {**row, "data_class": DataClass(row["data_class"])}
    subject, first, last = (told.pop(name) for name in ("subject", "first_version", "last_version"))
    return KnownField(subject, Field(**told), first, last)


def _compatibility(row: Mapping[str, Any]) -> Compatibility:
    level, policy = row["level"], row["policy"]
    return Compatibility(Level(level) if level else None, Policy(policy) if policy else None)


def _version(row: Mapping[str, Any]) -> Version:
    definition = Definition(
        Format(row["format"]),
        row.get("definition", ""),
        row.get("json_schema", ""),
        row["fingerprint"],
        row["title"],
        tuple(Loss(**loss) for loss in row.get("losses", ())),
    )
    return Version(
        row["subject"],
        row["version"],
        definition,
        row["created_by"],
        row["create_time"],
        Status(row["status"]),
        row["status_note"],
    )


__all__ = ["RegistryRows", "RegistryStore", "unknown"]
