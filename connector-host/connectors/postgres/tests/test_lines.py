"""Lines of text end exactly like the JSON documents of the same records."""

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.postgres import staging
from isthmus.connectors.postgres.copying import Copying
from isthmus.sdk import BatchId, Failure, Fenced, LineColumn, Lines, LineType, Operation
from isthmus.sdk.runtime import Documents, LinesInvalid
from isthmus.testing.lines import lines_of

ODD = ["None", "\\N", "\\.", "\\None", "a\tb", "x\ny\r", "\\", "\x1f", "\\n", "ß", "𝄞", "-0.0", "", "\x7f"]
TEXTS = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
MOMENTS = st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02 04:04:05+01", "infinity", "2026-01-02", "x"])
IDS = st.sampled_from(["7d444840-9dc0-11d1-b245-5ffdce74fad2", "7D444840-9DC0-11D1-B245-5FFDCE74FAD2", "-"])
NUMBERS = st.sampled_from(["7", "-0", "1.50", "-0.0", "1e5", "NaN", "", "many"])
FITTING = {
    "text": TEXTS,
    "varchar(4)": TEXTS,
    "int2": NUMBERS,
    "int8": NUMBERS,
    "numeric(9,1)": NUMBERS,
    "float8": NUMBERS,
    "bool": st.sampled_from(["yes", "f", "maybe"]),
    "timestamptz": MOMENTS,
    "timestamp": MOMENTS,
    "uuid": IDS,
    "json": TEXTS,
    "jsonb": TEXTS | st.just("\0"),
    "text[]": st.sampled_from(["{a}", "a"]),
    "bytea": st.sampled_from(["\\x00ff", "abc"]),
    "char(3)": st.sampled_from(["a", "a ", "abc", "\0"]),
}
OTHERS = [st.sampled_from([-1, 0, 7, 40000, 2**70]), st.booleans()]
KEYS = {
    "text": TEXTS,
    "varchar(3)": st.sampled_from(["a", "a ", "abc", "abc "]),
    "int8": st.integers(-3, 3),
    "numeric": st.sampled_from(["1", "1.0", "2"]),
    "uuid": IDS,
    "timestamptz": MOMENTS,
}


@st.composite
def jobs(draw):
    """A table, and batches of records of which each member has one type."""
    kinds = draw(st.lists(st.sampled_from(sorted(FITTING)), min_size=1, max_size=4))
    key = draw(st.sampled_from(sorted(KEYS)))
    columns = {"key": key, **{f"column {place}": kind for place, kind in enumerate(kinds)}}
    values = {name: FITTING[kind] for name, kind in columns.items() if name != "key"}
    for name in draw(st.sets(st.sampled_from(sorted(values)), max_size=1)):
        values[name] = draw(st.sampled_from(OTHERS))
    if draw(st.integers(0, 4)) == 0:
        values["other"] = draw(st.sampled_from([TEXTS, st.none()]))
    optional = {name: st.none() | values[name] for name in sorted(values)}
    keys = KEYS[key] if draw(st.integers(0, 9)) else st.none() | KEYS[key]
    record = st.fixed_dictionaries({"key": keys, **optional})
    batches = draw(st.lists(st.lists(record, min_size=1, max_size=6), min_size=1, max_size=3))
    return columns, [batch for batch in batches for _ in range(draw(st.integers(1, 3)))]


@pytest.fixture
def copied(monkeypatch):
    """Which batches were copied; compares however few there are."""
    seen = []
    write = Copying.write

    async def noted(self, *given):
        done = await write(self, *given)
        seen.append(done)
        return done

    monkeypatch.setattr(Copying, "write", noted)
    monkeypatch.setattr(staging, "_LEAST_COMPARED", 1)
    return seen


