"""Looks through everything that may tell of a person, page by page, and takes it out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.kit import Database
from isthmus.mapper.privacy import Classes
from isthmus.services.records.domain.classes import unpacked
from isthmus.services.records.domain.persons import Erased, judged, mentions, normal, personal, without
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_ROWS = 2000
_FORMS = ("base", "source_form", "destination_form", "result")
# Rows that cannot hold the value are not sent: a text with a backslash may spell it in another way.
_MAY_HOLD = "(strpos(lower({column}), :needle) > 0 OR strpos({column}, '\\') > 0 OR :needle = '')"


def _paged(columns: str, table: str, order: str, condition: str, place: str = "") -> str:
    """One page of a table: where it ends, how many rows it has, and those that may hold the value."""
    return f"""
        WITH page AS MATERIALIZED (SELECT {columns}, ARRAY[{place or order}] AS place,
                row_number() OVER (ORDER BY {order}) AS nr
            FROM {table} ORDER BY {order} LIMIT {_ROWS})
        SELECT told.last, told.seen, found.*
        FROM (SELECT count(*) AS seen, (SELECT place FROM page ORDER BY nr DESC LIMIT 1) AS last
            FROM page) AS told
        LEFT JOIN (SELECT * FROM page WHERE {condition}) AS found ON true
        ORDER BY found.nr
    """


_DATA = _MAY_HOLD.format(column="data")
_PAGES = {
    "records": _paged(
        "key, version, is_deleted, change, is_addition, data",
        "records WHERE tenant_id = :tenant AND stream_number = :number AND key > :after",
        "key",
        _DATA,
    ),
    "history": _paged(
        "key, version, is_deleted, data",
        "record_history WHERE tenant_id = :tenant AND stream = :stream "
        "AND (key, version) > (:after, :version)",
        "key, version",
        _DATA,
        "key, version::text",
    ),
    "quarantine": _paged(
        "quarantine_id, flow_id, key, record, is_binary, reasons::text AS reasons, classes, create_time",
        "quarantine WHERE tenant_id = :tenant AND quarantine_id > :after",
        "quarantine_id",
        f"{_MAY_HOLD.format(column='record')} OR {_MAY_HOLD.format(column='key')} "
        f"OR {_MAY_HOLD.format(column='reasons')}",
    ),
    "conflicts": _paged(
        "conflict_id, flow_id, source_key, destination_key, base, source_form, destination_form, result",
        "conflicts WHERE tenant_id = :tenant AND conflict_id > :after",
        "conflict_id",
        _MAY_HOLD.format(
            column="concat_ws(' ', source_key, destination_key, base, source_form, destination_form, result)"
        ),
    ),
    "pairs": _paged(
        "pair_id, flow_id, source_key, destination_key, base, source_form, destination_form",
        "pairs WHERE tenant_id = :tenant AND pair_id > :after",
        "pair_id",
        _MAY_HOLD.format(
            column="concat_ws(' ', source_key, destination_key, base, source_form, destination_form)"
        ),
    ),
}
_LOCK = text("SELECT last_change FROM streams WHERE tenant_id = :tenant AND stream = :stream FOR UPDATE")
_REPLACE = text("""
    UPDATE records SET data = :line, change = :change, version = version + 1, is_addition = false,
        update_time = now()
    WHERE tenant_id = :tenant AND stream_number = :number AND key = :key
""")
_MARK = text("""
    UPDATE records SET data = '{}', change = :change, version = version + 1, is_addition = false,
        is_deleted = true, update_time = now()
    WHERE tenant_id = :tenant AND stream_number = :number AND key = :key
""")
_REMOVE = text("DELETE FROM records WHERE tenant_id = :tenant AND stream_number = :number AND key = :key")
_ADDITION = text("""
    UPDATE additions SET keys = array_replace(keys, :key, '')
    WHERE tenant_id = :tenant AND stream_number = :number AND first_change <= :change
        AND last_change >= :change
""")
_ADVANCE = text("""
    UPDATE streams SET last_change = :change, records = records - :gone, update_time = now()
    WHERE tenant_id = :tenant AND stream = :stream
""")
_READ = text("""
    SELECT key, is_deleted, change, is_addition, data FROM records
    WHERE tenant_id = :tenant AND stream_number = :number AND key = ANY (CAST(:keys AS text[]))
""")
_HISTORY = text("""
    UPDATE record_history SET data = :line
    WHERE tenant_id = :tenant AND stream = :stream AND key = :key AND version = :version
""")
_NO_HISTORY = text("""
    DELETE FROM record_history
    WHERE tenant_id = :tenant AND stream = :stream AND key = :key AND version = :version
""")
_QUARANTINE = text("""
    UPDATE quarantine SET record = :record, size = octet_length(CAST(:record AS text)), is_binary = false,
        key = :key, reasons = CAST(:reasons AS json), update_time = now()
    WHERE tenant_id = :tenant AND quarantine_id = :id
""")
_NO_QUARANTINE = text("DELETE FROM quarantine WHERE tenant_id = :tenant AND quarantine_id = :id")
_CONFLICT = text("""
    UPDATE conflicts SET source_key = :source_key, destination_key = :destination_key, base = :base,
        source_form = :source_form, destination_form = :destination_form, result = :result
    WHERE tenant_id = :tenant AND conflict_id = :id
