"""Lines of text end exactly like the JSON documents of the same records."""


import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.postgres import staging
from isthmus.connectors.postgres.copying import Copying
from isthmus.sdk import BatchId
from isthmus.sdk.runtime import Documents
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
            result = await session.apply(prepared)
            counts = (result.created, result.updated, result.unchanged)
            told.append((*counts, [(r.index, r.reason, r.message, r.path) for r in result.rejected]))
        return told, connection.execute("select t::text from t order by 1").fetchall()


@given(job=jobs())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
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
