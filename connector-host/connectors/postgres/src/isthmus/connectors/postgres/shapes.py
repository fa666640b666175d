"""What a table takes, and whether rows may be copied to it without looking at each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from isthmus.connectors.postgres.catalogue import Connection, Relation
from psycopg import sql

MARK = """
select concat_ws('/',
    (select xmin from pg_class where oid = {table}::regclass),
    (select string_agg(a.xmin::text, ',' order by a.attnum)
     from pg_attribute a where a.attrelid = {table}::regclass and a.attnum > 0),
    (select string_agg(i.xmin::text, ',' order by i.indexrelid)
     from pg_index i where i.indrelid = {table}::regclass),
    (select string_agg(g.xmin::text, ',' order by g.oid)
     from pg_trigger g where g.tgrelid = {table}::regclass))
"""
# A trigger that changes rows before they are inserted, a rule, a policy or a child table: what is
# written is not what is compared, so each row takes the way that knows nothing of them.
_TABLE = """
select c.relkind = 'r' and not c.relhasrules and not c.relhassubclass and not c.relrowsecurity
       and current_setting('server_encoding') = 'UTF8'
       and not exists (
           select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgtype & 7 = 7)
       and exists (
           select from pg_index i
           where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
           and i.indpred is null and i.indexprs is null
           and (select array_agg(a.attname::text order by a.attname::text collate "C")
                from pg_attribute a
                where a.attrelid = c.oid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]))
               = (select array_agg(k order by k collate "C") from unnest(%s::text[]) k)),
       exists (select from pg_constraint k where k.conrelid = c.oid and k.condeferrable),
       not exists (select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal)
from pg_class c where c.oid = {table}::regclass
"""
_COLUMNS = """
select a.attname::text, t.typname::text, t.typnamespace = 'pg_catalog'::regnamespace, a.atttypmod,
       t.typtype::text, t.typcategory::text, a.attgenerated::text,
       coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true),
       concat_ws('/', a.atttypid, a.atttypmod, a.attcollation), a.attnotnull
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = {table}::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""


class Kind(Enum):
    """Which values of JSON a column takes by copying them as text."""

    TEXT = auto()
    INTEGER = auto()
    NUMBER = auto()
    FLOAT = auto()
    BOOLEAN = auto()
    JSON = auto()
    STORED_JSON = auto()
    OTHER = auto()


_KINDS = {
    "text": Kind.TEXT,
    "varchar": Kind.TEXT,
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "numeric": Kind.NUMBER,
    "float4": Kind.FLOAT,
    "float8": Kind.FLOAT,
    "bool": Kind.BOOLEAN,
    "json": Kind.JSON,
    "jsonb": Kind.STORED_JSON,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column that rows can be copied to.

    Attributes:
        is_plain: Values that differ as they are written differ in the table too.
        is_common: The type and its operators are PostgreSQL's own.
        form: Equal for columns that hold the same values in the same order.
    """

    name: str
    kind: Kind
    type_name: str
    is_plain: bool
    is_common: bool
    form: str


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A table to which rows may be copied as they come; looked up again, it is another one.

    Attributes:
        mark: Changes whenever somebody alters the table.
        is_deferring: A constraint would wait for the commit.
        is_merging: The server has MERGE that tells what it did.
        is_keyed: No row is without its key.
        is_quiet: Nothing follows from writing a row.
        names: The columns' names.
        others: Names of the table's other columns, to which nothing is copied.
        layouts: What was worked out for records with certain fields.
    """

    table: tuple[str, str]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    mark: str
    is_deferring: bool
    is_merging: bool
    is_keyed: bool
    is_quiet: bool
    names: frozenset[str]
    others: frozenset[str]
    layouts: dict[frozenset[str], Any] = field(default_factory=dict, repr=False)

    def chosen(self, names: frozenset[str]) -> tuple[Column, ...]:
        """The columns of some names, in the table's order."""
        return tuple(column for column in self.columns if column.name in names)


async def shape_of(connection: Connection, relation: Relation) -> Shape | None:
    """Looks a table up; None where there is none, or one that rows cannot be copied to as they come."""
    assert relation.table is not None
    name = sql.Identifier(*relation.table).as_string(connection)
    known = await (await connection.execute("select to_regclass(%s)", (name,))).fetchone()
    if not relation.key or known is None or known[0] is None:
        return None
    table = sql.Literal(name)
    mark = await (await connection.execute(sql.SQL(MARK).format(table=table))).fetchone()
    facts = await (
        await connection.execute(sql.SQL(_TABLE).format(table=table), (list(relation.key),))
    ).fetchone()
    rows = await (await connection.execute(sql.SQL(_COLUMNS).format(table=table))).fetchall()
    if mark is None or facts is None or not facts[0]:
        return None
    columns = tuple(filter(None, map(_column, rows)))
    names = frozenset(column.name for column in columns)
    shape = Shape(
        table=relation.table,
        key=relation.key,
        columns=columns,
        mark=mark[0],
        is_deferring=facts[1],
        is_merging=connection.info.server_version >= 170000,
        is_keyed={row[0] for row in rows if row[-1]} >= set(relation.key),
        is_quiet=facts[2],
        names=names,
        others=frozenset(row[0] for row in rows) - names,
    )
    return shape if _is_comparable(shape) else None


def _column(row: tuple[Any, ...]) -> Column | None:
    """Describes a column; None for one whose values are not what their text says."""
    name, type_name, is_common, modifier, type_type, category, generated, is_deterministic, form, _ = row
    if generated or type_type not in "berm" or category == "A":
        return None
    kind = _KINDS.get(type_name, Kind.OTHER) if is_common else Kind.OTHER
    plain = kind is Kind.INTEGER or (kind is Kind.TEXT and modifier == -1 and is_deterministic)
    return Column(name, kind, type_name if is_common else "", plain, is_common, form)


def _is_comparable(shape: Shape) -> bool:
    key: Sequence[Column] = shape.chosen(frozenset(shape.key))
    return len(key) == len(shape.key) and all(column.is_common for column in key)


__all__ = ["MARK", "Column", "Kind", "Shape", "shape_of"]
