"""The end of complete refreshes of a table."""

import pytest
from isthmus.connectors.postgres import generations
from isthmus.sdk import BatchId, DeletionsSuspicious, Fenced, Generation, Operation

CREATED = {"tables": [{"name": "made", "key": ["id"], "create": True}]}


async def refresh(
    session, generation, records, *, token, table="t", partition="", sequence=1, operations=None
):
    one = BatchId("flw_1", partition, token, sequence, generation)
    return await session.write(table, records, operations=operations, batch_id=one)


async def finish(session, generation, *, token, table="t", **limits):
    ended = Generation("flw_1", generation, token, **{"most_percent": 100, **limits})
    return await session.finish(table, ended)


def rows(*ids):
    return [{"id": one, "n": 1} for one in ids]


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("bigint", [1, 2, 3]),
        ("text", ["a", "b", "None"]),
        ("uuid", [f"0000000{n}-0000-0000-0000-00000000000A" for n in range(3)]),
        ("timestamptz", [f"2026-01-0{n}T00:00:00+02:00" for n in range(1, 4)]),
        ("numeric(10,2)", [1, 2.5, 3]),
        ("char(4)", ["a", "b", "c"]),
    ],
)
async def test_what_a_refresh_has_not_shown_is_deleted_once(sql, opened, kind, ids):
    """
    Keys of every type are known again, however they were written; a repetition gives the same answer.
    """
    sql(f"create table t (id {kind} primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(*ids), token=1)
        first = await finish(session, "exe_1", token=1)
        await refresh(session, "exe_2", rows(*ids[:2]), token=2)
        ended = [await finish(session, "exe_2", token=2) for _ in range(2)]

    assert (first.shown, first.removed, first.is_first) == (3, 0, True)
    assert [(one.shown, one.removed, one.is_first) for one in ended] == [(2, 1, False), (2, 1, False)]
    assert sql("select count(*) from t").fetchone() == (2,)


async def test_the_first_refresh_tells_that_nothing_was_known_before(sql, opened):
    """
    As often as it is asked; what the flow wrote before stays, and is known from then on.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await session.write("t", rows(1, 2), batch_id=BatchId("flw_1", "", 1, 1, ""))
        await refresh(session, "exe_2", rows(2), token=2)
        told = [await finish(session, "exe_2", token=2) for _ in range(2)]

    assert [(one.shown, one.removed, one.is_first) for one in told] == [(1, 0, True)] * 2
    assert sql("select count(*) from t").fetchone() == (2,)


async def test_what_would_be_absent_is_foreseen_and_stays(sql, opened):
    """
    By the keys as hosts write them; before the first complete refresh nothing can be told.
    """
    sql("create table t (id int, name text, n int, primary key (id, name))")
    given = [{"id": one, "name": "x", "n": one} for one in (1, 2, 3)]

    async with opened() as session:
        ended = Generation("flw_1", "exe_2", 2, most_percent=100)
        before = await session.foresee("t", ended, ["1\x1fx"])
        await refresh(session, "exe_1", given, token=1)
        await finish(session, "exe_1", token=1)
        told = await session.foresee("t", ended, ["1\x1fx"])
        with pytest.raises(DeletionsSuspicious):
            await session.foresee("t", Generation("flw_1", "exe_2", 2, most_records=1), ["1\x1fx"])

    assert (before.removed, before.is_first) == (0, True)
    assert (told.removed, told.is_first) == (2, False)
    assert [key for key, _ in told.samples] == ["2\x1fx", "3\x1fx"]
    assert sql("select count(*) from t").fetchone() == (3,)


async def test_rows_of_others_stay(sql, opened):
    """
    A table says of no row where it comes from: only what the flow has delivered before may go.
    """
    sql("create table t (id int primary key, n int); insert into t values (100, 1)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(1, 2), token=1)
        await finish(session, "exe_1", token=1)
        sql("insert into t values (101, 1)")
        await refresh(session, "exe_2", rows(1), token=2)
        await finish(session, "exe_2", token=2)

    assert sql("select id from t order by 1").fetchall() == [(1,), (100,), (101,)]


async def test_all_partitions_and_attempts_count(sql, opened):
    """
    What one host has shown before it died is shown, and so is what came in a way of its own.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(*range(6)), token=1)
        await finish(session, "exe_1", token=1)
        await refresh(session, "exe_2", rows(0, 1), token=2, partition="a")
        await refresh(session, "exe_2", rows(0, 1), token=3, partition="a")
        await refresh(session, "exe_2", rows(2), token=3, partition="b", operations=[Operation.PATCH])
    async with opened() as session:
        ended = await finish(session, "exe_2", token=3)

    assert (ended.shown, ended.removed) == (3, 3)
    assert sql("select id from t order by 1").fetchall() == [(0,), (1,), (2,)]


