"""Batches that come again unchanged are recognised, and nothing that was done to their rows is overlooked."""

import itertools

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.postgres import copying, remembering, staging
from isthmus.connectors.postgres.copying import Copying
from isthmus.connectors.postgres.rows import rows_of
from isthmus.sdk import AuthMethod, BatchId, Credential, Generation
from isthmus.sdk.runtime import Documents
from isthmus.testing.lines import lines_of

TABLE = "create table t (id int primary key, name text, at timestamptz)"


def records(*ids, name="a"):
    return [{"id": one, "name": name, "at": "2026-01-02 03:04:05+00"} for one in ids]


def documents(batch):
    return Documents(map(msgspec.json.encode, batch))


@pytest.fixture
def text(monkeypatch):
    """Batches whose text went to the database, by their number; remembers however few records there are."""
    monkeypatch.setattr(remembering, "_LEAST_ROWS", 1)
    monkeypatch.setattr(staging, "_LEAST_COMPARED", 1)
    sent = []
    stated = Copying._stated

    async def noted(self, job, parts):
        sent.append(job.batch.id.sequence)
        return await stated(self, job, parts)

    monkeypatch.setattr(Copying, "_stated", noted)
    return sent


class Flow:
    """Full readings of one flow, one attempt each."""

    def __init__(self, session, form=lines_of):
        self._session = session
        self._form = form
        self._tokens = itertools.count(1)

    async def read(self, *batches, generation=""):
        """What became of each batch: created, updated, unchanged."""
        token, told = next(self._tokens), []
        for number, batch in enumerate(batches, 1):
            prepared = await self._session.prepare(
                "t", self._form(batch), batch_id=BatchId("flw_1", "", token, number, generation)
            )
            result = await self._session.apply(prepared)
            told.append((result.created, result.updated, result.unchanged))
        return told


def versions(sql):
    """Who wrote which row where."""
    return sql("select id, xmin::text, ctid::text from t order by id").fetchall()


@pytest.mark.parametrize("form", [lines_of, documents])
async def test_what_came_before_is_known_by_its_bytes(sql, opened, text, form):
    """
    Nothing but the position is written, whatever the order of the batches and whoever connects.
    """
    sql(TABLE)
    batches = [records(1, 2, 3), records(4, 5), records(7, 6, 8)]

    async with opened() as session:
        await Flow(session, form).read(*batches)
    before, remembered = versions(sql), sql("select * from isthmus_remembered order by place").fetchall()
    text.clear()
    async with opened() as session:
        flow = Flow(session, form)
        next(flow._tokens)
        told = await flow.read(*reversed(batches))

    assert told == [(0, 0, 3), (0, 0, 2), (0, 0, 3)]
    # Keys that do not come in order may lie anywhere: such a batch is compared.
    assert text == [1]
    assert versions(sql) == before
    assert len(remembered) == 3
    assert sql("select fencing_token, sequence from isthmus_positions").fetchall() == [(2, 3)]


ACTS_OF_OTHERS = {
    "changed": "update t set name = 'x' where id = 2",
    "changed to the same": "update t set name = name where id = 2",
    "changed and changed back": "update t set name = 'x' where id = 2; update t set name = 'a' where id = 2",
    "changed below a savepoint": "begin; savepoint s; update t set name = 'x'; release s; commit",
    "deleted": "delete from t where id = 2",
    "deleted and replaced": "delete from t where id = 2; insert into t values (9, 'x')",
    "moved": "update t set id = 9 where id = 2",
    "emptied": "truncate t",
    "restored": "create table o as table t; truncate t; insert into t table o; update t set name = 'x'",
    "altered": "alter table t alter name type varchar(2), add more text",
    "replaced": "drop table t; " + TABLE,
    "filled anew": "drop table t; " + TABLE + "; insert into t select n, 'x' from generate_series(1, 3) n",
}


@pytest.mark.parametrize("times", [1, 3], ids=["added", "compared"])
async def test_whatever_was_done_to_a_row_is_mended(sql, opened, text, times):
    """
    Rows that were written by the flow, and rows that were found to be the same.
    """
    batch = records(1, 2, 3)
    found = {}

    async with opened() as session:
        for act, statements in ACTS_OF_OTHERS.items():
            sql(f"drop table if exists t, o, isthmus_positions; {TABLE}")
            flow = Flow(session)
            await flow.read(batch)
            sql("update t set name = name" if times > 1 else "select")
            for _ in range(times - 1):
                await flow.read(batch)
            for one in statements.split("; "):
                sql(one)
            text.clear()
            [told] = await flow.read(batch)
            rows = sql("select id, name from t where id < 4 order by id").fetchall()
            found[act] = sum(told), bool(text), rows

    assert found == dict.fromkeys(ACTS_OF_OTHERS, (3, True, [(1, "a"), (2, "a"), (3, "a")]))


