"""What writing a batch would do: it is written, looked at, and rolled back."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.thorough import (
    apply_batch,
    apply_rows,
    compared,
    groups,
    joined,
    last_of_each_key,
    removes,
    stage,
)
from isthmus.sdk import Batch
from psycopg import sql

_SAMPLES = 5
_document = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_WRITES = """
select place, before, after from (
    select s.place, to_jsonb(t)::text as before, to_jsonb(r)::text as after,
        row_number() over (partition by {new} order by s.place) as number
    from isthmus_stage s cross join lateral jsonb_populate_record(null::{table}, s.doc::jsonb) r
    left join {table} t on ({held}) = ({given})
    where {new} or {differs}
) found where number <= {samples} order by place
"""
_REMOVALS = """
select s.place, to_jsonb(t)::text
from isthmus_stage s cross join lateral jsonb_populate_record(null::{table}, s.doc::jsonb) r
join {table} t on ({held}) = ({given}) order by s.place limit {samples}
"""


async def preview(connection: Connection, relation: Relation, batch: Batch[Any]) -> None:
    """Counts and rejects as a write would, tells of a few records, and leaves the database as it is.

    Constraints and triggers of the table have their say, because the statements are those of a write.

    Raises:
        ConfigurationFailure: the table cannot be written by this key.
    """
    async with connection.transaction():
        # A constraint that waits for the commit, which never comes, would say nothing.
        await connection.execute("set constraints all immediate")
        await apply_batch(connection, relation, batch, _foreseen)
        raise psycopg.Rollback


async def _foreseen(
    connection: Connection, relation: Relation, batch: Batch[Any], places: Sequence[int]
) -> None:
    """Looks at what is to be changed, then changes it; a part that is refused is not told of."""
    told: list[tuple[Any, ...]] = []
    for group in groups(batch, last_of_each_key(batch, places, relation.key)):
        await stage(connection, batch, group)
        if removes(batch, group[0]):
            told += [
                (place, "deleted", before, "") for place, before in await _removals(connection, relation)
            ]
        else:
            told += await _writes(connection, relation, batch, group)
    await apply_rows(connection, relation, batch, places)
    for place, effect, before, after in told:
        if sum(one.effect == effect for one in batch.foreseen) < _SAMPLES:
            batch.foresee_at(place, effect, before, after)


async def _writes(
    connection: Connection, relation: Relation, batch: Batch[Any], group: Sequence[int]
) -> list[tuple[Any, ...]]:
    given = sorted({name for place in group for name in batch.records[place]})
    changing = [name for name in given if name not in relation.key]
    differs = sql.SQL("({}) is distinct from ({})").format(
        compared(relation, "t", changing), compared(relation, "r", changing)
    )
    statement = _statement(
        _WRITES,
        relation,
        new=sql.SQL("t.{} is null").format(sql.Identifier(relation.key[0])),
        differs=differs if changing else sql.SQL("false"),
    )
    rows = await (await connection.execute(statement)).fetchall()
    return [(place, *_effect(before, after, given)) for place, before, after in rows]


def _effect(before: str | None, after: str, given: Sequence[str]) -> tuple[str, str, str]:
    """Columns that are not given keep what they hold, or get their default."""
    new = _document(after)
    written = {name: new[name] for name in given}
    if before is None:
        return "created", "", _encode(written).decode()
    return "updated", before, _encode({**_document(before), **written}).decode()


async def _removals(connection: Connection, relation: Relation) -> list[tuple[Any, ...]]:
    return await (await connection.execute(_statement(_REMOVALS, relation))).fetchall()


def _statement(pattern: str, relation: Relation, **more: sql.Composable) -> sql.Composed:
    assert relation.table is not None
    return sql.SQL(pattern).format(
        table=sql.Identifier(*relation.table),
        held=joined("t.{}", relation.key),
        given=joined("r.{}", relation.key),
        samples=sql.Literal(_SAMPLES),
        **more,
    )


__all__ = ["preview"]
