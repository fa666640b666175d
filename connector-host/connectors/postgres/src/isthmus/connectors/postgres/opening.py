"""How a transaction that writes a table begins: nobody has altered it, and the position moves."""

from collections import OrderedDict
from collections.abc import Iterator

from isthmus.connectors.postgres.catalogue import Connection
from isthmus.connectors.postgres.positions import positions_in
from isthmus.connectors.postgres.shapes import MARK, Shape
from isthmus.connectors.postgres.talking import Part
from psycopg import sql

_MOST_PREPARED = 100
# Few rows are looked up in a table that may be large, by a statement that was planned when it was
# small: only its index will do, and no more than a part of it is read.
_BY_INDEX = (
    b"set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;"
    b" set enable_mergejoin = off; set plan_cache_mode = force_generic_plan"
)
# A constraint that waits for the commit would blame the batch instead of the row.
_IMMEDIATE = b"set constraints all immediate"
_LOCK = "lock table only {table} in row exclusive mode"
# Whatever forbids to go on fails, so that all that follows can be in the same message.
_MARK = "prepare {name} as select 1 / (case when ({mark}) = {known} then 1 else 0 end)"
_ADVANCE = """
prepare {name} (text, text, bigint, bigint) as
with moved as (
    insert into {positions} as p (flow_id, partition, fencing_token, sequence) values ($1, $2, $3, $4)
    on conflict (flow_id, partition) do update
    set fencing_token = excluded.fencing_token, sequence = excluded.sequence, applied_at = now()
    where (p.fencing_token, p.sequence) < (excluded.fencing_token, excluded.sequence)
    returning sequence
)
select 1 / count(*) from moved
"""


class Openings:
    """What a connection has been told about the beginnings of transactions.

    Args:
        connection: Idle whenever it is asked for something new.
        numbers: For names that nothing on any connection has had.
    """

    def __init__(self, connection: Connection, numbers: Iterator[int]) -> None:
        self._connection = connection
        self._numbers = numbers
        self._marks: OrderedDict[Shape, bytes] = OrderedDict()
        self._advances: dict[str, bytes] = {}

    async def begin(self, shape: Shape) -> list[Part]:
        """Begins a transaction; fails at `mark` where the table is not what it was."""
        if not self._marks:
            await self._connection.execute(_BY_INDEX)
        if shape not in self._marks:
            await self._prepare(shape)
        self._marks.move_to_end(shape)
        parts = [Part("begin", b"begin")]
        if shape.is_deferring:
            parts.append(Part("immediate", _IMMEDIATE))
        lock = sql.SQL(_LOCK).format(table=sql.Identifier(*shape.table)).as_bytes(self._connection)
        return [*parts, Part("lock", lock), Part("mark", b"execute " + self._marks[shape])]

    async def advance(self, schema: str) -> bytes:
        """The name of the statement that moves a position in a schema; it fails where that does not move."""
        if schema not in self._advances:
            name = sql.Identifier(f"isthmus_{next(self._numbers)}")
            positions = await positions_in(self._connection, schema)
            await self._connection.execute(sql.SQL(_ADVANCE).format(name=name, positions=positions))
            self._advances[schema] = name.as_bytes(self._connection)
        return self._advances[schema]

    async def _prepare(self, shape: Shape) -> None:
        if len(self._marks) >= _MOST_PREPARED:
            await self._connection.execute(b"deallocate " + self._marks.popitem(last=False)[1])
        name = sql.Identifier(f"isthmus_{next(self._numbers)}")
        table = sql.Literal(sql.Identifier(*shape.table).as_string(self._connection))
        mark = sql.SQL(MARK).format(table=table)
        statement = sql.SQL(_MARK).format(name=name, mark=mark, known=sql.Literal(shape.mark))
        await self._connection.execute(statement)
        self._marks[shape] = name.as_bytes(self._connection)


__all__ = ["Openings"]