async def outcomes(session, database, columns, batches, form):
    """What became of each batch, and what the table holds in the end."""
    with psycopg.connect(database, autocommit=True) as connection:
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute("drop table if exists t, isthmus_positions")
        connection.execute(f"create table t ({listed}, primary key (key))")
        told = []
        for number, batch in enumerate(batches, 1):
            prepared = await session.prepare("t", form(batch), batch_id=BatchId("flw_1", "", 1, number))
            try:
                result = await session.apply(prepared)
            except Failure as failure:
                told.append((type(failure), failure.message))
                continue
            counts = (result.created, result.updated, result.unchanged)
            told.append((*counts, [(r.index, r.reason, r.message, r.path) for r in result.rejected]))
        return told, connection.execute("select t::text from t order by 1").fetchall()


@given(job=jobs())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_lines_leave_the_same_rows_as_documents_and_tell_the_same(database, sql, opened, copied, job):
    """
    Whatever the table and whatever the texts, with whichever way a batch takes.
    """
    columns, batches = job
    names = list(batches[0][0])
    sql("create table if not exists t (key int primary key)")

    def documents(batch):
        told = [{k: v for k, v in one.items() if v is not None or k in columns} for one in batch]
        return Documents(map(msgspec.json.encode, told))

    async with opened() as session:
        expected = await outcomes(session, database, columns, batches, documents)
        assert expected == await outcomes(session, database, columns, batches, lambda b: lines_of(b, names))


def batch_ids(token=1, generation=""):
    return (BatchId("flw_1", "", token, sequence, generation) for sequence in range(1, 100))


async def test_what_no_record_has_is_written_as_nothing(sql, opened, copied):
    """
    A record replaces the row whole; a column that the table lacks is no hindrance then.
    """
    sql("create table t (id int primary key, name text, n int); insert into t values (1, 'a', 1)")
    ids = batch_ids()

    async with opened() as session:
        fits = await session.write("t", lines_of([{"id": 1, "n": 2}], ["name"]), batch_id=next(ids))
        lacks = await session.write("t", lines_of([{"id": 2, "n": 2}], ["more"]), batch_id=next(ids))

    assert (fits.updated, lacks.created, copied) == (1, 1, [True, True])
    assert sql("select * from t order by id").fetchall() == [(1, None, 2), (2, None, 2)]


async def test_nothing_is_written_to_a_column_that_takes_no_copies(sql, opened, copied):
    """
    The column of an array keeps no value that no record has any more.
    """
    sql("create table t (id int primary key, tags text[]); insert into t values (1, '{a}')")

    async with opened() as session:
        result = await session.write("t", lines_of([{"id": 1}], ["tags"]), batch_id=next(batch_ids()))

    assert (result.updated, copied) == (1, [False])
    assert sql("select * from t").fetchall() == [(1, None)]


@pytest.mark.parametrize("evolve", ["refuse", "add", "drop"])
async def test_a_column_that_the_table_lacks_is_dealt_with_as_is_said(sql, opened, evolve):
    """
    The same as with documents.
    """
    sql("create table t (id int primary key)")
    given = lines_of([{"id": 1, "more": "m"}, {"id": 2}])

    async with opened({"evolve": evolve}) as session:
        result = await session.write("t", given, batch_id=next(batch_ids()))

    assert [(one.index, one.reason) for one in result.rejected] == (
        [(0, "COLUMN_UNKNOWN")] if evolve == "refuse" else []
    )
    rows = {"refuse": [(2,)], "add": [(1, "m"), (2, None)], "drop": [(1,), (2,)]}
    assert sql("select * from t order by id").fetchall() == rows[evolve]


async def test_a_table_is_made_for_lines(sql, opened):
    """
    Its columns have the types of the values.
    """
    tables = [{"name": "made", "key": ["id"], "create": True}]

    async with opened({"tables": tables}) as session:
        given = lines_of([{"id": "a", "n": 2, "is_so": True}])
        await session.write("made", given, batch_id=next(batch_ids()))

    assert sql("select * from made").fetchall() == [("a", 2, True)]


