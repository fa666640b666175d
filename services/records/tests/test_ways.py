"""Records may be added or compared, looked up at once or one by one: it always comes to the same."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.services.records.store import statements, writes
from isthmus.type.v1 import batch_pb2

UPSERT, DELETE, DELTA = 1, 3, 3
_STREAMS = itertools.count(1)
_SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
# Consecutive keys from a place on, with one value, or deleted; values differ by their spelling as well.
_batches = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 9), st.sampled_from((b"1", b"1.0", b"2", b""))),
    min_size=1,
    max_size=10,
)


@pytest.fixture(params=["at once", "one by one"])
def small_additions(request, monkeypatch):
    """Let few records be an addition, and look records up either way."""
    monkeypatch.setattr(writes, "LEAST_ADDITION", 3)
    if request.param == "one by one":
        monkeypatch.setattr(statements, "WALKS_SINCE", 1 << 30)


def _apply(held: dict[str, float | None], keys: list[str], value: bytes) -> tuple[int, int, int]:
    """What a batch must do to what is held, by the rules: created, updated, deleted."""
    counts = [0, 0, 0]
    for key in keys:
        before, after = held.get(key), float(value) if value else None
        if before != after:
            counts[0 if before is None else 2 if after is None else 1] += 1
            held[key] = after
    return counts[0], counts[1], counts[2]


async def _told(hub: Any, stream: str, after: int, most: int) -> list[tuple[str, int]]:
    state = b'{"after_change":%d}' % after if after else b""
    position = batch_pb2.Position(state=state, schema_version=1)
    found, _ = await hub.read(stream, DELTA, position=position, max_batch_records=most)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
@given(batches=_batches, most=st.integers(1, 12), data=st.data())
async def test_every_way_comes_to_the_same(hub: Any, small_additions: None, batches, most, data):
    """
    Counts, contents and changes are those of the rules, read from any place on in pages of any size.
    """
    stream, held = f"rows{next(_STREAMS)}", dict[str, float | None]()
    for start, size, value in batches:
        keys = [f"k{number:02}" for number in range(start, start + size)]
        operations = [UPSERT if value else DELETE] * size
        ack = await hub.put(stream, [b'{"n":' + (value or b"0") + b"}"] * size, keys, operations=operations)
        assert (ack.created, ack.updated, ack.deleted) == _apply(held, keys, value)

    where = f"tenant_id = '{hub.tenant}' AND stream = '{stream}'"
    changes = hub.sql(f"SELECT key, is_deleted, change FROM records.records WHERE {where} ORDER BY change")
    present = {key: record["n"] for key, record in (await hub.content(stream)).items()}
    assert present == {key: value for key, value in held.items() if value is not None}
    if changes:
        after = data.draw(st.integers(0, changes[-1][2]))
        expected = [(key, DELETE if gone else UPSERT) for key, gone, change in changes if change > after]
        assert await _told(hub, stream, after, most) == expected


async def test_many_new_records_are_told_by_one_row(hub: Any):
    """
    New records in large numbers have no entry of their own in the index of changes until they change.
    """
    keys, after = [f"k{number:03}" for number in range(500)], [f"l{number:03}" for number in range(500)]
    write = await hub.open("many")
    await write.put([{"n": 1}] * 500, keys)
    await write.put([{"n": 1}] * 500, after)
    await write.put([{"n": 2}] * 2, [after[7], keys[7]])

    place = f"tenant_id = '{hub.tenant}'"
    additions = hub.sql(f"SELECT first_change, last_change, keys FROM records.additions WHERE {place}")
    listed = hub.sql(f"SELECT count(*) FROM records.records WHERE {place} AND NOT is_addition")
    assert (additions, listed) == ([(501, 1000, after)], [(501,)])
    told = [key for key, _ in await _told(hub, "many", 0, 100)]
    assert told == [*(k for k in keys + after if k not in {keys[7], after[7]}), after[7], keys[7]]
