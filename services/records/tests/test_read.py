"""The hub as a source of flows."""

import asyncio
import json

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.type.v1 import batch_pb2

FULL, INCREMENTAL, DELTA = pb.READ_MODE_FULL, pb.READ_MODE_INCREMENTAL, pb.READ_MODE_DELTA
UPSERT, DELETE = batch_pb2.OPERATION_UPSERT, batch_pb2.OPERATION_DELETE


async def fill(hub, count: int, **more: object) -> None:
    records = [{"n": n, **more} for n in range(count)]
    await hub.put("rows", records, [f"k{n:04}" for n in range(count)])


async def test_full_read_gives_everything_by_key(hub):
    """
    A full read gives every record that is not deleted, and the next one begins anew.
    """
    await fill(hub, 25)
    await hub.put("rows", [b""], ["k0003"], operations=[DELETE])
    found, end = await hub.read("rows", FULL, max_batch_records=10)

    assert [key for key, _ in found] == [f"k{n:04}" for n in range(25) if n != 3]
    assert (end.records, end.position.state) == (24, b"")


async def test_full_read_goes_on_from_a_position(hub):
    """
    A reading that broke off goes on behind the last batch it gave.
    """
    await fill(hub, 25)
    call = hub.connector.Read(pb.ReadRequest(stream="rows", mode=FULL, max_batch_records=10))
    first = await call.read()
    call.cancel()
    rest, _ = await hub.read("rows", FULL, position=first.batch.position)

    assert [*first.batch.keys, *(key for key, _ in rest)] == [f"k{n:04}" for n in range(25)]


async def test_incremental_read_gives_what_changed(hub):
    """
    Behind the end of the last reading come new and changed records, each once, and no deletions.
    """
    await fill(hub, 5)
    _, end = await hub.read("rows", INCREMENTAL)
    await hub.put("rows", [{"n": 9}, {"n": 8}], ["k0001", "new"])
    await hub.put("rows", [{"n": 7}, b""], ["k0001", "k0002"], operations=[UPSERT, DELETE])
    found, _ = await hub.read("rows", INCREMENTAL, position=end.position)

    assert found == [("new", UPSERT), ("k0001", UPSERT)]


async def test_delta_read_tells_deletions(hub):
    """
    A delta read gives deletions as such.
    """
    await fill(hub, 3)
    _, end = await hub.read("rows", DELTA)
    await hub.put("rows", [b"", {"n": 5}], ["k0000", "k0001"], operations=[DELETE, UPSERT])
    found, _ = await hub.read("rows", DELTA, position=end.position)

    assert sorted(found) == [("k0000", DELETE), ("k0001", UPSERT)]


async def test_nothing_changed(hub):
    """
    A reading from the end says that nothing has changed, and stays where it is.
    """
    await fill(hub, 3)
    _, end = await hub.read("rows", DELTA)
    found, again = await hub.read("rows", DELTA, position=end.position)

    assert (found, again.not_modified, again.position.state) == ([], True, end.position.state)


async def test_limit_gives_a_sample(hub):
    """
    A limited reading stops early, and its position leads to the rest.
    """
    await fill(hub, 10)
    sample, end = await hub.read("rows", FULL, limit=4)
    rest, _ = await hub.read("rows", FULL, position=end.position)

    assert (len(sample), len(rest)) == (4, 6)


async def test_batches_stay_below_a_megabyte(hub):
    """
    Large records come in smaller batches, every one of them.
    """
    for n in range(4):
        await hub.put("rows", [{"text": "x" * 300_000}] * 3, [f"{n}-{m}" for m in range(3)])
    sizes, count = [], 0
    async for answer in hub.connector.Read(pb.ReadRequest(stream="rows", mode=FULL)):
        sizes.append(sum(map(len, answer.batch.records)))
        count += len(answer.batch.records)

    assert max(sizes) <= 1 << 20
    assert count == 12


async def test_nothing_is_missed_while_others_write(hub):
    """
    Readings that run while many write, each from the end of the one before, see every last form.
    """

    async def write(flow: int) -> None:
        call = await hub.open("rows", flow=f"flw_{flow}")
        for turn in range(20):
            keys = [f"{flow}-{n}" for n in range(10)] + [f"all-{n}" for n in range(5)]
            await call.put([{"flow": flow, "turn": turn}] * 15, keys)

    await hub.put("rows", [{}], ["first"])
    seen, position = {}, batch_pb2.Position()
    writing = asyncio.gather(*map(write, range(4)))
    while not writing.done() or not seen:
        async for answer in hub.connector.Read(pb.ReadRequest(stream="rows", mode=DELTA, position=position)):
            seen |= dict(zip(answer.batch.keys, map(json.loads, answer.batch.records), strict=True))
            position = answer.end.position if answer.HasField("end") else position
    await writing
    async for answer in hub.connector.Read(pb.ReadRequest(stream="rows", mode=DELTA, position=position)):
        seen |= dict(zip(answer.batch.keys, map(json.loads, answer.batch.records), strict=True))

    assert seen == await hub.content("rows")


