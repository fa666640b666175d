"""Tables that lack what records bring."""

import asyncio
import re

import pytest
from isthmus.sdk import BatchId, ConfigurationFailure

TYPES = """
select attname, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = 't'::regclass and attnum > 0 and not attisdropped
"""


def types(sql):
    """The types of the table's columns."""
    return dict(sql(TYPES).fetchall())


def batch(sequence, flow="flw_1"):
    return BatchId(flow, "", 1, sequence)


async def test_a_missing_column_is_explained_with_the_statement_to_run(sql, opened):
    """
    All columns that the batch lacks are named with their types; running the statement lets it pass.
    """
    sql("create table t (id int primary key)")
    records = [{"id": 1, "n": 1, "name": "x"}, {"id": 2, "at": {"a": 1}}, {"id": 3}]

    async with opened() as session:
        refused = await session.write("t", records)
        told = refused.rejected[0].message
        sql(re.search(r"run `(.+?)`", told)[1])
        passed = await session.write("t", records)

    assert [(one.index, one.reason) for one in refused.rejected] == [
        (0, "COLUMN_UNKNOWN"),
        (1, "COLUMN_UNKNOWN"),
    ]
    assert "no column n, name: " in told
    assert "set `evolve` to add or to drop, or leave the field out in the mapping" in told
    assert types(sql) == {"id": "integer", "n": "bigint", "name": "text", "at": "jsonb"}
    assert passed.rejected == []


async def test_columns_are_added_with_the_type_of_the_schema(sql, opened):
    """
    In the middle of a sync: what came before has null there, and later batches are copied again.
    """
    sql("create table t (id int primary key)")
    schema = {
        "properties": {"at": {"type": "string", "format": "date-time"}, "score": {"type": ["number", "null"]}}
    }
    second = [{"id": 2, "at": "2026-01-01T00:00:00Z", "score": None, "new": True, "empty": None}]
    third = [{"id": 3, "new": False, "score": 1.5}]

    async with opened({"evolve": "add"}) as session:
        await session.write("t", [{"id": 1}], batch_id=batch(1))
        results = [
            await session.write("t", records, batch_id=batch(sequence), json_schema=schema)
            for sequence, records in ((2, second), (3, third))
        ]

    assert [result.created for result in results] == [1, 1]
    assert types(sql) == {
        "id": "integer",
        "at": "timestamp with time zone",
        "new": "boolean",
        "score": "double precision",
    }
    assert sql("select id, new, score from t order by id").fetchall() == [
        (1, None, None),
        (2, True, None),
        (3, False, 1.5),
    ]


WIDER = [
    ("integer", 1 << 40, None, "bigint"),
    ("smallint", 40_000, None, "bigint"),
    ("integer", 1 << 70, None, "numeric"),
    ("bigint", 2.5, None, "numeric"),
    ("character varying(3)", "abcdef", None, "text"),
    ("integer", "INC1", {"type": "string"}, "text"),
]


@pytest.mark.parametrize(("kind", "value", "schema", "becomes"), WIDER)
async def test_columns_become_wider(sql, opened, kind, value, schema, becomes):
    """
    What was there stays as it was; the batch that needs more room arrives whole.
    """
    sql(f"create table t (id int primary key, v {kind}); insert into t values (0, 1)")
    told = {"json_schema": {"properties": {"v": schema}}} if schema else {}

    async with opened({"evolve": "add"}) as session:
        result = await session.write(
            "t", [{"id": 1, "v": 2}, {"id": 2, "v": value}], batch_id=batch(1), **told
        )
        again = await session.write("t", [{"id": 2, "v": value}], batch_id=batch(2), **told)

    assert (result.created, result.rejected, again.unchanged) == (2, [], 1)
    assert types(sql)["v"] == becomes
    assert [str(row[0]) for row in sql("select v from t order by id").fetchall()] == ["1", "2", str(value)]


@pytest.mark.parametrize("evolve", ["refuse", "drop"])
async def test_columns_become_wider_only_where_that_is_asked_for(sql, opened, evolve):
    """
    The record that does not fit waits in quarantine.
    """
    sql("create table t (id int primary key, v int)")

    async with opened({"evolve": evolve}) as session:
        result = await session.write("t", [{"id": 1, "v": 1 << 40}, {"id": 2, "v": 1}])

    assert [reject.index for reject in result.rejected] == [0]
    assert types(sql)["v"] == "integer"


async def test_a_single_bad_value_does_not_change_a_table(sql, opened):
    """
    A text among numbers is refused unless the schema says that texts come now.
    """
    sql("create table t (id int primary key, v int)")

    async with opened({"evolve": "add"}) as session:
        result = await session.write("t", [{"id": 1, "v": "n/a"}, {"id": 2, "v": 1}])

    assert [reject.index for reject in result.rejected] == [0]
    assert types(sql)["v"] == "integer"


async def test_fields_without_a_column_are_dropped_and_told_of_once(sql, opened, caplog):
    """
    The rest of the record arrives; the log names the field, not each record.
    """
    sql("create table t (id int primary key, n int)")
    rows = [{"id": one, "n": 1, "odd_one": "x"} for one in range(3)]

    async with opened({"tables": [{"name": "t", "evolve": "drop"}]}) as session:
        results = [await session.write("t", rows, batch_id=batch(sequence)) for sequence in (1, 2)]

    assert [(one.created, one.unchanged, one.rejected) for one in results] == [(3, 0, []), (0, 3, [])]
    assert caplog.text.count("odd_one") == 1
    assert types(sql) == {"id": "integer", "n": "integer"}


async def test_two_hosts_add_the_same_columns(sql, opened):
    """
    Whoever comes second finds them there.
    """
    sql("create table t (id int primary key)")

    async def sync(host):
        async with opened({"evolve": "add"}) as session:
            for sequence in range(1, 6):
                record = {"id": host * 100 + sequence, f"field_{sequence}": host, "name": "x"}
                await session.write("t", [record], batch_id=batch(sequence, f"flw_{host}"))

    await asyncio.gather(*map(sync, range(4)))

    assert sql("select count(*), count(name) from t").fetchone() == (20, 20)
    assert set(types(sql)) == {"id", "name", *(f"field_{n}" for n in range(1, 6))}


async def test_a_table_that_cannot_be_altered_stops_the_flow(sql, opened):
    """
    A view needs the column as it is; nothing of the batch is written, and its owner is told what to run.
    """
    sql("create table t (id int primary key, v int); create view w as select v from t")

    async with opened({"evolve": "add"}) as session:
        with pytest.raises(ConfigurationFailure, match='alter column "v" type bigint') as refused:
            await session.write("t", [{"id": 1, "v": 1 << 40}])

    assert refused.value.reason == "TABLE_NOT_ALTERED"
    assert sql("select count(*) from t").fetchone() == (0,)


async def test_a_table_that_is_made_while_a_session_is_open_is_found(sql, opened):
    """
    Whoever asks for a stream that is not known looks again before he says that there is none.
    """
    async with opened() as session:
        before = await session.streams()
        sql("create table t (id int primary key)")
        result = await session.write("t", [{"id": 1}])

    assert before == []
    assert result.created == 1
