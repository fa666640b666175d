"""Statements that bring staged rows into their table."""

from collections.abc import Iterable, Mapping, Sequence

from isthmus.connectors.postgres.shapes import Column, Kind, Shape
from psycopg import sql

# Types that have no equality of their own, and what to compare them as.
_COMPARED_AS = {"json": "jsonb", "xml": "text", "point": "text", "box": "text", "polygon": "text"}
# What forbids to go on fails, so that all that follows can be in the same message.
_KEYS = """
prepare {name} (bigint) as select 1 / (case when count(*) = $1 then 1 else 0 end)
from (select from pg_temp.{stage} group by {key}) k
"""
# Rows that were read in the order of their key stand together in its index, where they are found without
# looking for each; where others stand between them no more than some are read in vain.
_SAME = """
prepare {name} (bigint, bigint) as
with ends as materialized (select min({key}) as least, max({key}) as greatest from pg_temp.{stage})
select count(*), case when count(*) = $1 then (
    select count(*) from (
        select from {table} t
        where t.{key} >= (select least from ends) and t.{key} <= (select greatest from ends)
        order by t.{key} limit $1 + 1
    ) t
) end, pg_snapshot_xmin(pg_current_snapshot()), (select least from ends), (select greatest from ends)
from (
    select * from {table} t
    where t.{key} >= (select least from ends) and t.{key} <= (select greatest from ends)
    order by t.{key} limit $2
) t where exists (select from pg_temp.{stage} s where {same} and ({before}) is not distinct from ({after}))
"""
_COMPARABLE = frozenset({Kind.TEXT, Kind.INTEGER})
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


def phrases(
    names: Mapping[str, sql.Identifier],
    shape: Shape,
    columns: Sequence[Column],
    stage: sql.Identifier,
) -> dict[str, sql.Composed]:
    """Gives what has to be prepared.

    Args:
        names: What to call it: `keys`, `apply` and `same`.
        shape: The table.
        columns: Those that the stage has.
        stage: Where the rows are.

    Returns:
        `keys` fails where the stage has not a number of keys, `apply` changes the table, and `same`, not for
        every table, counts what it holds already and what stands between the least and the greatest key, and
        tells since when that is so and these keys.
    """
    made = {
        "keys": sql.SQL(_KEYS).format(name=names["keys"], stage=stage, key=_names("{}", shape.key)),
        "apply": (_merge if shape.is_merging else _upsert)(names["apply"], stage, shape, columns),
    }
    if len(shape.key) == 1 and shape.chosen(frozenset(shape.key))[0].kind in _COMPARABLE:
        made["same"] = sql.SQL(_SAME).format(
            name=names["same"],
            table=sql.Identifier(*shape.table),
            stage=stage,
            key=sql.Identifier(shape.key[0]),
            same=_same(shape),
            before=_listed(_compared("t", column) for column in columns),
            after=_listed(_compared("s", column) for column in columns),
        )
    return made


def staged(columns: Iterable[Column]) -> sql.Composed:
    """Lists columns of a table `t` as a stage has them."""
    return _listed(map(_staged, columns))


def listed(names: Iterable[str]) -> sql.Composed:
    """Lists names."""
    return _names("{}", names)


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


__all__ = ["listed", "phrases", "staged"]
