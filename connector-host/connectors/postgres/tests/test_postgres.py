"""The postgres connector on a real server."""

from contextlib import aclosing
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from isthmus.connectors.postgres import Postgres
from isthmus.sdk import AuthMethod, BatchId, ConfigurationFailure, Credential, Fenced, Operation, WriteMode
from isthmus.sdk.runtime import ReadMode, Session, StepResult

TICKETS = {"tables": [{"name": "tickets", "key": ["id"], "create": True}]}


@pytest.fixture
def sql(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection.execute


@pytest.fixture
def opened(database):
    place = urlsplit(database)
    reach = {"host": place.hostname, "port": place.port, "database": place.path.strip("/")}
    credential = Credential(
        method=AuthMethod.BASIC, username=unquote(place.username), password=unquote(place.password or "")
    )

    def open_(configuration=None, credential=credential):
        return Session(Postgres, {**reach, **(configuration or {})}, credential)

    return open_


async def read(session, stream, **options):
    async with aclosing(await session.read(stream, **options)) as reading:
        return [page async for page in reading]


def records(pages):
    return [record for page in pages for record in page.records]


async def test_tables_are_found_with_their_primary_keys(sql, opened):
    """
    Nobody has to list what the catalogue knows.
    """
    sql("create table incident (tenant int, number text, primary key (tenant, number))")

    async with opened() as session:
        [stream] = await session.streams()

    assert (stream.stream, stream.primary_key) == ("incident", ("tenant", "number"))


async def test_a_broken_reading_goes_on_behind_the_last_page(sql, opened):
    """
    Nothing is lost and nothing comes twice, whichever page was the last one delivered.
    """
    sql("create table n (id int primary key); insert into n select generate_series(1, 25)")

    async with opened({"page_rows": 10}) as session:
        pages = await read(session, "n", mode=ReadMode.FULL)
        rest = await read(session, "n", mode=ReadMode.FULL, position=pages[0].position)

    assert [r["id"] for r in records(pages)] == list(range(1, 26))
    assert [r["id"] for r in records(rest)] == list(range(11, 26))


async def test_rows_that_share_a_cursor_value_are_all_read(sql, opened):
    """
    An incremental reading starts at the last value seen, not behind it.
    """
    sql("create table c (id int primary key, at timestamptz)")
    sql("insert into c select g, '2026-01-01' from generate_series(1, 5) g")
    tables = {"tables": [{"name": "c", "cursor": "at"}], "page_rows": 2}

    async with opened(tables) as session:
        first = await read(session, "c", mode=ReadMode.INCREMENTAL)
        sql("insert into c values (6, '2026-01-01'), (7, '2026-02-01')")
        second = await read(session, "c", mode=ReadMode.INCREMENTAL, position=first[-1].position)

    assert len(records(first)) == 5
    assert {6, 7} <= {r["id"] for r in records(second)}


async def test_queries_are_streams_and_run_read_only(sql, opened):
    """
    A query that writes is refused by the database itself.
    """
    body = "insert into t values (1); select 1"
    sql(f"create table t (id int); create function f() returns int language sql as '{body}'")
    queries = [
        {
            "name": "fsync",
            "sql": "select name, setting from pg_settings where name like 'fsync%';",
            "key": ["name"],
        },
        {"name": "bad", "sql": "select f() as id", "key": ["id"]},
    ]

    async with opened({"queries": queries}) as session:
        found = await read(session, "fsync", mode=ReadMode.FULL)
        with pytest.raises(ConfigurationFailure, match="read-only"):
            await read(session, "bad", mode=ReadMode.FULL)

    assert [r["name"] for r in records(found)] == ["fsync"]


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


async def test_a_wrong_password_fails_the_check_with_a_remedy(sql, opened):
    """
    The check names the step and what to do, and never the password.
    """
    sql(
        "do $$ begin if not exists (select from pg_roles where rolname = 'reader') then"
        " create role reader login password 'right'; end if; end $$"
    )
    wrong = Credential(method=AuthMethod.BASIC, username="reader", password="canary-secret")

    async with opened(credential=wrong) as session:
        steps = {step.step: step async for step in session.check()}

    assert steps["authenticate"].result is StepResult.FAILED
    assert "renew" in steps["authenticate"].message
    assert "canary-secret" not in str(steps)


async def test_an_unreachable_server_fails_the_check_at_reach(opened, free_port):
    """
    A wrong port is told apart from a wrong password.
    """
    async with opened({"port": free_port}) as session:
        steps = {step.step: step.result async for step in session.check()}

    assert steps["reach"] is StepResult.FAILED
    assert steps["authenticate"] is StepResult.SKIPPED
