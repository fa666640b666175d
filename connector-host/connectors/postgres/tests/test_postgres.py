"""The postgres connector on a real server."""

from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from isthmus.sdk import (
    AuthenticationFailure,
    AuthMethod,
    Between,
    ConfigurationFailure,
    Credential,
)
from isthmus.sdk.runtime import ReadMode, StepResult


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


async def test_rows_without_a_cursor_value_are_read_too(sql, opened):
    """
    They come ahead of the others, and a reading that breaks among either loses none.
    """
    sql("create table n (id int primary key, at timestamptz)")
    sql(
        "insert into n select i, case when i > 12 then timestamptz '2026-01-01' end"
        " from generate_series(1, 25) i"
    )
    settings = {"tables": [{"name": "n", "cursor": "at"}], "page_rows": 5}

    async with opened(settings) as session:
        pages = await read(session, "n", mode=ReadMode.INCREMENTAL)
        rests = [
            await read(session, "n", mode=ReadMode.INCREMENTAL, position=page.position) for page in pages[:5]
        ]

    assert [record["id"] for record in records(pages)] == list(range(1, 26))
    for number, rest in enumerate(rests):
        assert {r["id"] for r in records(pages[: number + 1]) + records(rest)} == set(range(1, 26))


async def test_rows_without_a_key_go_to_quarantine(sql, opened):
    """
    A row that nothing identifies is told about rather than passed over.
    """
    queries = [
        {"name": "q", "sql": "select nullif(i, 2) as id, i as n from generate_series(1, 3) i", "key": ["id"]}
    ]

    async with opened({"queries": queries}) as session:
        pages = await read(session, "q")

    assert [record["id"] for record in records(pages)] == [1, 3]
    assert [reject.record["n"] for page in pages for reject in page.rejected] == [2]


async def test_any_column_name_may_be_read(sql, opened):
    """
    A column's name cannot hide the row.
    """
    sql('create table n (id int primary key, q int, "to" int); insert into n values (1, 2, 3)')

    async with opened() as session:
        pages = await read(session, "n")

    assert records(pages) == [{"id": 1, "q": 2, "to": 3}]


async def test_two_columns_of_one_name_are_refused(opened):
    """
    One of the two values would be lost.
    """
    async with opened({"queries": [{"name": "q", "sql": "select 1 as a, 2 as a"}]}) as session:
        with pytest.raises(ConfigurationFailure, match="two columns a"):
            await session.streams()


async def test_columns_of_every_type_can_be_compared(sql, opened):
    """
    JSON and shapes have no equality of their own; equal rows are still not written.
    """
    sql("create table t (id int primary key, doc json, place point)")
    given = [{"id": 1, "doc": {"a": 1}, "place": "(1,2)"}]

    async with opened() as session:
        await session.write("t", given)
        again = await session.write("t", given)

    assert (again.unchanged, again.updated) == (1, 0)


@pytest.mark.parametrize("host", ["/var/run/postgresql", "a,b", "h options=-cx"])
def test_sockets_and_strings_are_no_hosts(opened, host):
    """
    A socket would log in as the operating system user of the host.
    """
    with pytest.raises(ConfigurationFailure, match="host"):
        opened({"host": host})


async def test_without_a_user_nothing_is_tried(opened):
    """
    Neither the environment nor the home folder of the host lends an identity.
    """
    with pytest.raises(AuthenticationFailure, match="basic credential"):
        async with opened(credential=None) as session:
            await session.streams()


async def test_long_numbers_stay_exact(sql, opened):
    """
    What a float cannot hold travels as text, and is written back as the same number.
    """
    sql("create table t (id int primary key, n numeric, big numeric, f float8)")
    sql("insert into t values (1, 1.5, 12345678901234567890.123, 0.1)")

    async with opened() as session:
        found = records(await read(session, "t"))
        result = await session.write("t", found)

    assert [str(found[0][name]) for name in ("n", "big", "f")] == ["1.5", "12345678901234567890.123", "0.1"]
    assert result.unchanged == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bigint", "g * 7 - 100"), ("uuid", "md5(g::text)::uuid"), ("text", "g::text")],
)
async def test_the_parts_of_a_large_table_hold_each_row_once(sql, opened, kind, value):
    """
    Ranges of numbers and of UUIDs; a text has none of equal size, so such a table stays in one.
    """
    sql(f"create table p (id {kind} primary key, n int)")
    sql(f"insert into p select {value}, g from generate_series(1, 500) g")

    async with opened({"page_rows": 10, "partition_rows": 500}) as session:
        parts = await session.partitions("p")
        found = [records(await read(session, "p", partition=part)) for part in parts]

    assert len(parts) == (1 if kind == "text" else 8)
    assert all(found)
    assert sorted(record["n"] for part in found for record in part) == list(range(1, 501))


