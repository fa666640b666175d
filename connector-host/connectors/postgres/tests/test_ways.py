"""Rows that are copied end exactly like rows that are looked at one by one."""

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.postgres.copying import Copying
from isthmus.sdk import BatchId
from isthmus.sdk.runtime import Documents

ODD = ["None", "\\N", "\\.", "null", "a\tb", "x\ny\r", "\\", "\x1f", "ß", "𝄞", "-0.0", "\u2028", "\x7f"]
TEXTS = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
)
FLOATS = st.floats(-1e30, 1e30) | st.sampled_from([-0.0, 0.0, 1e22, 1e-7, 1.5, 2.0])
MOMENTS = ["2026-01-02T03:04:05Z", "2026-01-02 04:04:05+01", "infinity", "2026-01-02"]
IDS = ["7d444840-9dc0-11d1-b245-5ffdce74fad2", "7D444840-9DC0-11D1-B245-5FFDCE74FAD2", "0" * 32]
TREES = st.recursive(
    st.one_of(st.none(), TEXTS, st.integers(-9, 2**70), FLOATS, st.booleans()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
FITTING = {
    "text": TEXTS | st.integers(),
    "varchar(9)": TEXTS,
    "int2": st.integers(-3, 9) | st.just("7"),
    "int8": st.integers(-3, 3),
    "numeric": FLOATS | st.integers(-9, 2**70) | st.just("1.50"),
    "numeric(40,2)": FLOATS | st.integers(-9, 9),
    "float4": FLOATS | st.integers(-9, 9) | st.just("-0"),
    "float8": FLOATS | st.integers(-9, 9),
    "bool": st.booleans() | st.just("yes"),
    "timestamptz": st.sampled_from(MOMENTS),
    "timestamp": st.sampled_from(MOMENTS),
    "date": st.sampled_from(MOMENTS),
    "uuid": st.sampled_from(IDS),
    "json": TREES,
    "jsonb": TREES,
    "point": st.sampled_from(["(1,2)", "(1,2.0)"]),
    "text[]": st.lists(TEXTS, max_size=2),
    "bytea": st.sampled_from(["\\x00ff", "abc"]),
    "char(3)": st.sampled_from(["a", "a ", "abc"]),
}
WRONG = st.one_of(TREES, st.just("\0"), st.sampled_from([2**40, 1e300, "2026-13-01", "", "toolong   "]))
KEYS = {
    "text": TEXTS,
    "varchar(3)": st.sampled_from(["a", "a ", "abc", "abc "]),
    "int8": st.integers(-3, 3),
    "numeric": st.sampled_from([1, "1.0", 2, "2"]),
    "uuid": st.sampled_from(IDS),
    "timestamptz": st.sampled_from(MOMENTS),
}


@st.composite
def jobs(draw):
    """A table, and batches of records that fit it, but for some."""
    kinds = draw(st.lists(st.sampled_from(sorted(FITTING)), min_size=1, max_size=4))
    key = draw(st.sampled_from(sorted(KEYS)))
    columns = {"key": key, **{f"column {place}": kind for place, kind in enumerate(kinds)}}
    values = {name: st.none() | FITTING[kind] for name, kind in columns.items() if name != "key"}
    given = draw(st.sets(st.sampled_from(sorted(values))))
    record = st.fixed_dictionaries({"key": KEYS[key], **{name: values[name] for name in sorted(given)}})
    batches = draw(st.lists(st.lists(record, min_size=1, max_size=5), min_size=1, max_size=4))
    if draw(st.integers(0, 2)) == 0:
        spoilt = draw(st.sampled_from(draw(st.sampled_from(batches))))
        spoilt[draw(st.sampled_from([*columns, "other"]))] = draw(WRONG)
    if draw(st.integers(0, 3)) == 0:
        draw(st.sampled_from(draw(st.sampled_from(batches)))).pop(draw(st.sampled_from([*columns])), None)
    return columns, batches


async def outcomes(session, database, columns, batches):
    """What became of each batch, and what the table holds in the end."""
    with psycopg.connect(database, autocommit=True) as connection:
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute("drop table if exists t, isthmus_positions")
        connection.execute(f"create table t ({listed}, primary key (key))")
        told = []
        for number, batch in enumerate(batches, 1):
            documents = Documents(map(msgspec.json.encode, batch))
            try:
                result = await session.apply(
                    await session.prepare("t", documents, batch_id=BatchId("flw_1", "", 1, number))
                )
            except Exception as error:
                told.append((type(error), str(error)))
                continue
            counts = (result.created, result.updated, result.unchanged)
            told.append((*counts, [(r.index, r.reason, r.message, r.path) for r in result.rejected]))
        return told, connection.execute("select t::text from t order by 1").fetchall()


@pytest.fixture
def way(monkeypatch):
    """Switches between copying and looking; counts the batches that were copied."""
    copied = []
    write = Copying.write

    def switch(*, copies):
        async def chosen(self, *given):
            done = copies and await write(self, *given)
            copied.append(done)
            return done

        monkeypatch.setattr(Copying, "write", chosen)
        return copied

    return switch


@given(job=jobs())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_both_ways_leave_the_same_rows_and_tell_the_same(database, sql, opened, way, job):
    """
    Whatever the table and whatever the records, nobody can tell which way they went.
    """
    columns, batches = job
    sql("create table if not exists t (key int primary key)")

    async with opened() as session:
        way(copies=True)
        copied = await outcomes(session, database, columns, batches)
        way(copies=False)
        looked = await outcomes(session, database, columns, batches)

    assert copied == looked