@pytest.mark.parametrize(
    ("mode", "state", "version"),
    [
        (FULL, b"{", 1),
        (FULL, b"\xff", 1),
        (FULL, b'{"after_change":1}', 1),
        (DELTA, b'{"after_key":"a"}', 1),
        (DELTA, b'{"after_change":-1}', 1),
        (DELTA, b'{"after_change":1,"x":1}', 1),
        (DELTA, b'{"after_change":1}', 2),
        (DELTA, b'{"after_change":1000}', 1),
        (FULL, b'{"after_key":"\\u0000"}', 1),
    ],
)
async def test_foreign_position_is_refused(hub, ended, mode, state, version):
    """
    A position of another mode, layout or copy of the stream cannot be read from.
    """
    await fill(hub, 2)
    position = batch_pb2.Position(state=state, schema_version=version)
    call = hub.connector.Read(pb.ReadRequest(stream="rows", mode=mode, position=position))

    assert await ended(call) == (grpc.StatusCode.INVALID_ARGUMENT, "POSITION_UNREADABLE")


async def test_unknown_stream_is_refused(hub, refused, ended):
    """
    A stream nobody has written cannot be read, and has no partitions.
    """
    partitions = hub.connector.ListPartitions(pb.ListPartitionsRequest(stream="none"))

    assert await refused(partitions) == (grpc.StatusCode.NOT_FOUND, "STREAM_UNKNOWN")
    call = hub.connector.Read(pb.ReadRequest(stream="none", mode=FULL))
    assert await ended(call) == (grpc.StatusCode.NOT_FOUND, "STREAM_UNKNOWN")


async def test_discover_describes_the_streams(hub):
    """
    A stream says its key and the schema of its writer, or one inferred from its records.
    """
    await hub.put("b", [{"n": 1, "t": None}, {"n": 1.5, "t": "x"}], primary_key=["n"])
    await hub.put("a", [{"n": 1}], ["k"], json_schema='{"type": "object"}')
    page = await hub.connector.Discover(pb.DiscoverRequest(page_size=1))
    rest = await hub.connector.Discover(pb.DiscoverRequest(page_token=page.next_page_token))

    (a,), (b,) = page.streams, rest.streams
    assert (a.stream, a.json_schema) == ("a", '{"type": "object"}')
    assert (b.stream, list(b.primary_key), list(b.read_modes)) == ("b", ["n"], [FULL, INCREMENTAL, DELTA])
    schema = json.loads(b.json_schema)["properties"]
    assert schema == {"n": {"type": "number"}, "t": {"type": ["null", "string"]}}


async def test_schema_of_odd_records(hub):
    """
    Numbers that no machine type holds do not keep a stream from being described.
    """
    await hub.put("rows", [b'{"a": 1e400}', b'{"b": ' + b"9" * 5000 + b"}", b'{"c": 1}'], ["a", "b", "c"])
    answer = await hub.connector.Discover(pb.DiscoverRequest())

    assert "c" in json.loads(answer.streams[0].json_schema)["properties"]


async def test_partitions(hub):
    """
    A stream of the hub has one part.
    """
    await fill(hub, 1)
    answer = await hub.connector.ListPartitions(pb.ListPartitionsRequest(stream="rows"))

    assert list(answer.partitions) == [""]


async def test_describe(hub):
    """
    The hub introduces itself as a built-in source and destination without settings.
    """
    spec = (await hub.connector.Describe(pb.DescribeRequest())).spec

    assert (spec.connector_id, spec.is_built_in) == ("hub", True)
    assert {pb.CAPABILITY_SOURCE, pb.CAPABILITY_DESTINATION} <= set(spec.capabilities)


async def test_check_passes(hub, ended):
    """
    Every step of a check passes, and a setting the hub does not have is refused.
    """
    steps = [one.step async for one in hub.connector.Check(pb.CheckRequest())]
    assert {step.result for step in steps} == {pb.CheckStep.RESULT_PASSED}

    for configuration in ('{"url": 1}', "[]"):
        call = hub.connector.Check(pb.CheckRequest(binding=pb.Binding(configuration=configuration)))
        assert await ended(call) == (grpc.StatusCode.INVALID_ARGUMENT, "CONFIGURATION_INVALID")


@pytest.mark.parametrize("rpc", ["Invoke", "Receive", "NotifyInstance"])
async def test_what_the_hub_cannot_do(hub, refused, rpc):
    """
    The hub has no actions, webhooks or life cycle.
    """
    call = getattr(hub.connector, rpc)(getattr(pb, f"{rpc}Request")())

    assert await refused(call) == (grpc.StatusCode.UNIMPLEMENTED, "CAPABILITY_MISSING")