async def test_new_rows_are_added_until_one_is_there_already(sql, opened, copied):
    """
    Then all of them are looked up, and a batch that failed has left nothing behind.
    """
    sql("create table t (id int primary key, name text); insert into t values (1, 'x'), (60, 'old')")
    ids = batch_ids()
    numbers = iter(range(1, 100))

    def given(*more):
        return lines_of([{"id": next(numbers), "name": "new"} for _ in range(9)] + [*more])

    async with opened() as session:
        told = [await session.write("t", given(), batch_id=next(ids)) for _ in range(4)]
        again = given({"id": 60, "name": "new"}, {"id": 98, "name": "a"}, {"id": 98, "name": "b"})
        told.append(await session.write("t", again, batch_id=next(ids)))
        told.append(await session.write("t", given(), batch_id=next(ids)))

    assert [(one.created, one.updated) for one in told] == [(8, 1), (9, 0), (9, 0), (9, 0), (10, 2), (9, 0)]
    assert sql("select count(*), count(distinct id) from t where name <> 'old'").fetchone() == (56, 56)
    assert sql("select name from t where id = 98").fetchone() == ("b",)
    assert copied == [True] * 6


async def test_unchanged_rows_are_told_from_others_wherever_they_stand(sql, opened, copied):
    """
    Side by side in the table or far apart, with rows of others between them.
    """
    sql("create table t (id int primary key, name text)")
    sql("insert into t select n, 'a' from generate_series(1, 99) n")
    sql("alter table t add noted text")
    before = sql("select xmin::text, xmax::text, ctid::text from t order by id").fetchall()
    ids = batch_ids()

    async with opened() as session:
        for places in ([1, 2, 3], [4, 5, 6], [9, 7, 8], [10, 40, 80], [81, 82], [83, 84]):
            result = await session.write(
                "t", lines_of([{"id": n, "name": "a"} for n in places]), batch_id=next(ids)
            )
            assert result.unchanged == len(places)
        same = sql("select xmin::text, xmax::text, ctid::text from t order by id").fetchall()
        changed = [{"id": 85, "name": "a"}, {"id": 86, "name": "b"}, {"id": 100, "name": "c"}]
        last = await session.write("t", lines_of(changed), batch_id=next(ids))

    assert same == before
    assert (last.unchanged, last.updated, last.created) == (1, 1, 1)
    assert all(copied)


async def test_lines_are_fenced_and_repeated_like_others(sql, opened):
    """
    Their position is part of the same transaction.
    """
    sql("create table t (id int primary key)")

    async with opened() as session:
        await session.write("t", lines_of([{"id": 1}]), batch_id=BatchId("flw_1", "", 7, 1))
        sql("delete from t")
        again = await session.write("t", lines_of([{"id": 1}]), batch_id=BatchId("flw_1", "", 7, 1))
        with pytest.raises(Fenced):
            await session.write("t", lines_of([{"id": 2}]), batch_id=BatchId("flw_1", "", 6, 9))

    assert again.repeated
    assert sql("select count(*) from t").fetchone() == (0,)


async def test_keys_of_lines_are_noted_for_the_end_of_a_refresh(sql, opened, copied):
    """
    They have the hashes that the same keys have in documents.
    """
    sql('create table t (id int, "a b" text, primary key (id, "a b"))')
    records = [{"id": number, "a b": text} for number, text in enumerate(["x", "None", "\\", "y\x1fz", ""])]

    async with opened() as session:
        await session.write("t", lines_of(records), batch_id=next(batch_ids(1, "gen_1")))
        await session.write("t", records, batch_id=next(batch_ids(2, "gen_2")))

    hashes = sql("select hashes from isthmus_generations order by fencing_token").fetchall()
    assert copied == [True, True]
    assert hashes[0] == hashes[1]
    assert len(hashes[0][0]) == 5


async def test_a_table_that_is_altered_meanwhile_is_learnt_anew(sql, opened, copied):
    """
    No value is lost to the form that the table had before.
    """
    sql("create table t (id int primary key, amount numeric(9, 1))")
    ids = batch_ids()

    async with opened() as session:
        for number in (1, 2):
            await session.write("t", lines_of([{"id": number, "amount": "1.5"}]), batch_id=next(ids))
        sql("alter table t alter amount type numeric(9, 3), add more text not null default 'm'")
        given = lines_of([{"id": 3, "amount": "1.125"}])
        await session.write("t", given, batch_id=next(ids))

    assert [str(row[0]) for row in sql("select amount from t").fetchall()] == ["1.500", "1.500", "1.125"]
    assert copied == [True] * 3


