"""Tables of one connection into which rows are copied before they take effect."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from isthmus.connectors.postgres.catalogue import Connection
from isthmus.connectors.postgres.positions import positions_in
from isthmus.connectors.postgres.rows import DELIMITER
from isthmus.connectors.postgres.shapes import MARK, Column, Kind, Shape
from psycopg import sql

# Each commit empties all of them, so there are few; tables with the same columns share one.
_MOST_STAGES = 8
_MOST_PREPARED = 100
# Types that have no equality of their own, and what to compare them as.
_COMPARED_AS = {"json": "jsonb", "xml": "text", "point": "text", "box": "text", "polygon": "text"}
_FORMAT = sql.SQL("from stdin (delimiter {}, null 'None', encoding 'UTF8')").format(sql.Literal(DELIMITER))
# Few rows are looked up in a table that may be large, by a statement that was planned when it was
# small: only its index will do.
_BY_INDEX = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off"
# A constraint that waits for the commit would blame the batch instead of the row.
_IMMEDIATE = "set constraints all immediate; "
_BEGIN = "begin; {immediate}lock table only {table} in row exclusive mode; execute {mark}"
_ADVANCE = """
prepare {name} (text, text, bigint, bigint) as
insert into {positions} as p (flow_id, partition, fencing_token, sequence) values ($1, $2, $3, $4)
on conflict (flow_id, partition) do update
set fencing_token = excluded.fencing_token, sequence = excluded.sequence, applied_at = now()
where (p.fencing_token, p.sequence) < (excluded.fencing_token, excluded.sequence)
returning sequence
"""
_STAGE = (
    "create temporary table {stage} on commit delete rows as select {columns} from {table} t with no data"
)
# A staged row is looked up by the table's index and takes no lock where nothing in it differs.
_MERGE = """
prepare {name} as
with written as (
    merge into {table} as t using pg_temp.{stage} s on {same}
    {when_matched}
    when not matched then insert ({columns}) overriding system value values ({staged})
    returning merge_action() as action
)
select count(*) filter (where action = 'INSERT'), count(*) filter (where action = 'UPDATE') from written
"""
_WHEN_MATCHED = "when matched and ({before}) is distinct from ({after}) then update set {changes}"
_UPSERT = """
prepare {name} as
with written as (
    insert into {table} as t ({columns}) overriding system value
    select {staged} from pg_temp.{stage} s
    left join lateral (select {held} from {table} t where {same} offset 0) t on true
    where {wanted} on conflict ({key}) {resolution}
    returning (xmax = 0) as is_new
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from written
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """What to say to copy rows of one kind and to apply them."""

    begin: bytes
    copy: bytes
    load: bytes
    apply: bytes


@dataclass(frozen=True, slots=True)
class _Form:
    """What a stage holds; rows of several tables may have it, one batch after the other."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]


class Stages:
    """What a connection has been told about the tables it writes.

    Args:
        connection: Idle whenever it is asked for something new.
        numbers: For names that nothing on any connection has had.
    """

    def __init__(self, connection: Connection, numbers: Iterator[int]) -> None:
        self._connection = connection
        self._numbers = numbers
        self._stages: OrderedDict[_Form, str] = OrderedDict()
        self._prepared: OrderedDict[tuple[Shape, frozenset[str]], _Prepared] = OrderedDict()
        self._advances: dict[str, sql.Identifier] = {}

    async def advance(self, schema: str) -> sql.Identifier:
        """The prepared statement that moves a position in a schema."""
        if schema not in self._advances:
            name = sql.Identifier(f"isthmus_{next(self._numbers)}")
            positions = await positions_in(self._connection, schema)
            await self._connection.execute(sql.SQL(_ADVANCE).format(name=name, positions=positions))
            self._advances[schema] = name
        return self._advances[schema]

    async def statements(self, shape: Shape, names: frozenset[str]) -> Statements:
        """The statements for rows with these columns; their stage is there."""
        known = self._prepared.get((shape, names))
        if known is None:
            if len(self._prepared) >= _MOST_PREPARED:
                await self._deallocate(next(iter(self._prepared)))
            form = _form_of(shape, names)
            stage = self._stages.get(form) or await self._stage(form, shape)
            known = self._prepared[shape, names] = await self._prepare(form, stage, shape)
        self._prepared.move_to_end((shape, names))
        self._stages.move_to_end(known.form)
        return known.statements

    async def _stage(self, form: _Form, shape: Shape) -> str:
        """Create a stage, in the place of the one that was not used for the longest time if need be."""
        if len(self._stages) >= _MOST_STAGES:
            await self._drop(*self._stages.popitem(last=False))
        name = f"isthmus_{next(self._numbers)}"
        stage, table = sql.Identifier(name), sql.Identifier(*shape.table)
        made: list[sql.Composable] = [] if self._stages else [sql.SQL(_BY_INDEX)]
        columns = _listed(map(_staged, form.columns))
        made.append(sql.SQL(_STAGE).format(stage=stage, table=table, columns=columns))
        if form.key:
            # Two forms of one value are one key: such a batch has to be looked at row by row.
            made.append(
                sql.SQL("create unique index on pg_temp.{} ({})").format(stage, _names("{}", form.key))
            )
        await self._connection.execute(sql.SQL("; ").join(made))
        self._stages[form] = name
        return name

    async def _prepare(self, form: _Form, stage: str, shape: Shape) -> "_Prepared":
        name, table = f"isthmus_{next(self._numbers)}", sql.Identifier(*shape.table)
        apply, mark = sql.Identifier(name), sql.Identifier(f"{name}_mark")
        asked = sql.SQL(MARK).format(table=sql.Literal(table.as_string(self._connection)))
        made = [
            (_merge if shape.is_merging else _upsert)(apply, sql.Identifier(stage), shape, form.columns),
            sql.SQL("prepare {} as {}").format(mark, asked),
        ]
        await self._connection.execute(sql.SQL("; ").join(made))
        listed = _names("{}", (column.name for column in form.columns))
        immediate = sql.SQL(_IMMEDIATE if shape.is_deferring else "")
        begin = sql.SQL(_BEGIN).format(immediate=immediate, table=table, mark=mark)
        copy = sql.SQL("copy pg_temp.{} {}").format(sql.Identifier(stage), _FORMAT)
        statements = Statements(
            begin=begin.as_bytes(self._connection),
            copy=copy.as_bytes(self._connection),
            load=sql.SQL("copy {} ({}) {}").format(table, listed, _FORMAT).as_bytes(self._connection),
            apply=sql.SQL("execute {}").format(apply).as_bytes(self._connection),
        )
        return _Prepared(name, form, statements)

    async def _drop(self, form: _Form, stage: str) -> None:
        for key in [key for key, known in self._prepared.items() if known.form == form]:
            await self._deallocate(key)
        await self._connection.execute(sql.SQL("drop table pg_temp.{}").format(sql.Identifier(stage)))

    async def _deallocate(self, key: tuple[Shape, frozenset[str]]) -> None:
        name = self._prepared.pop(key).name
        statement = sql.SQL("deallocate {}; deallocate {}")
        await self._connection.execute(statement.format(sql.Identifier(name), sql.Identifier(f"{name}_mark")))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Statements that a connection knows under a name."""

    name: str
    form: _Form
    statements: Statements


def _form_of(shape: Shape, names: frozenset[str]) -> _Form:
    is_plain = all(column.is_plain for column in shape.chosen(frozenset(shape.key)))
    return _Form(shape.chosen(names), () if is_plain else shape.key)


def _merge(
    name: sql.Identifier, stage: sql.Identifier, shape: Shape, columns: Sequence[Column]
) -> sql.Composed:
    changing = [column for column in columns if column.name not in shape.key]
    matched = sql.SQL(_WHEN_MATCHED).format(
        before=_listed(_compared("t", column) for column in changing),
        after=_listed(_compared("s", column) for column in changing),
        changes=_listed(_assigned(column, _value(column)) for column in changing),
    )
    return sql.SQL(_MERGE).format(
        name=name,
        stage=stage,
        table=sql.Identifier(*shape.table),
        same=_same(shape),
        when_matched=matched if changing else sql.SQL(""),
        columns=_names("{}", (column.name for column in columns)),
        staged=_listed(map(_value, columns)),
    )


def _upsert(
    name: sql.Identifier, stage: sql.Identifier, shape: Shape, columns: Sequence[Column]
) -> sql.Composed:
    changing = [column for column in columns if column.name not in shape.key]
    staged, held, given = (
        _listed(_compared(row, column) for column in changing) for row in ("s", "t", "excluded")
    )
    differs = sql.SQL("({}) is distinct from ({})")
    new = sql.SQL("t.{} is null").format(sql.Identifier(shape.key[0]))
    resolution = sql.SQL("do update set {} where {}").format(
        _listed(
            _assigned(column, sql.SQL("excluded.{}").format(sql.Identifier(column.name)))
            for column in changing
        ),
        differs.format(held, given),
    )
    return sql.SQL(_UPSERT).format(
        name=name,
        stage=stage,
        table=sql.Identifier(*shape.table),
        same=_same(shape),
        wanted=sql.SQL("{} or {}").format(new, differs.format(staged, held)) if changing else new,
        key=_names("{}", shape.key),
        held=_names("t.{}", (column.name for column in columns)),
        resolution=resolution if changing else sql.SQL("do nothing"),
        columns=_names("{}", (column.name for column in columns)),
        staged=_listed(map(_value, columns)),
    )


def _same(shape: Shape) -> sql.Composed:
    return sql.SQL(" and ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in shape.key)


def _staged(column: Column) -> sql.Composed:
    # A column of type json keeps its text, which has to be the one that a jsonb value has.
    cast = sql.SQL("::jsonb as {}").format(sql.Identifier(column.name))
    plain = sql.SQL("t.{}").format(sql.Identifier(column.name))
    return plain + cast if column.kind is Kind.JSON else plain


def _value(column: Column) -> sql.Composed:
    value = sql.SQL("s.{}").format(sql.Identifier(column.name))
    return value + sql.SQL("::json") if column.kind is Kind.JSON else value


def _assigned(column: Column, value: sql.Composable) -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.Identifier(column.name), value)


def _compared(row: str, column: Column) -> sql.Composed:
    other = _COMPARED_AS.get(column.type_name)
    cast = sql.SQL("::{}").format(sql.SQL(other)) if other else sql.SQL("")
    return sql.SQL("{}.{}{}").format(sql.SQL(row), sql.Identifier(column.name), cast)


def _names(pattern: str, names: Iterable[str]) -> sql.Composed:
    return _listed(sql.SQL(pattern).format(sql.Identifier(name)) for name in names)


def _listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


__all__ = ["Stages", "Statements"]
