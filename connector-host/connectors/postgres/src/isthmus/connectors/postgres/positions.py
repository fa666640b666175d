"""How far each flow has written, remembered in the schema of its table."""

from typing import Any

from isthmus.connectors.postgres.catalogue import Connection
from isthmus.sdk import Batch, Fenced
from psycopg import sql

# Of two sessions that create one table at a time, the second would fail.
_POSITIONS = """
select pg_advisory_xact_lock(hashtextextended('isthmus_positions', 0));
create table if not exists {positions} (
    flow_id text not null, partition text not null, fencing_token bigint not null, sequence bigint not null,
    applied_at timestamptz not null default now(), primary key (flow_id, partition))
"""
_ADVANCE = """
insert into {positions} as p (flow_id, partition, fencing_token, sequence) values (%s, %s, %s, %s)
on conflict (flow_id, partition) do update
set fencing_token = excluded.fencing_token, sequence = excluded.sequence, applied_at = now()
where (p.fencing_token, p.sequence) < (excluded.fencing_token, excluded.sequence)
returning sequence
"""


async def positions_in(connection: Connection, schema: str) -> sql.Identifier:
    """The table of a schema that remembers positions; it is created when it is missing."""
    positions = sql.Identifier(schema, "isthmus_positions")
    known = await connection.execute("select to_regclass(%s)", (positions.as_string(connection),))
    row = await known.fetchone()
    if row is None or row[0] is None:
        await connection.execute(sql.SQL(_POSITIONS).format(positions=positions))
    return positions


async def advance(connection: Connection, schema: str, batch: Batch[Any]) -> bool:
    """Moves the flow's position; False when this batch has been applied before.

    Raises:
        Fenced: a newer attempt has written this flow.
    """
    if not batch.id.flow_id:
        return True
    positions = await positions_in(connection, schema)
    who = (batch.id.flow_id, batch.id.partition)
    values = (*who, batch.id.fencing_token, batch.id.sequence)
    advanced = await connection.execute(sql.SQL(_ADVANCE).format(positions=positions), values)
    if await advanced.fetchone() is not None:
        return True
    held = await connection.execute(
        sql.SQL("select fencing_token from {} where flow_id = %s and partition = %s").format(positions), who
    )
    token = await held.fetchone()
    if token is not None and token[0] > batch.id.fencing_token:
        raise Fenced
    return False


__all__ = ["advance", "positions_in"]
