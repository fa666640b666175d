"""Rows of a relation, page by page, so that a broken reading goes on where it stood."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.line import Line
from isthmus.connectors.postgres.partitions import Part
from isthmus.sdk import Between, Page
from psycopg import sql

_EXACT_DIGITS = 15
ZONED = "timestamp with time zone"
TIMES = (ZONED, "timestamp without time zone", "date")


def _number(text: str) -> float | str:
    """A float where that is exact; a longer number travels as text."""
    digits = sum(character.isdigit() for character in text.lower().split("e")[0].lstrip("-0."))
    return float(text) if digits <= _EXACT_DIGITS else text


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=_number).decode


async def pages(
    line: Line,
    relation: Relation,
    *,
    rows: int,
    since: Any = None,
    resume: Mapping[str, Any] | None = None,
    limit: int = 0,
    part: Part | None = None,
    between: Between | None = None,
) -> AsyncIterator[Page[dict[str, Any]]]:
    """Gives pages in the order of cursor and key.

    The first page of an incremental reading starts *at* `since`, so rows that
    share one cursor value are not lost. Each page after it starts behind the
    last row of the one before (keyset paging), so rows that come or go
    meanwhile shift nothing, and a page that failed is asked for again. Without
    a key the rows come in one go, which nobody can take up in the middle.

    A reading from the beginning gives rows without a cursor value too, ahead of
    the others, and rows without a key, which nothing could be told apart from.

    Of a part only its range of the key is given, in the order of the key. With a
    span of time only rows whose cursor lies in it are given.
    """
    size = min(rows, limit) if limit else rows
    within = _within(relation, between) if between is not None else None
    after: list[str] | None = (resume or {}).get("after")
    if part is not None:
        undated = replace(relation, cursor="")
        async for page in _in_part(line, undated, size, part, after=after, within=within):
            yield page
        return
    if within is not None:
        async for page in _in_span(line, relation, size, within, after=after):
            yield page
        return
    if not relation.key:
        async for page in _unordered(line, relation, size, _since(relation, since)):
            yield page
        return
    place = dict(resume or {})
    if since is None and not place.get("dated"):
        async for page in _undated(line, relation, size, place.get("after")):
            yield page
        place = {}
    after = list(place["after"]) if place else None
    order = tuple(dict.fromkeys(filter(None, (relation.cursor, *relation.key))))
    async for found, last in _ordered(line, relation, order, size, since=since, after=after):
        yield Page(found, resume={"after": last, "dated": True})


async def _in_part(
    line: Line,
    relation: Relation,
    size: int,
    part: Part,
    *,
    after: list[str] | None,
    within: sql.Composable | None,
) -> AsyncIterator[Page[dict[str, Any]]]:
    """Rows of a range of the key; those that lack a key column belong to the first one."""
    if part.is_first and within is None:
        async for page in _undated(line, relation, size, after):
            yield page
    where: sql.Composable = part.condition(relation)
    if within is not None:
        where = sql.SQL("{} and {}").format(where, within)
    async for found, last in _ordered(line, relation, relation.key, size, after=after, where=where):
        yield Page(found, resume={"after": last})


async def _in_span(
    line: Line, relation: Relation, size: int, within: sql.Composable, *, after: list[str] | None
) -> AsyncIterator[Page[dict[str, Any]]]:
    """Rows whose cursor lies in a span of time; those that lack a key column come first."""
    if after is None:
        lacking = [sql.SQL("{} is null").format(_column(name)) for name in relation.key]
        keyless: sql.Composable = sql.SQL(" or ").join(lacking) if lacking else sql.SQL("true")
        async for page in _unordered(
            line, relation, size, (sql.SQL("({}) and {}").format(keyless, within), [])
        ):
            yield page
    if relation.key:
        order = tuple(dict.fromkeys((relation.cursor, *relation.key)))
        async for found, last in _ordered(line, relation, order, size, after=after, where=within):
            yield Page(found, resume={"after": last})


async def _undated(
    line: Line, relation: Relation, size: int, after: list[str] | None
) -> AsyncIterator[Page[dict[str, Any]]]:
    """Rows that lack a key column, and then those that lack only the cursor."""
    if after is None:
        lacking = sql.SQL(" or ").join(sql.SQL("{} is null").format(_column(name)) for name in relation.key)
        async for page in _unordered(line, relation, size, (lacking, [])):
            yield page
    if relation.cursor and relation.cursor not in relation.key:
        undated = sql.SQL("{} is null").format(_column(relation.cursor))
        async for found, last in _ordered(line, relation, relation.key, size, after=after, where=undated):
            yield Page(found, resume={"after": last})


async def _ordered(
    line: Line,
    relation: Relation,
    order: tuple[str, ...],
    size: int,
    *,
    since: Any = None,
    after: list[str] | None = None,
    where: sql.Composable | None = None,
) -> AsyncIterator[tuple[list[dict[str, Any]], list[str]]]:
    """Rows by keyset paging, and with each page the values of its last row."""
    keyed = [sql.SQL("{} is not null").format(_column(name)) for name in relation.key]
    held = sql.SQL(" and ").join([*keyed, *([where] if where is not None else [])])
    while True:
        first = (sql.SQL("true"), []) if where is not None else _since(relation, since)
        behind, values = first if after is None else _behind(relation, order, after)
        conditions = sql.SQL("{} and {}").format(held, behind)
        statement = _statement(relation, order, size, conditions)
        found = await line.run(partial(_rows, statement, values), what=f"Reading {relation.name}")
        if not found:
            return
        after = list(found[-1][1:])
        yield [_decode(row[0]) for row in found], after
        if len(found) < size:
            return


async def _unordered(
    line: Line, relation: Relation, size: int, condition: tuple[sql.Composable, list[Any]]
) -> AsyncIterator[Page[dict[str, Any]]]:
    where, values = condition
    declare = sql.SQL(
        "declare isthmus_read no scroll cursor for select to_jsonb(isthmus_row)::text from {} where {}"
    ).format(relation.body, where)
    fetch = sql.SQL("fetch {} from isthmus_read").format(sql.Literal(size))
    what = f"Reading {relation.name}"

    async def more(connection: Connection) -> list[tuple[Any, ...]]:
        found = await (await connection.execute(fetch)).fetchall()
        if len(found) < size:
            await connection.rollback()
        return found

    async def start(connection: Connection) -> list[tuple[Any, ...]]:
        await connection.execute("begin")
        await connection.execute(declare, values)
        return await more(connection)

    found = await line.run(start, what=what)
    while found:
        yield Page([_decode(row[0]) for row in found])
        if len(found) < size:
            return
        # The cursor is gone with its connection, and another would begin at another row: try it once.
        found = await line.run(more, what=what, safe=False)


async def _rows(statement: sql.Composed, values: list[Any], connection: Connection) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, values, prepare=True)).fetchall()


def _statement(relation: Relation, order: tuple[str, ...], size: int, where: sql.Composable) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.SQL("{}::text").format(_column(name)) for name in order)
    ordering = sql.SQL(", ").join(_column(name) for name in order)
    return sql.SQL("select to_jsonb(isthmus_row)::text, {} from {} where {} order by {} limit {}").format(
        columns, relation.body, where, ordering, sql.Literal(size)
    )


def _since(relation: Relation, since: Any) -> tuple[sql.Composable, list[Any]]:
    if not relation.cursor or (since is None and not relation.key):
        return sql.SQL("true"), []
    column, kind = _column(relation.cursor), _type(relation, relation.cursor)
    if since is None:
        return sql.SQL("{} is not null").format(column), []
    return sql.SQL("{} >= %s::text::{}").format(column, kind), [str(since)]


def _within(relation: Relation, between: Between) -> sql.Composable:
    """Times without a zone are read as UTC."""
    column = _column(relation.cursor)
    zoned = relation.type_of(relation.cursor) == ZONED
    bound = sql.SQL("{}::timestamptz" if zoned else "({}::timestamptz at time zone 'UTC')")
    first, end = (bound.format(sql.Literal(one.isoformat())) for one in (between.start, between.end))
    return sql.SQL("({0} >= {1} and {0} < {2})").format(column, first, end)


def _behind(relation: Relation, order: tuple[str, ...], after: list[str]) -> tuple[sql.Composable, list[Any]]:
    columns = sql.SQL(", ").join(_column(name) for name in order)
    values = sql.SQL(", ").join(sql.SQL("%s::text::{}").format(_type(relation, name)) for name in order)
    return sql.SQL("({}) > ({})").format(columns, values), list(after)


def _column(name: str) -> sql.Composable:
    return sql.SQL("isthmus_row.{}").format(sql.Identifier(name))


def _type(relation: Relation, column: str) -> sql.Composable:
    # The name comes from format_type of the database itself, quoted where it must be.
    return sql.SQL(relation.type_of(column))


__all__ = ["TIMES", "pages"]