async def test_rows_that_were_found_to_be_the_same_are_known_from_then_on(sql, opened, text):
    """
    Though others have written them; a row that somebody puts between them makes the batch be compared again.
    """
    sql(TABLE)
    batch = records(1, 2, 4)

    async with opened() as session:
        flow = Flow(session)
        await flow.read(batch)
        sql("update t set name = 'a'")
        await flow.read(batch)
        await flow.read(batch)
        text.clear()
        known = await flow.read(batch)
        was_sent = bool(text)
        sql("insert into t values (3, 'other')")
        between = await flow.read(batch)

    assert known == between == [(0, 0, 3)]
    assert (was_sent, text) == (False, [1])


async def test_rows_of_others_between_those_of_the_flow_do_no_harm(sql, opened, text):
    """
    What the flow has added itself is told from them by its transaction.
    """
    sql(TABLE)
    batch = records(1, 2, 4)

    async with opened() as session:
        flow = Flow(session)
        await flow.read(batch)
        sql("insert into t values (3, 'other')")
        text.clear()
        told = [await flow.read(batch)]
        was_sent = bool(text)
        sql("delete from t where id = 2")
        told.append(await flow.read(batch))

    assert told == [[(0, 0, 3)], [(1, 0, 2)]]
    assert not was_sent


async def test_a_change_that_is_under_way_is_seen_when_it_is_done(sql, opened, text, database):
    """
    While nobody sees it nothing is to be done, with either way.
    """
    sql(TABLE)
    batch = records(1, 2, 3)

    async with opened() as session:
        flow = Flow(session)
        await flow.read(batch)
        with psycopg.connect(database) as other:
            other.execute("update t set name = 'x' where id = 2")
            during = await flow.read(batch)
            sql("update t set name = name where id = 1")
            during += await flow.read(batch, batch)
        told = await flow.read(batch, batch)

    assert during == [(0, 0, 3)] * 3
    assert told == [(0, 1, 2), (0, 0, 3)]


@pytest.mark.parametrize(
    ("what", "with_"),
    [
        ("_SYSTEM", "select 'restored elsewhere'"),
        ("_FOUND", remembering._FOUND.replace("between 0 and 1000000000", "between 0 and 0")),
    ],
    ids=["another server", "too long ago"],
)
async def test_numbers_of_transactions_that_mean_nothing_are_not_believed(
    sql, opened, text, monkeypatch, what, with_
):
    """
    A dump takes what is remembered along to a server that counts otherwise.
    """
    sql(TABLE)

    async with opened() as session:
        await Flow(session).read(records(1, 2, 3))
    text.clear()
    monkeypatch.setattr(remembering, what, with_)
    async with opened() as session:
        flow = Flow(session)
        next(flow._tokens)
        told = await flow.read(records(1, 2, 3))

    assert (told, text) == ([(0, 0, 3)], [1])


TRIGGER = """
create function f() returns trigger as 'begin
    update t set name = ''x'' where id = new.id and name = ''a''; return null; end' language plpgsql;
create trigger t after insert on t for each row execute function f()
"""


@pytest.mark.parametrize(
    ("before", "act"),
    [
        (TRIGGER, "select"),
        ("alter table t alter at type interval using null", "select"),
        ("select", "alter database {} set timezone = 'Asia/Tokyo'"),
    ],
    ids=["trigger", "other type", "time zone"],
)
async def test_where_the_same_text_may_become_another_row_it_is_compared(
    sql, opened, text, database, before, act
):
    """
    What follows from a row, and what a text means, is for the database to say.
    """
    sql(TABLE)
    sql(before)
    batch = [{"id": 1, "name": "a", "at": "03:04:05" if "interval" in before else "2026-01-02 03:04:05"}]

    async with opened() as session:
        await Flow(session).read(batch)
    sql(act.format(database.rpartition("/")[2]))
    text.clear()
    async with opened() as session:
        flow = Flow(session)
        next(flow._tokens)
        await flow.read(batch)

    assert text == [1]


async def test_a_user_who_may_not_create_it_goes_without(sql, opened, text, database):
    """
    Nothing is remembered then, and everything is compared.
    """
    place = database.rpartition("/")[2]
    name = f"writer_of_{place}"
    sql(TABLE)
    async with opened() as session:
        await Flow(session).read(records(1))
    sql("drop table isthmus_remembered; truncate t; truncate isthmus_positions")
    sql(f"create role {name} login password 'p'; grant temporary on database {place} to {name}")
    sql(f"grant select, insert, update, delete on t, isthmus_positions to {name}")
    credential = Credential(method=AuthMethod.BASIC, username=name, password="p")

    async with opened(credential=credential) as session:
        flow = Flow(session)
        told = await flow.read(records(1, 2)) + await flow.read(records(1, 2))

    assert told == [(2, 0, 0), (0, 0, 2)]
    assert sql("select to_regclass('isthmus_remembered')").fetchone() == (None,)


