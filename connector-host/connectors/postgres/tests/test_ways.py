"""Rows that are copied end exactly like rows that are looked at one by one."""

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.postgres.copying import Copying
from isthmus.sdk import BatchId
from isthmus.sdk.runtime import Documents

TEXTS = st.one_of(
    st.sampled_from(
        ["", "None", "\\N", "\\.", "null", "a\tb", "x\ny\r", "\\", "\x1f", "\x00", "ß", "𝄞", "-0.0"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 0.0, 1e22, 1e-7, 1.5, 2.0]),
)
MOMENTS = ["2026-01-02T03:04:05Z", "2026-01-02 04:04:05+01", "2026-13-01", "infinity", "yesterday", ""]
IDS = ["7d444840-9dc0-11d1-b245-5ffdce74fad2", "7D444840-9DC0-11D1-B245-5FFDCE74FAD2", "{7d}"]
VALUES = st.one_of(
    st.none(), st.booleans(), TEXTS, NUMBERS, st.sampled_from(MOMENTS + IDS),
    st.recursive(st.one_of(st.none(), TEXTS, NUMBERS), lambda inner: st.lists(inner, max_size=2)
                 | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4),
)  # fmt: skip
FITTING = {
    "text": TEXTS,
    "varchar(3)": TEXTS,
    "int2": st.integers(-3, 40000),
    "int8": st.integers(-3, 3),
    "numeric": NUMBERS,
    "numeric(6,2)": NUMBERS,
    "float4": NUMBERS,
    "float8": NUMBERS,
    "bool": st.booleans(),
    "timestamptz": st.sampled_from(MOMENTS),
    "timestamp": st.sampled_from(MOMENTS),
    "date": st.sampled_from(MOMENTS),
    "uuid": st.sampled_from(IDS),
    "json": VALUES,
    "jsonb": VALUES,
    "point": st.sampled_from(["(1,2)", "(1,2.0)", "1"]),
    "text[]": st.lists(TEXTS, max_size=2),
    "bytea": TEXTS,
    "char(3)": TEXTS,
}
KEYS = ["text", "varchar(3)", "int8", "numeric", "uuid", "timestamptz", "float8", "bool"]


@st.composite
def jobs(draw):
    """A table, rows that are in it, and batches of records that fit more or less."""
    kinds = [draw(st.sampled_from(KEYS)), *draw(st.lists(st.sampled_from(list(FITTING)), max_size=3))]
    columns = {f"c{place}": kind for place, kind in enumerate(kinds)}
    tame = draw(st.booleans())

    def value(kind):
        return FITTING[kind] if tame else st.one_of(FITTING[kind], FITTING[kind], VALUES)

    required = {"c0": value(kinds[0])}
    more = {name: st.one_of(value(kind), st.none()) for name, kind in list(columns.items())[1:]}
    if not tame:
        more["other"] = VALUES
    always = draw(st.sets(st.sampled_from(sorted(more)))) if more else set()
    record = st.fixed_dictionaries(
        required | {n: more[n] for n in always}, optional={n: v for n, v in more.items() if n not in always}
    )
    if tame:
        record = st.fixed_dictionaries(required | {n: v for n, v in more.items() if n in always})
    return columns, draw(st.lists(st.lists(record, min_size=1, max_size=6), min_size=1, max_size=3))


async def outcomes(session, database, columns, batches):
    """What became of each batch, and what the table holds in the end."""
    with psycopg.connect(database, autocommit=True) as connection:
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        connection.execute(
            f"drop table if exists t, isthmus_positions; create table t ({listed}, primary key (c0))"
        )
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
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
async def test_both_ways_leave_the_same_rows_and_tell_the_same(database, opened, way, job):
    """
    Whatever the table and whatever the records, nobody can tell which way they went.
    """
    columns, batches = job

    async with opened({"tables": [{"name": "t", "create": True, "key": ["c0"]}]}) as session:
        way(copies=True)
        copied = await outcomes(session, database, columns, batches)
        way(copies=False)
        looked = await outcomes(session, database, columns, batches)

    assert copied == looked
