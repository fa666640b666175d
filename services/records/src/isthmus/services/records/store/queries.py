"""What people and programs ask about records and streams."""

from collections.abc import Callable
from typing import Any

from isthmus.kit import Database, Page, PageRequest, encode_token
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.filters import Filter
from isthmus.services.records.domain.records import StoredRecord, Stream
from isthmus.services.records.store.filters import FilterSql
from isthmus.services.records.store.places import key_behind, number_behind, pack_key
from sqlalchemy import Row, text

PAGE_BYTES = 2 << 20

_FORM = """tenant_id, key, version, is_deleted, octet_length(data) AS size, create_time, update_time,
    writer_number, data"""
_SHOWN = """forms.key, forms.version, forms.is_deleted, forms.create_time, forms.update_time,
    encode(sha256(convert_to(forms.data, 'UTF8')), 'hex') AS content_hash, w.flow_id, w.execution_id,
    w.origin, forms.data"""
_BY_WRITERS = (
    "LEFT JOIN writers AS w ON w.tenant_id = forms.tenant_id AND w.writer_number = forms.writer_number"
)

# A page ends early when its records together are large: the answer has to fit into one message.
_CUT = f"""
    SELECT {_SHOWN}, found FROM (
        SELECT *, sum(size) OVER (ORDER BY {{order}} ROWS UNBOUNDED PRECEDING) - size AS before,
            count(*) OVER () AS found
        FROM ({{page}}) AS page
    ) AS forms {_BY_WRITERS}
    WHERE before < {PAGE_BYTES} ORDER BY {{order}}
"""

_AS_JSON = "CROSS JOIN LATERAL (SELECT r.data::jsonb AS doc OFFSET 0) AS parsed"

_OF_STREAM = """tenant_id = :tenant AND stream_number = (
            SELECT s.stream_number FROM streams AS s WHERE s.tenant_id = :tenant AND s.stream = :stream)"""

_ONE = text(f"""
    SELECT {_SHOWN} FROM (
        SELECT {_FORM} FROM records
        WHERE {_OF_STREAM} AND key = :key AND :version IN (0, version)
        UNION ALL
        SELECT {_FORM} FROM record_history
        WHERE tenant_id = :tenant AND stream = :stream AND key = :key AND version = :version
    ) AS forms {_BY_WRITERS}
""")

_FORMS = f"""
    SELECT * FROM (
        SELECT {_FORM} FROM records WHERE {_OF_STREAM} AND key = :key
        UNION ALL
        SELECT {_FORM} FROM record_history WHERE tenant_id = :tenant AND stream = :stream AND key = :key
    ) AS forms
    WHERE version < :after ORDER BY version DESC LIMIT :limit
"""

_STREAMS = text("""
    SELECT stream, records, last_change, primary_key, json_schema, update_time, is_suppressed FROM streams
    WHERE tenant_id = :tenant AND stream > :after ORDER BY stream LIMIT :limit
""")

_STORED = text("SELECT coalesce(sum(records), 0) FROM streams WHERE tenant_id = :tenant")
# A few records from both ends of each stream stand for all of it.
_WEIGHED = text("""
    SELECT coalesce(sum(s.records * w.bytes) / nullif(sum(s.records), 0), 0)
    FROM streams s CROSS JOIN LATERAL (
        SELECT coalesce(avg(octet_length(data) + octet_length(key)), 0)::float8 AS bytes FROM (
            (SELECT data, key FROM records r WHERE r.tenant_id = s.tenant_id
                AND r.stream_number = s.stream_number ORDER BY key LIMIT 200)
            UNION ALL
            (SELECT data, key FROM records r WHERE r.tenant_id = s.tenant_id
                AND r.stream_number = s.stream_number ORDER BY key DESC LIMIT 200)) AS sample) w
    WHERE s.tenant_id = :tenant AND s.records > 0
""")

_SAMPLE = text(f"""
    SELECT convert_to(data, 'UTF8') FROM records WHERE {_OF_STREAM} AND NOT is_deleted LIMIT :limit
""")


