"""What a write to a table would do, told without doing it."""

import msgspec
import pytest
from isthmus.sdk import Operation
from isthmus.sdk.runtime import Documents

EVERYTHING = "select coalesce(json_agg(t order by id)::text, '') from t"


@pytest.fixture
def told(opened):
    """Tell what a batch would do to table `t`."""

    async def told(records, operations=None, **configuration):
        async with opened(configuration) as session:
            documents = Documents(map(msgspec.json.encode, records))
            return await session.preview(await session.prepare("t", documents, (), operations))

    return told


async def test_preview_counts_as_a_write_does(sql, opened, told):
    """
    New, changed, equal, removed and refused rows are told apart as the database does it.
    """
    sql("create table t (id int primary key, name varchar(5) not null, at timestamptz)")
    sql("insert into t values (1, 'a', '2026-01-01Z'), (2, 'b', null), (3, 'c', null), (4, 'd', null)")
    records = [
        {"id": 1, "name": "a", "at": "2026-01-01T00:00:00+00:00"},
        {"id": 2, "name": "B"},
        {"id": 4},
        {"id": 5, "name": "e"},
        {"id": 6, "name": "too long"},
        {"id": 7},
        {"id": 8, "name": "x", "strange": 1},
    ]
    operations = [Operation.DELETE if one == {"id": 4} else Operation.UPSERT for one in records]

    foreseen = await told(records, operations)
    async with opened() as session:
        done = await session.write("t", records, (), operations)

    for result in (foreseen, done):
        counts = (result.created, result.updated, result.unchanged, result.deleted)
        assert counts == (1, 1, 1, 1)
        assert [one.index for one in result.rejected] == [4, 5, 6]


async def test_preview_shows_rows_in_the_form_of_the_table(sql, told):
    """
    Both forms of a changed row come from the database, so that only what differs looks different.
    """
    sql("create table t (id int primary key, name text, at timestamptz, kept int)")
    sql("insert into t values (1, 'a', '2026-01-01 12:00+01', 7)")

    result = await told([{"id": 1, "name": "b", "at": "2026-01-01T11:00:00Z"}])

    (one,) = result.foreseen
    before, after = msgspec.json.decode(one.before), msgspec.json.decode(one.after)
    assert one.effect == "updated"
    assert {name for name in before if before[name] != after[name]} == {"name"}
    assert after["kept"] == 7


async def test_preview_leaves_the_database_as_it_is(sql, told):
    """
    Rows stay, and neither the table of positions nor a table that is created at the first write appears.
    """
    sql("create table t (id int primary key, name text)")
    sql("insert into t values (1, 'a'), (2, 'b')")
    tables = "select count(*) from pg_class where relkind = 'r' and relpersistence = 'p'"
    before = sql(EVERYTHING).fetchone(), sql(tables).fetchone()

    await told([{"id": 1, "name": "x"}, {"id": 3, "name": "y"}])
    await told([{"id": 2}], [Operation.DELETE])

    assert (sql(EVERYTHING).fetchone(), sql(tables).fetchone()) == before


async def test_constraints_and_triggers_have_their_say(sql, told):
    """
    What a trigger refuses, and what a constraint refuses at the commit only, is refused in a preview.
    """
    sql("create table groups (id int primary key)")
    sql("create table t (id int primary key, grp int references groups (id) deferrable initially deferred)")
    sql("insert into groups values (1)")

    result = await told([{"id": 1, "grp": 1}, {"id": 2, "grp": 9}])

    assert (result.created, [one.index for one in result.rejected]) == (1, [1])
    assert sql("select count(*) from t").fetchone() == (0,)


async def test_a_preview_tells_of_a_few_records_only(sql, told):
    """
    A thousand changes do not travel back.
    """
    sql("create table t (id int primary key, name text)")
    sql("insert into t select n, 'old' from generate_series(1, 100) n")

    result = await told([{"id": n, "name": "new"} for n in range(1, 201)])

    assert (result.created, result.updated) == (100, 100)
    effects = [one.effect for one in result.foreseen]
    assert (effects.count("created"), effects.count("updated")) == (5, 5)