async def test_unchanged_rows_are_not_written(sql, opened):
    """
    A batch costs one row beside the table, however many records it has.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(*range(100)), token=1)
        before = sql("select xmin::text, ctid::text, id from t order by id").fetchall()
        await refresh(session, "exe_2", rows(*range(100)), token=2)
        await finish(session, "exe_2", token=2)

    assert sql("select xmin::text, ctid::text, id from t order by id").fetchall() == before
    assert sql("select count(*) from isthmus_generations where sequence > 0").fetchone() == (1,)


async def test_absent_rows_can_be_marked(sql, opened):
    """
    A row that carries the mark is left alone.
    """
    sql("create table t (id int primary key, n int, gone boolean, why text)")
    mark = {"gone": True, "why": "absent"}

    async with opened() as session:
        await refresh(session, "exe_1", rows(1, 2), token=1)
        await finish(session, "exe_1", token=1)
        await refresh(session, "exe_2", rows(1), token=2)
        marked = await finish(session, "exe_2", token=2, mark=mark)

    assert marked.removed == 1
    assert sql("select * from t order by 1").fetchall() == [(1, 1, None, None), (2, 1, True, "absent")]


async def test_more_than_may_go_is_not_deleted(sql, opened):
    """
    A system that lost its records must not empty the table; nothing of the refusal stays.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(*range(100)), token=1)
        await finish(session, "exe_1", token=1)
        await refresh(session, "exe_2", rows(*range(50)), token=2)
        with pytest.raises(DeletionsSuspicious, match="50 of 100 would be deleted, more than 25 %"):
            await finish(session, "exe_2", token=2, most_percent=0)
        before = sql("select count(*) from t").fetchone()
        await finish(session, "exe_2", token=2, most_percent=50)

    assert before == (100,)
    assert sql("select count(*) from t").fetchone() == (50,)


async def test_an_overtaken_attempt_ends_nothing(sql, opened):
    """
    A host that wakes up late finds its token refused.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(1, 2), token=1)
        await refresh(session, "exe_2", rows(1), token=3)
        with pytest.raises(Fenced):
            await finish(session, "exe_2", token=2)

    assert sql("select count(*) from t").fetchone() == (2,)


async def test_a_refresh_fills_a_table_that_is_made_for_it(sql, opened):
    """
    The types of its columns are known once it is there.
    """
    async with opened(CREATED) as session:
        await refresh(session, "exe_1", [{"id": "a"}, {"id": "b"}], token=1, table="made")
        await finish(session, "exe_1", token=1, table="made")
        await refresh(session, "exe_2", [{"id": "a"}], token=2, table="made")
        ended = await finish(session, "exe_2", token=2, table="made")

    assert ended.removed == 1
    assert sql("select id from made").fetchall() == [("a",)]


async def test_rejected_records_do_not_hide_the_others(sql, opened):
    """
    A batch with a bad record is looked at record by record; the keys of the good ones are told.
    """
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        result = await refresh(session, "exe_1", [*rows(1, 2), {"id": 3, "n": "x"}], token=1)
        ended = await finish(session, "exe_1", token=1)

    assert [reject.index for reject in result.rejected] == [2]
    assert ended.shown == 2


async def test_all_that_is_absent_is_found_at_once(sql, opened, monkeypatch):
    """
    What keeps batches from reading a whole table would look for each key in all others here.
    """
    asked = "select current_setting('enable_hashjoin') = 'on' from {generations}"
    monkeypatch.setattr(generations, "_KNOWN", f"{asked} where flow_id = %s and generation_id <> %s limit 1")
    sql("create table t (id int primary key, n int)")

    async with opened() as session:
        await refresh(session, "exe_1", rows(1), token=1)
        await refresh(session, "exe_2", rows(1), token=2)
        ended = await finish(session, "exe_2", token=2)

    assert not ended.is_first