async def test_rows_without_a_key_are_rejected_where_the_table_would_take_them(sql, opened):
    """
    A unique index alone lets nulls in.
    """
    sql("create table t (id int, name text); create unique index on t (id)")
    tables = [{"name": "t", "key": ["id"]}]

    async with opened({"tables": tables}) as session:
        given = lines_of([{"id": 1, "name": "a"}, {"name": "b"}])
        result = await session.write("t", given, batch_id=next(batch_ids()))

    assert [(one.index, one.reason) for one in result.rejected] == [(1, "KEY_MISSING")]
    assert sql("select * from t").fetchall() == [(1, "a")]


async def test_what_a_row_is_refused_for_is_told_at_its_place(sql, opened):
    """
    The others stand.
    """
    sql("create table t (id int primary key, n int check (n > 0), at timestamptz)")
    records = [{"id": 1, "n": 1}, {"id": 2, "n": -1}, {"id": 3, "at": "never"}, {"id": 4, "at": "2026-01-02"}]

    async with opened() as session:
        result = await session.write("t", lines_of(records), batch_id=next(batch_ids()))

    refused = [(one.index, one.reason) for one in result.rejected]
    assert refused == [(1, "CONSTRAINT_VIOLATED"), (2, "VALUE_INVALID")]
    assert sql("select id from t order by id").fetchall() == [(1,), (4,)]


async def test_lines_with_operations_are_looked_at(sql, opened):
    """
    Patches and deletions are no copies.
    """
    sql("create table t (id int primary key, name text); insert into t values (1, 'a'), (2, 'b')")

    async with opened() as session:
        given = lines_of([{"id": 1}, {"id": 2, "name": "c"}])
        operations = [Operation.DELETE, Operation.UPSERT]
        result = await session.write("t", given, (), operations, batch_id=next(batch_ids()))

    assert (result.deleted, result.updated) == (1, 1)
    assert sql("select * from t").fetchall() == [(2, "c")]


@pytest.mark.parametrize("held", ["nothing", "others", "the same"])
@pytest.mark.parametrize(
    "text",
    [
        b"1\x1fa\n2\n",
        b"1\x1fa\n2\x1fb\x1fc\n",
        b"1\x1fa\nx\x1fb\n",
        b"1\x1fa\n2\x1f\xff\n",
        b"1\x1fa\n",
        b"1\x1fa\n2\x1fa\n3\x1fa\n",
        b"1\x1fa\n2\x1fa\n2\x1fa\n",
        b"1\x1fa\n2\x1fa\n\\.\n",
        b"1\x1fa\n\\.\n",
        b"1\x1fa\n2\x1fa\\\n",
    ],
    ids=range(10),
)
async def test_malformed_lines_are_refused_as_a_whole(sql, opened, copied, text, held):
    """
    Neither a row nor a position is left of them, whatever way they take.
    """
    sql("create table t (id int primary key, name text)")
    if held != "nothing":
        sql("insert into t select n, 'a' from generate_series(1, 9) n")
    columns, ids = [LineColumn("id", LineType.INTEGER), LineColumn("name")], batch_ids()
    numbers = {"nothing": [4], "others": [14, 15], "the same": [5, 6]}[held]

    async with opened() as session:
        for number in numbers:
            await session.write("t", lines_of([{"id": number, "name": "a"}]), batch_id=next(ids))
        before, last = sql("select id from t order by id").fetchall(), next(ids)
        with pytest.raises(LinesInvalid):
            await session.write("t", Lines(text, columns, 2), batch_id=last)
        assert sql("select id from t order by id").fetchall() == before
        after = await session.write("t", lines_of([{"id": 33}]), batch_id=last)

    assert (after.created, after.repeated) == (1, False)