class RecordQueries:
    """Reads records for people; large reads go through `ChangeReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def query(
        self, tenant: str, stream: str, parsed: Filter | None, page: PageRequest, *, deleted: bool
    ) -> Page[StoredRecord]:
        """Find a page of records by key."""
        chosen, values = _chosen(parsed, deleted=deleted)
        found = f"SELECT {_FORM} {chosen} AND r.key > :after ORDER BY r.key LIMIT :limit"
        after = key_behind(page)
        values |= {"tenant": tenant, "stream": stream, "after": after, "limit": page.size + 1}
        async with self._database.tenant(tenant) as connection:
            rows = await connection.execute(text(_CUT.format(page=found, order="key")), values)
            return _page(stream, list(rows), page, lambda last: {"key": pack_key(last.key)})

    async def stored(self, tenant: str) -> int:
        """Sum up what the streams of a tenant hold, by their own counts."""
        async with self._database.tenant(tenant) as connection:
            return int((await connection.execute(_STORED, {"tenant": tenant})).scalar_one())

    async def weighed(self, tenant: str) -> float:
        """Tell how many bytes a tenant's records have on average, by a sample of each stream."""
        async with self._database.tenant(tenant) as connection:
            return float((await connection.execute(_WEIGHED, {"tenant": tenant})).scalar_one())

    async def count(self, tenant: str, stream: str, parsed: Filter | None, *, deleted: bool) -> int:
        """Count the records that `query` would find."""
        chosen, values = _chosen(parsed, deleted=deleted)
        async with self._database.tenant(tenant) as connection:
            statement = text(f"SELECT count(*) {chosen}")
            counted = await connection.execute(statement, {**values, "tenant": tenant, "stream": stream})
            return int(counted.scalar_one())

    async def get(self, tenant: str, stream: str, key: str, version: int) -> StoredRecord:
        """Read one form of a record; version 0 is the present one.

        Raises:
            Missing: `RECORD_UNKNOWN`.
        """
        values = {"tenant": tenant, "stream": stream, "key": key, "version": version}
        async with self._database.tenant(tenant) as connection:
            row = (await connection.execute(_ONE, values)).one_or_none()
        if row is None:
            raise _unknown(stream, key, version)
        return _record(stream, row)

    async def versions(self, tenant: str, stream: str, key: str, page: PageRequest) -> Page[StoredRecord]:
        """List the forms of a record, newest first.

        Raises:
            Missing: `RECORD_UNKNOWN`.
        """
        after = number_behind(page, "version", 1 << 31)
        values = {"tenant": tenant, "stream": stream, "key": key, "after": after, "limit": page.size + 1}
        async with self._database.tenant(tenant) as connection:
            statement = text(_CUT.format(page=_FORMS, order="version DESC"))
            rows = list(await connection.execute(statement, values))
        if not rows and page.after is None:
            raise _unknown(stream, key, 0)
        return _page(stream, rows, page, lambda last: {"version": last.version})

    async def streams(self, tenant: str, page: PageRequest) -> Page[Stream]:
        """List the tenant's streams by name."""
        after = str((page.after or {}).get("stream", ""))
        async with self._database.tenant(tenant) as connection:
            values = {"tenant": tenant, "after": after, "limit": page.size + 1}
            rows = [_stream(row) for row in await connection.execute(_STREAMS, values)]
        return Page.of(rows, page, lambda stream: {"stream": stream.name})

    async def sample(self, tenant: str, stream: str, limit: int) -> list[bytes]:
        """Read a few records of a stream, any."""
        async with self._database.tenant(tenant) as connection:
            values = {"tenant": tenant, "stream": stream, "limit": limit}
            return [bytes(data) for (data,) in await connection.execute(_SAMPLE, values)]


def _chosen(parsed: Filter | None, *, deleted: bool) -> tuple[str, dict[str, Any]]:
    filtered = FilterSql(parsed)
    source = f"FROM records AS r {_AS_JSON}" if filtered.condition else "FROM records AS r"
    conditions = [f"r.{_OF_STREAM.replace('AND stream_number', 'AND r.stream_number')}"]
    conditions += [] if deleted else ["NOT r.is_deleted"]
    conditions += [filtered.condition] if filtered.condition else []
    return f"{source} WHERE {' AND '.join(conditions)}", filtered.values


def _page(
    stream: str, rows: list[Row[Any]], page: PageRequest, place: Callable[[StoredRecord], dict[str, Any]]
) -> Page[StoredRecord]:
    records = [_record(stream, row) for row in rows[: page.size]]
    more = bool(rows) and rows[0].found > len(records)
    return Page(records, encode_token(place(records[-1])) if more else "")


def _record(stream: str, row: Row[Any]) -> StoredRecord:
    return StoredRecord(
        stream=stream,
        key=row.key,
        data=row.data,
        version=row.version,
        content_hash=row.content_hash,
        is_deleted=row.is_deleted,
        flow_id=row.flow_id,
        execution_id=row.execution_id,
        origin=row.origin,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _stream(row: Row[Any]) -> Stream:
    return Stream(
        row.stream,
        row.records,
        row.last_change,
        tuple(row.primary_key),
        row.json_schema,
        row.update_time,
        row.is_suppressed,
    )


def _unknown(stream: str, key: str, version: int) -> Missing:
    which = f"version {version} of record" if version else "record"
    return Missing("RECORD_UNKNOWN", f"Stream {stream!r} holds no {which} {key!r}; query the stream.")


__all__ = ["PAGE_BYTES", "RecordQueries"]
