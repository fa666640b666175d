"""Rows that are copied as they come: how they are written, and when they are looked at after all."""

import asyncio
import dataclasses

import pytest
from isthmus.connectors.postgres import copying
from isthmus.connectors.postgres.copying import Copying
from isthmus.sdk import BatchId, Fenced
from isthmus.sdk.runtime import Documents


@pytest.fixture(autouse=True)
def copied(monkeypatch):
    """Which batches were copied."""
    seen = []
    write = Copying.write

    async def noted(self, *given):
        done = await write(self, *given)
        seen.append(done)
        return done

    monkeypatch.setattr(Copying, "write", noted)
    return seen


@pytest.fixture(params=["merge", "upsert"])
def server(request, monkeypatch):
    """With and without a MERGE that tells what it did."""
    look = copying.shape_of

    async def shape_of(*given):
        shape = await look(*given)
        return shape and dataclasses.replace(shape, is_merging=request.param == "merge")

    monkeypatch.setattr(copying, "shape_of", shape_of)


def batch_ids(token=1):
    return (BatchId("flw_1", "", token, sequence) for sequence in range(1, 100))


async def test_an_empty_table_is_filled_until_a_row_is_there_already(sql, opened, copied, server):
    """
    The row that others have written meanwhile is changed, and no other comes twice.
    """
    sql("create table t (id int primary key, name text)")
    ids = batch_ids()

    async with opened() as session:
        first = await session.write(
            "t", [{"id": 1, "name": "a"}, {"id": 2, "name": None}], batch_id=next(ids)
        )
        sql("insert into t values (3, 'other'), (4, 'same')")
        second = await session.write("t", [{"id": n, "name": "same"} for n in (3, 4, 5)], batch_id=next(ids))
        third = await session.write("t", [{"id": 6, "name": "x"}], batch_id=next(ids))

    assert (first.created, second.created, second.updated, second.unchanged, third.created) == (2, 1, 1, 1, 1)
    assert sql("select count(*), count(name) from t").fetchone() == (6, 5)
    assert copied == [True] * 3


async def test_unchanged_rows_are_not_even_locked(sql, opened, copied, server):
    """
    A full reading of what is there already costs the table nothing.
    """
    sql(
        "create table t (id int primary key, doc json, n float8); insert into t values (1, '{\"a\": 1}', 0.5)"
    )
    sql("insert into t values (2, null, null)")
    before = sql("select xmin::text, xmax::text, ctid::text from t order by id").fetchall()
    given = [{"id": 1, "doc": {"a": 1}, "n": 0.5}, {"id": 2, "doc": None, "n": None}]

    async with opened() as session:
        result = await session.write("t", given, batch_id=next(batch_ids()))

    assert (result.unchanged, copied) == (2, [True])
    assert sql("select xmin::text, xmax::text, ctid::text from t order by id").fetchall() == before


async def test_of_one_key_the_last_record_counts(sql, opened, copied, server):
    """
    A page that came twice is no hindrance.
    """
    sql("create table t (id text primary key, n int); insert into t values ('a', 3)")
    given = [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}]

    async with opened() as session:
        result = await session.write("t", given, batch_id=next(batch_ids()))

    assert (result.created, result.updated, result.unchanged, copied) == (1, 1, 1, [True])
    assert sql("select * from t order by id").fetchall() == [("a", 3), ("b", 2)]


async def test_a_table_that_is_altered_meanwhile_is_learnt_anew(sql, opened, copied):
    """
    No value is lost to the form that the table had before.
    """
    sql("create table t (id int primary key, amount numeric(9, 1))")
    ids = batch_ids()

    async with opened() as session:
        await session.write("t", [{"id": 1, "amount": 1.5}], batch_id=next(ids))
        sql("alter table t alter amount type numeric(9, 3), add more text")
        await session.write("t", [{"id": 2, "amount": 1.125}], batch_id=next(ids))
        await session.write("t", [{"id": 3, "more": "m"}], batch_id=next(ids))

    assert [str(row[0]) for row in sql("select amount from t order by id limit 2").fetchall()] == [
        "1.500",
        "1.125",
    ]
    assert copied == [True] * 3


