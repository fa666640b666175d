"""Rows of a relation, page by page, so that a broken reading goes on where it stood."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.sdk import Page
from psycopg import sql

_decode = msgspec.json.Decoder(dict[str, Any]).decode


async def pages(
    connection: Connection,
    relation: Relation,
    *,
    rows: int,
    since: Any = None,
    resume: Mapping[str, Any] | None = None,
    limit: int = 0,
) -> AsyncIterator[Page[dict[str, Any]]]:
    """Gives pages in the order of cursor and key.

    The first page of an incremental reading starts *at* `since`, so rows that
    share one cursor value are not lost. Each page after it starts behind the
    last row of the one before (keyset paging), so rows that come or go
    meanwhile shift nothing. Without a key the rows come in one go.
    """
    order = tuple(dict.fromkeys(filter(None, (relation.cursor, *relation.key))))
    size = min(rows, limit) if limit else rows
    if not relation.key:
        async for page in _unordered(connection, relation, size, since):
            yield page
        return
    after = list(resume["after"]) if resume else None
    while True:
        statement, values = _statement(relation, order, size, since, after)
        found = await (await connection.execute(statement, values, prepare=True)).fetchall()
        if not found:
            return
        after = list(found[-1][1:])
        yield Page([_decode(row[0]) for row in found], resume={"after": after})
        if len(found) < size:
            return


async def _unordered(
    connection: Connection, relation: Relation, size: int, since: Any
) -> AsyncIterator[Page[dict[str, Any]]]:
    where, values = _since(relation, since)
    statement = sql.SQL("select to_jsonb(q)::text from {} where {}").format(relation.body, where)
    async with connection.transaction(), connection.cursor(name="isthmus_read") as cursor:
        await cursor.execute(statement, values)
        while found := await cursor.fetchmany(size):
            yield Page([_decode(row[0]) for row in found])


def _statement(
    relation: Relation, order: tuple[str, ...], size: int, since: Any, after: list[str] | None
) -> tuple[sql.Composed, list[Any]]:
    where, values = _behind(relation, order, after) if after is not None else _since(relation, since)
    columns = sql.SQL(", ").join(sql.SQL("q.{}::text").format(sql.Identifier(name)) for name in order)
    ordering = sql.SQL(", ").join(sql.SQL("q.{}").format(sql.Identifier(name)) for name in order)
    statement = sql.SQL("select to_jsonb(q)::text, {} from {} where {} order by {} limit {}").format(
        columns, relation.body, where, ordering, sql.Literal(size)
    )
    return statement, values


def _since(relation: Relation, since: Any) -> tuple[sql.Composable, list[Any]]:
    if not relation.cursor:
        return sql.SQL("true"), []
    column, kind = sql.Identifier(relation.cursor), _type(relation, relation.cursor)
    if since is None:
        # A row without a cursor value could never be told apart from one seen before.
        return sql.SQL("q.{} is not null").format(column), []
    return sql.SQL("q.{} >= %s::text::{}").format(column, kind), [str(since)]


def _behind(relation: Relation, order: tuple[str, ...], after: list[str]) -> tuple[sql.Composable, list[Any]]:
    columns = sql.SQL(", ").join(sql.SQL("q.{}").format(sql.Identifier(name)) for name in order)
    values = sql.SQL(", ").join(sql.SQL("%s::text::{}").format(_type(relation, name)) for name in order)
    return sql.SQL("({}) > ({})").format(columns, values), list(after)


def _type(relation: Relation, column: str) -> sql.Composable:
    # The name comes from format_type of the database itself, quoted where it must be.
    return sql.SQL(relation.type_of(column))


__all__ = ["pages"]