async def test_only_the_newest_of_a_flow_stays(sql, opened, text, monkeypatch):
    """
    A flow that brings other batches each time does not fill the database.
    """
    monkeypatch.setattr(remembering, "_MOST_REMEMBERED", 3)
    sql(TABLE)

    async with opened() as session:
        flow = Flow(session)
        for first in range(1, 31, 2):
            await flow.read(records(first, first + 1))

    assert sql("select fencing_token from isthmus_remembered order by 1").fetchall() == [
        (12,),
        (13,),
        (14,),
        (15,),
    ]


async def test_documents_that_are_most_likely_known_are_not_even_read(sql, opened, text, monkeypatch):
    """
    Those that are not known after all are read then.
    """
    sql(TABLE)
    batches = [records(1, 2), records(3, 4), records(5, 6)]

    async with opened() as session:
        flow, made = Flow(session, documents), []
        await flow.read(*batches)
        monkeypatch.setattr(copying, "rows_of", lambda *given: made.append(given) or rows_of(*given))
        known = await flow.read(*batches)
        was_made = len(made)
        sql("update t set name = 'x' where id = 5")
        again = await flow.read(*batches)

    assert known == [(0, 0, 2)] * 3
    assert again == [(0, 0, 2), (0, 0, 2), (0, 1, 1)]
    assert (was_made, len(made)) == (1, 2)


@pytest.mark.parametrize("form", [lines_of, documents])
async def test_what_is_known_is_shown_by_a_refresh(sql, opened, text, form):
    """
    With the same hashes of the same keys, and of no row that others have put in between.
    """
    sql(TABLE)
    batches = [records(1, 2, 4), records(5, 6)]

    async with opened() as session:
        flow = Flow(session, form)
        for generation in ("exe_1", "exe_2", "exe_3"):
            told = await flow.read(*batches, generation=generation)
            sql("insert into t values (3, 'other') on conflict do nothing")
        hashes = sql("select sequence, hashes from isthmus_generations order by fencing_token, 1").fetchall()
        ended = await session.finish("t", Generation("flw_1", "exe_3", 3, most_percent=100))

    assert told == [(0, 0, 3), (0, 0, 2)]
    assert len(text) == 2
    assert (ended.shown, ended.removed) == (5, 0)
    assert hashes == hashes[:2] * 3


KEYS = st.integers(1, 12)
NAMES = st.sampled_from(["a", "b"])
ACTS = st.one_of(
    st.builds("update t set name = '{1}' where id = {0}".format, KEYS, NAMES),
    st.builds("update t set name = name where id between {0} and {1}".format, KEYS, KEYS),
    st.builds("delete from t where id = {0}".format, KEYS),
    st.builds("insert into t values ({0}, '{1}') on conflict do nothing".format, KEYS, NAMES),
    st.builds(
        "update t set id = 13 - id where id = {0} and not exists (select from t where id = 13 - {0})".format,
        KEYS,
    ),
    st.sampled_from(["truncate t", "vacuum full t", "vacuum freeze t", "alter table t alter name type text"]),
)
BATCH = st.builds(lambda keys, name: records(*keys, name=name), st.lists(KEYS, min_size=1, max_size=4), NAMES)


@st.composite
def readings(draw):
    """What is done to the table before each of some readings, most of them of the same batches."""
    batches = draw(st.lists(BATCH, min_size=1, max_size=3))
    found = []
    for _ in range(draw(st.integers(2, 5))):
        if draw(st.integers(0, 4)) == 0:
            batches = [*batches[1:], draw(BATCH)]
        found.append((draw(st.lists(ACTS, max_size=2)), batches))
    return found


@given(job=readings())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_nobody_can_tell_whether_batches_were_recognised(sql, opened, text, monkeypatch, job):
    """
    Whatever others do between readings, rows and counts are those of comparing each time.
    """
    outcomes = []
    sql("create table if not exists t (id int primary key)")
    form = documents if len(job) % 2 else lines_of
    for digest in (remembering.digest_of, lambda _batch: None):
        monkeypatch.setattr(copying, "digest_of", digest)
        sql("drop table if exists t, isthmus_positions, isthmus_remembered")
        sql(TABLE)
        async with opened() as session:
            flow, told = Flow(session, form), []
            for acts, batches in job:
                for act in acts:
                    sql(act)
                told.append(await flow.read(*batches))
        outcomes.append((told, sql("select id, name, at from t order by id").fetchall()))

    assert outcomes[0] == outcomes[1]