async def test_rows_that_a_trigger_changes_are_looked_at(sql, opened, copied):
    """
    What is stored is not what was sent, so nothing is compared ahead.
    """
    sql("create table t (id int primary key, name text)")
    sql(
        "create function up() returns trigger language plpgsql as"
        " 'begin new.name = upper(new.name); return new; end'"
    )
    sql("create trigger up before insert on t for each row execute function up()")

    async with opened() as session:
        await session.write("t", [{"id": 1, "name": "a"}], batch_id=next(batch_ids()))

    assert (copied, sql("select name from t").fetchone()) == ([False], ("A",))


async def test_copied_batches_are_fenced_and_repeated_like_others(sql, opened):
    """
    Their position is part of the same transaction.
    """
    sql("create table t (id int primary key)")

    async with opened() as session:
        await session.write("t", [{"id": 1}], batch_id=BatchId("flw_1", "", 7, 1))
        sql("delete from t")
        again = await session.write("t", [{"id": 1}], batch_id=BatchId("flw_1", "", 7, 1))
        with pytest.raises(Fenced):
            await session.write("t", [{"id": 2}], batch_id=BatchId("flw_1", "", 6, 9))

    assert again.repeated
    assert sql("select count(*) from t").fetchone() == (0,)


async def test_more_kinds_of_records_than_stages(sql, opened, copied):
    """
    Stages are few; the oldest makes room.
    """
    sql("create table t (id int primary key, " + ", ".join(f"c{n} int" for n in range(12)) + ")")
    ids = batch_ids()

    async with opened() as session:
        for _ in range(2):
            for n in range(12):
                await session.write("t", [{"id": n, f"c{n}": n}], batch_id=next(ids))

    assert copied == [True] * 24
    assert sql(
        "select sum(num_nonnulls(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)) from t"
    ).fetchone() == (12,)


async def test_tables_with_the_same_columns_share_a_stage(sql, opened, copied, server):
    """
    Many small tables cost no stage each; one that takes shorter texts has its own and refuses longer ones.
    """
    tables = [f"t{number}" for number in range(12)]
    for table in tables:
        sql(
            f"create table {table} (id int primary key, name varchar(9)); insert into {table} values (1, 'a')"
        )
    sql("create table short (id int primary key, name varchar(3)); insert into short values (1, 'a')")
    ids = batch_ids()

    async with opened() as session:
        for table in [*tables, *tables]:
            await session.write(table, [{"id": 1, "name": f"of {table}"}], batch_id=next(ids))
        refused = await session.write("short", [{"id": 1, "name": "too long"}], batch_id=next(ids))
        stages = sql("select count(*) from pg_class where relpersistence = 't' and relkind = 'r'").fetchone()

    assert [sql(f"select name from {table}").fetchone() for table in tables] == [
        (f"of {table}",) for table in tables
    ]
    assert (len(refused.rejected), sql("select name from short").fetchone()) == (1, ("a",))
    assert stages[0] <= 2


async def test_a_batch_is_made_ready_while_the_one_before_is_written(sql, opened, copied):
    """
    Formatting costs the database no time; nothing is made ready before it has something to do.
    """
    sql("create table t (id int primary key)")
    ids = batch_ids()

    async with opened() as session:
        await session.write("t", [{"id": 0}], batch_id=next(ids))
        first = await session.prepare("t", Documents([b'{"id":1}']), batch_id=next(ids))
        writing = asyncio.create_task(session.apply(first))
        await asyncio.sleep(0)
        second = await session.prepare("t", Documents([b'{"id":2}']), batch_id=next(ids))
        early = second.batch.prepared
        await writing
        late = second.batch.prepared
        await session.apply(second)

    assert (early, late is not None) == (None, True)
    assert copied == [True] * 3
    assert sql("select array_agg(id order by id) from t").fetchone() == ([0, 1, 2],)
