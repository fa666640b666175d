"""Batches of lines do what batches of single records do."""

import itertools
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.type.v1 import batch_pb2

_STREAMS = itertools.count(1)
_SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
_RECORDS = st.sampled_from(
    [
        b"{}",
        b'{"n":1}',
        b'{"n":1.0}',
        '{"t":"Zürich 印"}'.encode(),
        b'{"t":"a\\nb\\\\u0000"}',
        b'{"sha":"0e123456789012345e123456"}',
        b'{"n":1e300}',
        b'{"n":1e999999}',
        b'{"n":[1E-99999]}',
        b'{"t":"\\u0000"}',
        b'{"t":"\xff"}',
        b'{"n":1}{"n":2}',
        b'{"n":',
        b"[1]",
        b"",
    ]
)
_KEYS = st.sampled_from(["a", "b", "ü", "a\x1fb", "", "k" * 2049, "x\0y"])


def batch_of(records: list[bytes], keys: list[str], sequence: int = 1) -> batch_pb2.Batch:
    """Put records and keys into lines."""
    return batch_pb2.Batch(
        sequence=sequence,
        encoding=batch_pb2.ENCODING_JSON_LINES,
        records=[b"".join(record + b"\n" for record in records)],
        key_lines="".join(f"{key}\n" for key in keys),
        line_count=len(records),
    )


@settings(max_examples=20, deadline=None, suppress_health_check=_SLOW)
@given(
    batches=st.lists(st.lists(st.tuples(_RECORDS, _KEYS), min_size=1, max_size=6), min_size=1, max_size=3),
    is_keyed=st.booleans(),
)
async def test_lines_and_single_records_end_alike(hub: Any, batches: Any, is_keyed: bool):
    """
    What is stored, counted and rejected is the same, whatever is in the records.
    """
    number = next(_STREAMS)
    single, lines = await hub.open(f"single{number}"), await hub.open(f"lines{number}")
    for sequence, records in enumerate(batches, 1):
        contents, keys = [one for one, _ in records], [key for _, key in records] if is_keyed else []
        expected = await single.put(contents, keys)
        await lines.call.write(pb.WriteRequest(batch=batch_of(contents, keys, sequence)))
        assert await lines.ack() == expected

    await single.close()
    await lines.close()

    columns = f"SELECT key, version, data FROM records.records WHERE tenant_id = '{hub.tenant}' AND stream ="
    stored = [hub.sql(f"{columns} '{name}{number}' ORDER BY key") for name in ("single", "lines")]
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    "broken",
    [
        {"line_count": 3},
        {"records": [b'{"n":1}\n{"n":2}']},
        {"records": [b'{"n":1}\n', b'{"n":2}\n']},
        {"records": []},
        {"key_lines": "a\n"},
        {"key_lines": "a\nb"},
        {"keys": ["a", "b"]},
        {"operations": [1, 1]},
    ],
    ids=["count", "end", "two texts", "no text", "too few keys", "end of keys", "single keys", "operations"],
)
async def test_lines_that_do_not_fit_together_are_refused(hub: Any, ended: Any, broken: dict[str, Any]):
    """
    Nobody guesses which key belongs to which record.
    """
    write = await hub.open("rows")
    batch = batch_of([b'{"n":1}', b'{"n":2}'], ["a", "b"])
    for name, value in broken.items():
        batch.ClearField(name)
        batch.MergeFrom(batch_pb2.Batch(**{name: value}))
    await write.call.write(pb.WriteRequest(batch=batch))

    assert await ended(write.call) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
    assert await hub.content("rows") == {}
