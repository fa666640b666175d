"""What the postgres connector does with batches, on a real server."""

import pytest
from isthmus.sdk import (
    BatchId,
    Fenced,
    Operation,
    WriteMode,
)

TICKETS = {"tables": [{"name": "tickets", "key": ["id"], "create": True}]}


async def test_writing_counts_what_was_new_changed_and_the_same(sql, opened):
    """
    The table is made at the first write, and unchanged rows are not written again.
    """
    one, two = {"id": 1, "title": "a", "tags": ["x"]}, {"id": 2, "title": "b", "tags": []}

    async with opened(TICKETS) as session:
        first = await session.write("tickets", [one, two], mode=WriteMode.UPSERT)
        before = sql("select xmin::text from tickets where id = 2").fetchone()
        second = await session.write("tickets", [{**one, "title": "c"}, two], mode=WriteMode.UPSERT)

    assert (first.created, second.updated, second.unchanged) == (2, 1, 1)
    assert sql("select xmin::text from tickets where id = 2").fetchone() == before


async def test_a_batch_that_comes_again_takes_no_effect(sql, opened):
    """
    The position is part of the transaction that holds the rows.
    """
    sql("create table tickets (id int primary key, title text)")
    batch_id = BatchId("flw_1", "", 7, 1)

    async with opened() as session:
        await session.write("tickets", [{"id": 1, "title": "a"}], mode=WriteMode.UPSERT, batch_id=batch_id)
        sql("delete from tickets")
        again = await session.write(
            "tickets", [{"id": 1, "title": "a"}], mode=WriteMode.UPSERT, batch_id=batch_id
        )

    assert again.repeated
    assert sql("select count(*) from tickets").fetchone() == (0,)


async def test_an_older_attempt_is_refused(sql, opened):
    """
    A host that was given up cannot write any more.
    """
    sql("create table tickets (id int primary key)")

    async with opened() as session:
        await session.write(
            "tickets", [{"id": 1}], mode=WriteMode.UPSERT, batch_id=BatchId("flw_1", "", 8, 1)
        )
        with pytest.raises(Fenced):
            await session.write(
                "tickets", [{"id": 2}], mode=WriteMode.UPSERT, batch_id=BatchId("flw_1", "", 7, 9)
            )

    assert sql("select count(*) from tickets").fetchone() == (1,)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": 2, "amount": "many"}, "VALUE_INVALID"),
        ({"id": 2, "amount": None}, "CONSTRAINT_VIOLATED"),
        ({"id": 2, "amount": 1, "colour": "red"}, "COLUMN_UNKNOWN"),
        ({"amount": 1}, "KEY_MISSING"),
        ({"id": 2, "amount": 1, "note": "a\x00b"}, "VALUE_INVALID"),
    ],
)
async def test_a_refused_row_does_not_take_others_with_it(sql, opened, bad, reason):
    """
    One bad record goes to quarantine, the rest of its batch is durable.
    """
    sql("create table tickets (id int primary key, amount int not null, note text)")

    async with opened() as session:
        result = await session.write("tickets", [{"id": 1, "amount": 5}, bad], mode=WriteMode.UPSERT)

    assert [(reject.index, reject.reason) for reject in result.rejected] == [(1, reason)]
    assert sql("select id from tickets").fetchall() == [(1,)]


async def test_of_one_key_the_last_operation_counts(sql, opened):
    """
    Operations of one batch take effect in their order.
    """
    sql("create table tickets (id int primary key, title text); insert into tickets values (1, 'old')")
    given = [{"id": 1, "title": "new"}, {"id": 1}, {"id": 2, "title": "x"}]
    operations = [Operation.UPSERT, Operation.DELETE, Operation.UPSERT]

    async with opened() as session:
        await session.write("tickets", given, operations=operations, mode=WriteMode.UPSERT)

    assert sql("select id, title from tickets").fetchall() == [(2, "x")]


async def test_a_patch_leaves_absent_columns_alone(sql, opened):
    """
    Absent is not null.
    """
    sql("create table tickets (id int primary key, title text, owner text)")
    sql("insert into tickets values (1, 'a', 'me')")

    async with opened() as session:
        given = [{"id": 1, "title": "b"}]
        await session.write("tickets", given, operations=[Operation.PATCH], mode=WriteMode.UPSERT)

    assert sql("select title, owner from tickets").fetchone() == ("b", "me")


async def test_a_patch_needs_no_required_columns(sql, opened):
    """
    A row that exists is changed; one that does not exist and lacks a required column is refused.
    """
    sql("create table t (id int primary key, title text not null, n int); insert into t values (1, 'a', 1)")
    patches = [{"id": 1, "n": 2}, {"id": 2, "n": 2}]

    async with opened() as session:
        result = await session.write("t", patches, operations=[Operation.PATCH] * 2)

    assert (result.updated, [reject.index for reject in result.rejected]) == (1, [1])
    assert sql("select id, title, n from t").fetchall() == [(1, "a", 2)]


async def test_delete_mode_deletes(sql, opened):
    """
    In delete mode every record is a deletion, whatever its operation.
    """
    sql("create table t (id int primary key); insert into t values (1), (2)")

    async with opened() as session:
        result = await session.write("t", [{"id": 1}, {"id": 3}], mode=WriteMode.DELETE)

    assert (result.deleted, result.unchanged) == (1, 1)
    assert sql("select id from t").fetchall() == [(2,)]


async def test_identity_columns_and_late_constraints(sql, opened):
    """
    An identity takes the record's value; a constraint that waits for the commit blames its row.
    """
    sql("create table p (id int primary key); insert into p values (1)")
    sql(
        "create table t (id int generated always as identity primary key,"
        " p int references p deferrable initially deferred)"
    )

    async with opened() as session:
        result = await session.write("t", [{"id": 7, "p": 1}, {"id": 8, "p": 9}, {"id": 9, "p": 1}])

    assert [reject.index for reject in result.rejected] == [1]
    assert sql("select id from t order by 1").fetchall() == [(7,), (9,)]
