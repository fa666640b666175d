"""What the end of a complete refresh would remove from a table; nothing is changed."""

from collections.abc import Sequence

from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.generations import GENERATIONS, held_by, key_hash, types_of
from isthmus.sdk import Foresight, Generation
from psycopg import sql

_SEPARATOR = "\x1f"
_KNOWN = "select exists (select from {generations} where flow_id = %s and sequence > 0)"
_ABSENT = """
with shown as materialized (
    select distinct {given} as hash from unnest({arrays}) k ({columns})
), gone as materialized (
    select distinct b.hash from (select unnest(hashes) as hash from {generations} where flow_id = %s) b
    where not exists (select from shown where shown.hash = b.hash)
)
select count(*) over (), concat_ws(chr(31), {key}), to_jsonb(t)::text
from {table} t where {held} and {hash} in (select hash from gone) order by 2 limit 5
"""


async def foresee(
    connection: Connection, relation: Relation, generation: Generation, keys: Sequence[str]
) -> Foresight:
    """Compares the keys that a reading has shown with those that the flow has delivered before.

    Raises:
        DeletionsSuspicious: more would go than may.
    """
    assert relation.table is not None
    generations = sql.Identifier(relation.table[0], GENERATIONS)
    name = generations.as_string(connection)
    found = await (await connection.execute("select to_regclass(%s)", (name,))).fetchone()
    if found is None or found[0] is None:
        return Foresight(0, is_first=True)
    asking = sql.SQL(_KNOWN).format(generations=generations)
    known = await (await connection.execute(asking, (generation.flow_id,))).fetchone()
    if known is None or not known[0]:
        return Foresight(0, is_first=True)
    types = await types_of(connection, relation)
    held, values = held_by(generation, types)
    shown = [key.split(_SEPARATOR) for key in dict.fromkeys(keys)]
    arrays = [[parts[place] for parts in shown] for place in range(len(relation.key))]
    statement = sql.SQL(_ABSENT).format(
        generations=generations,
        given=key_hash("k", relation, types),
        arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in relation.key),
        columns=sql.SQL(", ").join(map(sql.Identifier, relation.key)),
        key=sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(one)) for one in relation.key),
        table=sql.Identifier(*relation.table),
        held=held,
        hash=key_hash("t", relation),
    )
    rows = await (await connection.execute(statement, (*arrays, generation.flow_id, *values))).fetchall()
    absent = int(rows[0][0]) if rows else 0
    generation.check(len(shown), absent)
    return Foresight(absent, samples=[(key, row) for _, key, row in rows])


__all__ = ["foresee"]
