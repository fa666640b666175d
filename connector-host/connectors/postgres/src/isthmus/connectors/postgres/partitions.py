"""A large table in parts that are read side by side: ranges of the first column of its key.

The name of a part tells the whole division, so that a reading goes on in it however the table has grown
meanwhile. The first and the last part have no end on their outer side, so rows that come later are in one
of them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.sdk import ConfigurationFailure
from psycopg import sql

_PARTS = 8
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_NAME = re.compile(r"(\d+) of (\d+) (?:from (-?\d+) by (\d+)|of uuid)")
_UUIDS = 1 << 128
_HAS_INDEX = """
select exists (
    select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = (i.indkey::int2[])[0]
    where i.indrelid = %s::regclass and i.indisvalid and i.indpred is null and a.attname = %s)
"""


@dataclass(frozen=True, slots=True)
class Division:
    """How a table is divided.

    Attributes:
        parts: Into how many ranges.
        first: Where the second would begin if it had no width; unused for UUIDs.
        width: Of a range; 0 for UUIDs, whose ranges are of one size.
    """

    parts: int
    first: int = 0
    width: int = 0

    def names(self) -> list[str]:
        """The names of all parts."""
        told = f"from {self.first} by {self.width}" if self.width else "of uuid"
        return [f"{place} of {self.parts} {told}" for place in range(1, self.parts + 1)]

    def bound(self, place: int) -> str:
        """Where a range begins, as text."""
        if self.width:
            return str(self.first + (place - 1) * self.width)
        return f"{_UUIDS * (place - 1) // self.parts:032x}"


@dataclass(frozen=True, slots=True)
class Part:
    """One range of a division."""

    place: int
    division: Division

    @classmethod
    def of(cls, name: str) -> "Part":
        """Reads a name.

        Raises:
            ConfigurationFailure: `PARTITION_UNKNOWN`.
        """
        told = _NAME.fullmatch(name)
        if told is None or not 1 <= int(told[1]) <= int(told[2]):
            message = f"There is no partition {name!r}; list the partitions anew."
            raise ConfigurationFailure("PARTITION_UNKNOWN", message, path="partition")
        width = int(told[4]) if told[4] else 0
        return cls(int(told[1]), Division(int(told[2]), int(told[3] or 0), width))

    @property
    def is_first(self) -> bool:
        """Whether rows without a key belong to it."""
        return self.place == 1

    def condition(self, relation: Relation) -> sql.Composable:
        """What holds for its rows."""
        name = relation.key[0]
        column, kind = sql.SQL("isthmus_row.{}").format(sql.Identifier(name)), relation.type_of(name)
        bounds: list[sql.Composable] = [sql.SQL("true")]
        if self.place > 1:
            bounds.append(_compared(column, ">=", self.division.bound(self.place), kind))
        if self.place < self.division.parts:
            bounds.append(_compared(column, "<", self.division.bound(self.place + 1), kind))
        return sql.SQL(" and ").join(bounds)


async def division_of(connection: Connection, relation: Relation, *, least_rows: int) -> Division | None:
    """How a table is divided; None for one that is small, or whose key has no ranges of equal size."""
    kind = relation.type_of(relation.key[0]) if relation.key and relation.table else ""
    if relation.table is None or not least_rows or kind not in {*_INTEGERS, "uuid"}:
        return None
    table = sql.Identifier(*relation.table)
    named = (table.as_string(connection), relation.key[0])
    indexed = await (await connection.execute(_HAS_INDEX, named)).fetchone()
    # Statistics may be old, so rows are counted, and no more of them than it takes.
    counting = sql.SQL("select count(*) from (select from {} limit {}) few").format(table, least_rows)
    counted = await (await connection.execute(counting)).fetchone()
    if indexed is None or not indexed[0] or counted is None or counted[0] < least_rows:
        return None
    if kind == "uuid":
        return Division(_PARTS)
    ends = sql.SQL("select min({0}), max({0}) from {1}").format(sql.Identifier(relation.key[0]), table)
    found = await (await connection.execute(ends)).fetchone()
    if found is None or found[0] is None or found[1] - found[0] < _PARTS:
        return None
    return Division(_PARTS, found[0], (found[1] - found[0]) // _PARTS + 1)


def known_division(names: Iterable[str]) -> list[str]:
    """The parts of the division that some are known of; none where there are none."""
    for name in names:
        if not name:
            return [""]
        if _NAME.fullmatch(name):
            return Part.of(name).division.names()
    return []


def _compared(column: sql.Composable, operator: str, bound: str, kind: str) -> sql.Composable:
    value = sql.SQL("{}::{}").format(sql.Literal(bound), sql.SQL(kind))
    return sql.SQL("{} {} {}").format(column, sql.SQL(operator), value)


__all__ = ["Part", "division_of", "known_division"]