""")
_NUMBERS = text("SELECT stream, stream_number FROM streams WHERE tenant_id = :tenant ORDER BY stream")
_DELETED = "‹erased›"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: a table, and of records which stream of it."""

    kind: str
    stream: str = ""
    number: int = 0
    classes: Classes = field(default_factory=Classes)
    by_flow: Mapping[str, Classes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A row that tells of the person."""

    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a place that was looked through.

    Attributes:
        seen: Rows looked at.
        found: Those that tell of the person.
        after: Where the next page begins; None at the end.
    """

    seen: int
    found: Sequence[Found]
    after: list[str] | None


class PersonStore:
    """Finds and erases one person's data.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def numbers(self, tenant_id: str) -> dict[str, int]:
        """The streams of a tenant with their numbers."""
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_NUMBERS, {"tenant": tenant_id})
            return {row.stream: row.stream_number for row in rows}

    async def page(self, tenant_id: str, place: Place, subject: str, after: Sequence[str]) -> Page:
        """Look through the next rows of a place."""
        wanted = normal(subject)
        values: dict[str, Any] = {
            "tenant": tenant_id,
            "needle": wanted if wanted.isascii() and '"' not in wanted else "",
            "after": after[0] if after else "",
        }
        if place.kind == "history":
            values |= {"stream": place.stream, "version": int(after[1]) if len(after) > 1 else 0}
        elif place.kind == "records":
            values |= {"number": place.number}
        async with self._database.tenant(tenant_id) as connection:
            rows = list(await connection.execute(text(_PAGES[place.kind]), values))
        seen, last = rows[0].seen, rows[0].last
        tells = _teller(place, subject)
        found = [Found(dict(row._mapping)) for row in rows if row.place is not None and tells(row)]
        ends = seen < _ROWS
        return Page(seen, found, None if ends else list(last))

    async def erase(
        self,
        connection: AsyncConnection,
        tenant_id: str,
        place: Place,
        subject: str,
        page: Page,
        *,
        removes: bool,
    ) -> int:
        """Take out what was found on a page, in the caller's transaction; gives how many rows changed."""
        if place.kind == "records":
            return await self._erase_records(connection, tenant_id, place, subject, page, removes=removes)
        for found in page.found:
            row, values = found.row, {"tenant": tenant_id}
            if place.kind == "history":
                done = _judge(place, subject, row["key"], row["data"], removes=removes)
                named = {**values, "stream": place.stream, "key": row["key"], "version": row["version"]}
                if done is not None and done.line is not None:
                    await connection.execute(_HISTORY, {**named, "line": done.line})
                elif done is not None:
                    await connection.execute(_NO_HISTORY, named)
            elif place.kind == "quarantine":
                await _erase_quarantined(connection, values, row, subject, removes=removes)
            elif place.kind == "conflicts":
                classes = place.by_flow.get(row["flow_id"], Classes())
                told = {name: without(row[name], subject, classes) for name in _FORMS}
                keys = {name: _clean(row[name], subject) for name in ("source_key", "destination_key")}
                await connection.execute(_CONFLICT, {**values, **told, **keys, "id": row["conflict_id"]})
        return len(page.found)

    async def _erase_records(
        self,
        connection: AsyncConnection,
        tenant_id: str,
        place: Place,
        subject: str,
        page: Page,
        *,
        removes: bool,
    ) -> int:
        """Whoever holds the stream is its only writer, so records are read anew behind the lock."""
        if not page.found:
            return 0
        named = {"tenant": tenant_id, "stream": place.stream}
        change = (await connection.execute(_LOCK, named)).scalar_one()
        asked = {"tenant": tenant_id, "number": place.number}
        keys = [found.row["key"] for found in page.found]
        gone = count = 0
        for row in list(await connection.execute(_READ, {**asked, "keys": keys})):
            done = _judge(place, subject, row.key, row.data, removes=removes)
            if done is None:
                continue
            count, values = count + 1, {**asked, "key": row.key}
            gone += done.line is None and not row.is_deleted
            if done.line is not None:
                change += 1
                await connection.execute(_REPLACE, {**values, "line": done.line, "change": change})
            elif normal(subject) in normal(row.key) or row.is_deleted:
                # The key tells of the person, so nothing may stay, not even word of the deletion.
                await connection.execute(_REMOVE, values)
                if row.is_addition:
                    await connection.execute(_ADDITION, {**values, "change": row.change})
            else:
                change += 1
                await connection.execute(_MARK, {**values, "change": change})
        await connection.execute(_ADVANCE, {**named, "change": change, "gone": gone})
        return count


async def _erase_quarantined(
    connection: AsyncConnection,
    values: Mapping[str, Any],
    row: Mapping[str, Any],
    subject: str,
    *,
    removes: bool,
) -> None:
    values = {**values, "id": row["quarantine_id"]}
    if removes:
        await connection.execute(_NO_QUARANTINE, values)
        return
    told = {
        "record": without(row["record"], subject, unpacked(row["classes"])),
        "reasons": without(row["reasons"], subject, Classes()),
        "key": _clean(row["key"], subject),
    }
    await connection.execute(_QUARANTINE, {**values, **told})


def _clean(key: str, subject: str) -> str:
    return _DELETED if normal(subject) in key.casefold() else key


def _judge(place: Place, subject: str, key: str, data: str, *, removes: bool) -> Erased | None:
    wanted = normal(subject)
    return judged(data, key, personal(place.classes), lambda value: normal(value) == wanted, removes=removes)


def _teller(place: Place, subject: str) -> Callable[[Row[Any]], bool]:
    if place.kind in {"records", "history"}:
        return lambda row: _judge(place, subject, row.key, row.data, removes=False) is not None
    if place.kind == "quarantine":
        return lambda row: any(mentions(part, subject) for part in (row.record, row.key, row.reasons))
    names = ("source_key", "destination_key", *_FORMS)
    return lambda row: any(mentions(getattr(row, name, None), subject) for name in names)


__all__ = ["Found", "Page", "PersonStore", "Place"]