async def test_a_table_that_has_grown_stays_divided_as_it_was(sql, opened):
    """
    Who has read a part goes on in the same division; what came later is in the first or the last part.
    """
    sql("create table p (id int primary key); insert into p select generate_series(1, 100)")

    async with opened({"partition_rows": 100}) as session:
        before = await session.partitions("p")
        sql("insert into p select generate_series(-50, 0); insert into p select generate_series(101, 9999)")
        after = await session.partitions("p", known=before[3:4])
        found = [
            record["id"] for part in after for record in records(await read(session, "p", partition=part))
        ]

    assert after == before
    assert sorted(found) == list(range(-50, 10_000))


async def test_rows_without_a_key_are_in_one_part(sql, opened):
    """
    A key column of a table's settings may be null; such rows come once, too.
    """
    sql("create table p (id int unique, n int); insert into p select g, g from generate_series(1, 100) g")
    sql("insert into p select null, g from generate_series(101, 110) g")

    async with opened({"partition_rows": 50, "tables": [{"name": "p", "key": ["id"]}]}) as session:
        parts = await session.partitions("p")
        found = [await read(session, "p", partition=part) for part in parts]

    assert len(parts) == 8
    assert sum(len(page.records) + len(page.rejected) for pages in found for page in pages) == 110


@pytest.mark.parametrize(
    ("rows", "mode", "known"),
    [
        (101, ReadMode.FULL, ()),
        (0, ReadMode.FULL, ()),
        (50, ReadMode.INCREMENTAL, ()),
        (50, ReadMode.FULL, ("",)),
    ],
)
async def test_a_table_is_read_in_one(sql, opened, rows, mode, known):
    """
    It is small, nobody wants it divided, its cursor gives the order, or it was begun in one.
    """
    sql("create table p (id int primary key); insert into p select generate_series(1, 100)")

    async with opened({"partition_rows": rows}) as session:
        parts = await session.partitions("p", mode=mode, known=known)

    assert parts == [""]


@pytest.mark.parametrize(
    ("kind", "key"),
    [("timestamptz", True), ("timestamp", True), ("date", True), ("timestamptz", False)],
    ids=["timestamptz", "timestamp", "date", "without-key"],
)
async def test_a_span_of_time_is_asked_for(sql, opened, kind, key):
    """
    The start belongs to it, the end does not, and rows without a time belong to no span.
    """
    sql("set time zone 'Asia/Tokyo'")
    sql(f"create table s (id int {'primary key' if key else ''}, at {kind})")
    day = "timestamp '2026-01-01' + n * interval '1 day'"
    sql(f"insert into s select n, ({day})::{kind} from generate_series(0, 30) n")
    if kind == "timestamptz":
        sql("update s set at = timestamptz '2026-01-01Z' + id * interval '1 day'")
    sql("insert into s values (99, null)")
    span = Between(datetime(2026, 1, 6, tzinfo=UTC), datetime(2026, 1, 26, tzinfo=UTC))
    configuration = {"page_rows": 7, "tables": [{"name": "s", "cursor": "at"}]}

    async with opened(configuration) as session:
        stream = await session.stream("s")
        pages = await read(session, "s", mode=ReadMode.FULL, between=span)
        rest = await read(session, "s", mode=ReadMode.FULL, between=span, position=pages[0].position)

    assert (stream.range_field, stream.asks_for_range) == ("at", True)
    assert [record["id"] for record in records(pages)] == list(range(5, 25))
    assert [record["id"] for record in records(rest)] == list(range(12, 25)) if key else True


async def test_parts_of_a_large_table_are_bounded_too(sql, opened):
    """
    A table that is read in parts gives of each part only what lies in the span.
    """
    sql("create table p (id int primary key, at timestamptz)")
    hour = "timestamptz '2026-01-01Z' + n * interval '1 hour'"
    sql(f"insert into p select n, {hour} from generate_series(1, 1000) n")
    sql("analyze p")
    span = Between(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))

    async with opened({"partition_rows": 100, "tables": [{"name": "p", "cursor": "at"}]}) as session:
        parts = await session.partitions("p")
        found = [records(await read(session, "p", partition=part, between=span)) for part in parts]

    assert sorted(record["id"] for part in found for record in part) == list(range(24, 48))
