"""Tables of one connection into which rows are copied before they take effect."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.connectors.postgres.catalogue import Connection
from isthmus.connectors.postgres.opening import Openings
from isthmus.connectors.postgres.phrasing import listed, phrases, staged
from isthmus.connectors.postgres.remembering import Remembering
from isthmus.connectors.postgres.rows import DELIMITER, Rows
from isthmus.connectors.postgres.shapes import Column, Shape
from isthmus.connectors.postgres.talking import Part
from psycopg import sql

# Each commit empties all of them, so there are few; tables with the same columns share one.
_MOST_STAGES = 8
_MOST_PREPARED = 100
_PREPARED = ("keys", "apply", "same")
_FORMAT = sql.SQL("from stdin (delimiter {}, null 'None', encoding 'UTF8')").format(sql.Literal(DELIMITER))
# Looking a staged row up for each row of the table, or the other way round, would not save anything.
_COMPARE = "select set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true)"
_COMPARED = "select set_config('enable_hashjoin', 'off', true), set_config('enable_nestloop', 'on', true)"
_LEAST_COMPARED = 500
_STAGE = (
    "create temporary table {stage} on commit delete rows as select {columns} from {table} t with no data"
)


@dataclass(frozen=True, slots=True)
class Statements:
    """What to say to copy rows of one kind and to apply them.

    Attributes:
        stage: Copies rows into a stage.
        load: Copies them into the table.
        keys: Fails where two staged rows have one key.
        apply: Changes the table, and tells how many rows are new and how many changed.
        same: Tells how many staged rows the table holds, where they stand together in it, and what is needed
            to remember them; none where that is not to be asked.
    """

    stage: Part
    load: Part
    apply: Part
    _keys: bytes
    _same: bytes

    def keys(self, rows: Rows) -> list[Part]:
        """Fails where two staged rows have one key."""
        return [] if rows.is_distinct else [Part("keys", self._keys % rows.lines)]

    def same(self, rows: Rows) -> list[Part]:
        """Counts the staged rows that the table holds; nothing where that costs more than it saves."""
        if not self._same or rows.lines < _LEAST_COMPARED:
            return []
        return [
            Part("compare", _COMPARE.encode()),
            Part("same", self._same % (rows.lines, 2 * rows.lines)),
            Part("compared", _COMPARED.encode()),
        ]


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

    Attributes:
        opening: How transactions begin.
        remembering: What it has been told of batches that may come again.
    """

    def __init__(self, connection: Connection, numbers: Iterator[int]) -> None:
        self._connection = connection
        self._numbers = numbers
        self._stages: OrderedDict[_Form, str] = OrderedDict()
        self._prepared: OrderedDict[_Key, _Prepared] = OrderedDict()
        self.opening = Openings(connection, numbers)
        self.remembering = Remembering(connection, numbers)

    async def statements(self, rows: Rows) -> Statements:
        """The statements for rows with these columns; their stage is there."""
        key = (rows.shape, rows.order, rows.is_distinct)
        known = self._prepared.get(key)
        if known is None:
            if len(self._prepared) >= _MOST_PREPARED:
                await self._deallocate(next(iter(self._prepared)))
            form = _form_of(rows)
            stage = self._stages.get(form) or await self._stage(form, rows.shape)
            known = self._prepared[key] = await self._prepare(form, stage, rows)
        self._prepared.move_to_end(key)
        self._stages.move_to_end(known.form)
        return known.statements

    async def _stage(self, form: _Form, shape: Shape) -> str:
        """Create a stage, in the place of the one that was not used for the longest time if need be."""
        if len(self._stages) >= _MOST_STAGES:
            await self._drop(*self._stages.popitem(last=False))
        name = f"isthmus_{next(self._numbers)}"
        stage, table = sql.Identifier(name), sql.Identifier(*shape.table)
        columns = staged(form.columns)
        made = [sql.SQL(_STAGE).format(stage=stage, table=table, columns=columns)]
        if form.key:
            # Two forms of one value are one key: such a batch has to be looked at row by row.
            made.append(sql.SQL("create unique index on pg_temp.{} ({})").format(stage, listed(form.key)))
        await self._connection.execute(sql.SQL("; ").join(made))
        self._stages[form] = name
        return name

    async def _prepare(self, form: _Form, stage: str, rows: Rows) -> "_Prepared":
        shape, connection = rows.shape, self._connection
        into, table = sql.Identifier(stage), sql.Identifier(*shape.table)
        names = {what: sql.Identifier(f"isthmus_{next(self._numbers)}") for what in _PREPARED}
        made = phrases(names, shape, form.columns, stage=into)
        await connection.execute(sql.SQL("; ").join(made.values()))

        def told(pattern: str, **given: sql.Composable) -> bytes:
            return sql.SQL(pattern).format(**given).as_bytes(connection)

        def asked(what: str, arguments: str = "") -> bytes:
            return told("execute {name}" + arguments, name=names[what])

        copy, columns = "copy {into} ({columns}) {format}", listed(rows.order)
        within = sql.SQL("pg_temp.{}").format(into)
        statements = Statements(
            stage=Part("copy", told(copy, into=within, columns=columns, format=_FORMAT)),
            load=Part("copy", told(copy, into=table, columns=columns, format=_FORMAT)),
            apply=Part("apply", asked("apply")),
            _keys=asked("keys", "(%d)"),
            _same=asked("same", "(%d, %d)") if "same" in made else b"",
        )
        return _Prepared(tuple(names[what] for what in made), form, statements)

    async def _drop(self, form: _Form, stage: str) -> None:
        for key in [key for key, known in self._prepared.items() if known.form == form]:
            await self._deallocate(key)
        await self._connection.execute(sql.SQL("drop table pg_temp.{}").format(sql.Identifier(stage)))

    async def _deallocate(self, key: "_Key") -> None:
        names = self._prepared.pop(key).names
        statement = sql.SQL("deallocate {}")
        await self._connection.execute(sql.SQL("; ").join(statement.format(name) for name in names))


_Key = tuple[Shape, tuple[str, ...], bool]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Statements that a connection knows under names."""

    names: tuple[sql.Identifier, ...]
    form: _Form
    statements: Statements


def _form_of(rows: Rows) -> _Form:
    shape = rows.shape
    is_plain = all(column.is_plain for column in shape.chosen(frozenset(shape.key)))
    # Lines in which nobody has looked at the keys are asked for them by a statement.
    return _Form(rows.columns, shape.key if rows.is_distinct and not is_plain else ())


__all__ = ["Stages", "Statements"]
