"""What writing into the hub does."""

import asyncio
import json

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.records.v1 import records_pb2 as records_pb
from isthmus.type.v1 import batch_pb2

UPSERT, PATCH, DELETE = batch_pb2.OPERATION_UPSERT, batch_pb2.OPERATION_PATCH, batch_pb2.OPERATION_DELETE
STATE = "SELECT xmin::text, ctid::text, version, change FROM records.records ORDER BY tenant_id, stream, key"


async def test_records_arrive(hub):
    """
    A batch of new records is counted as created and can be read back.
    """
    ack = await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"])

    assert (ack.created, ack.updated, ack.unchanged, list(ack.outcomes)) == (2, 0, 0, [])
    assert await hub.content("rows") == {"a": {"n": 1}, "b": {"n": 2}}


async def test_ready_tells_the_limits(hub):
    """
    The first answer grants credit and names limits and guarantee.
    """
    write = await hub.open("rows")

    assert write.ready.credit >= 4
    assert (write.ready.max_batch_bytes, write.ready.max_batch_records) == (1 << 20, 2500)
    assert write.ready.guarantee == pb.GUARANTEE_TRANSACTIONAL
    await write.close()


async def test_repeated_batch_has_no_effect(hub):
    """
    The same sequence under the same token is acknowledged and not applied, even with other content.
    """
    write = await hub.open("rows")
    await write.put([{"n": 1}], ["a"])
    again = await write.put([{"n": 2}], ["a"], sequence=1)

    assert again.repeated_batch
    assert again.unchanged == 1
    assert await hub.content("rows") == {"a": {"n": 1}}


async def test_repeated_batch_tells_its_rejections_again(hub):
    """
    Whoever lost the acknowledgement still learns which records to quarantine, on another connection too.
    """
    first = await hub.open("rows")
    told = await first.put([{"n": 1}, b"{oops"], ["a", "b"])
    second = await hub.open("rows")
    again = await second.put([{"n": 1}, b"{oops"], ["a", "b"], sequence=1)

    assert again.repeated_batch
    assert again.outcomes == told.outcomes
    assert again.outcomes[0].reason == "JSON_INVALID"


async def test_older_attempt_is_fenced(hub, ended):
    """
    Once a newer attempt has written, the older one is refused and changes nothing.
    """
    old, new = await hub.open("rows", token=1), await hub.open("rows", token=2)
    await old.put([{"n": 1}], ["a"])
    await new.put([{"n": 2}], ["a"])
    await old.send([{"n": 3}], ["a"])

    assert await ended(old.call) == (grpc.StatusCode.FAILED_PRECONDITION, "FENCED")
    assert await hub.content("rows") == {"a": {"n": 2}}


async def test_newer_attempt_counts_from_one(hub):
    """
    A new attempt applies its records again; what is the same already is not written.
    """
    first, second = await hub.open("rows", token=1), await hub.open("rows", token=2)
    await first.put([{"n": 1}], ["a"])
    await first.put([{"n": 2}], ["b"])
    ack = await second.put([{"n": 1}, {"n": 3}], ["a", "b"])

    assert (ack.unchanged, ack.updated, ack.repeated_batch) == (1, 1, False)


async def test_known_record_among_new_ones_is_recognised(hub):
    """
    A writer that has brought nothing but new records is not taken at its word.
    """
    write = await hub.open("rows")
    for key in ("a", "b"):
        await write.put([{"n": 1}], [key])
    ack = await write.put([{"n": 1}, {"n": 2}, {"n": 1}], ["c", "a", "b"])

    assert (ack.created, ack.updated, ack.unchanged) == (1, 1, 1)
    assert await hub.content("rows") == {"a": {"n": 2}, "b": {"n": 1}, "c": {"n": 1}}


async def test_partitions_count_by_themselves(hub):
    """
    Each partition of a flow has its own sequence, and they may share one call.
    """
    write = await hub.open("rows")
    acks = [await write.put([{"n": 1}], [part], partition=part) for part in ("x", "y", "x")]

    assert [(ack.partition, ack.sequence) for ack in acks] == [("x", 1), ("y", 1), ("x", 2)]


async def test_gap_in_the_sequence_is_refused(hub, ended):
    """
    A batch whose predecessor never came is not applied.
    """
    write = await hub.open("rows")
    await write.put([{"n": 1}], ["a"])
    await write.send([{"n": 2}], ["b"], sequence=3)

    assert await ended(write.call) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
    assert list(await hub.content("rows")) == ["a"]


@pytest.mark.parametrize(
    "batch",
    [
        {"records": [{}] * 2501},
        {"records": [{"x": "y" * 600_000}] * 2},
        {"records": [{}, {}], "keys": ["a"]},
        {"records": [{}, {}], "keys": ["a", "b"], "operations": [1]},
        {"records": [{}], "keys": ["a"], "operations": [9]},
        {"records": [{}], "keys": ["a"], "partition": "x" * 1025},
        {"records": [{}], "keys": ["a"], "partition": "a\0b"},
        {"records": [{}], "keys": ["a"], "encoding": batch_pb2.ENCODING_ARROW_IPC},
    ],
)
async def test_batch_that_breaks_the_contract(hub, ended, batch):
    """
    A batch over the limits, or whose lists do not fit together, is refused as a whole.
    """
    write = await hub.open("rows")
    await write.put([{"n": 1}], ["ok"])
    await write.send(**batch)

    assert await ended(write.call) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
    assert list(await hub.content("rows")) == ["ok"]


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        ({"stream": ""}, (grpc.StatusCode.NOT_FOUND, "STREAM_UNKNOWN")),
        ({"stream": "x" * 256}, (grpc.StatusCode.NOT_FOUND, "STREAM_UNKNOWN")),
        ({"flow_id": ""}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"flow_id": "x" * 1025}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"origin": "a\0b"}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"fencing_token": 0}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"mode": 9}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"json_schema": "[]"}, (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")),
        ({"binding": pb.Binding(instance_id="ins_1")}, (grpc.StatusCode.NOT_FOUND, "INSTANCE_UNKNOWN")),
    ],
)
async def test_opening_that_is_refused(hub, ended, opened, expected):
    """
    An opening without a possible stream, flow, token, mode or instance ends the call.
    """
    values = {"binding": pb.Binding(instance_id="hub"), "stream": "s", "flow_id": "f", "fencing_token": 1}
    call = hub.connector.Write()
    await call.write(pb.WriteRequest(open=pb.WriteOpen(**{**values, **opened})))

    assert await ended(call) == expected


async def test_batch_before_open_is_refused(hub, ended):
    """
    The first message has to be `open`, and there is only one.
    """
    early = hub.connector.Write()
    await early.write(pb.WriteRequest(batch=batch_pb2.Batch(sequence=1)))
    late = await hub.open("rows")
    await late.call.write(pb.WriteRequest(open=pb.WriteOpen()))

    assert await ended(early) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
    assert await ended(late.call) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")


async def test_unchanged_records_cost_nothing(hub):
    """
    Writing the same again leaves every row where it is, unversioned, without history and without event.
    """
    await hub.put("rows", [{"n": n} for n in range(500)], [f"k{n}" for n in range(500)])
    events = hub.sql("SELECT count(*) FROM records.outbox")
    before = hub.sql(STATE)
    ack = await hub.put("rows", [{"n": n} for n in range(500)], [f"k{n}" for n in range(500)])

    assert ack.unchanged == 500
    assert hub.sql(STATE) == before
    assert hub.sql("SELECT count(*) FROM records.outbox") == events
    assert hub.sql(f"SELECT count(*) FROM records.record_history WHERE tenant_id = '{hub.tenant}'") == [(0,)]


async def test_other_spelling_is_unchanged(hub):
    """
    Another order of members, other white space or another spelling of a number make no version.
    """
    await hub.put("rows", [b'{"a": 1, "b": [1.0, "\\u00e9"]}'], ["k"])
    ack = await hub.put("rows", ['{"b":[1,"é"],"a":1e0}'.encode()], ["k"])

    assert (ack.unchanged, ack.updated) == (1, 0)


async def test_change_makes_a_version_with_provenance(hub):
    """
    A new form replaces the old one, which stays readable with who wrote it.
    """
    await hub.put("rows", [{"n": 1}], ["k"], execution_id="exe_old", origin="files/ins_1/old")
    await hub.put("rows", [{"n": 2}], ["k"], execution_id="exe_new", origin="files/ins_1/new")
    request = records_pb.ListRecordVersionsRequest(stream="rows", key="k")
    forms = (await hub.records.ListRecordVersions(request)).versions

    told = [(form.version, json.loads(form.data), form.execution_id, form.origin) for form in forms]
    assert told == [
        (2, {"n": 2}, "exe_new", "files/ins_1/new"),
        (1, {"n": 1}, "exe_old", "files/ins_1/old"),
    ]


async def test_content_is_kept_byte_for_byte(hub):
    """
    What comes out is what went in: no number is rounded and no member reordered.
    """
    record = b'{"z": 1.10, "a": 12345678901234567890.000, "t": "\\u00e9"}'
    await hub.put("rows", [record], ["k"])

    (stored,) = await hub.query("rows")
    assert stored.data.encode() == record


async def test_delete_marks_and_keeps(hub):
    """
    A deleted record disappears from queries and keeps its last form and history.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"])
    ack = await hub.put("rows", [b"", b"not read"], ["a", "never"], operations=[DELETE, DELETE])

    assert (ack.deleted, ack.unchanged) == (1, 1)
    assert list(await hub.content("rows")) == ["b"]
    (gone,) = [one for one in await hub.query("rows", include_deleted=True) if one.is_deleted]
    assert (gone.key, gone.version, json.loads(gone.data)) == ("a", 2, {"n": 1})


async def test_deleted_record_comes_back(hub):
    """
    Writing a deleted record again creates it anew, in the same form too, with its history.
    """
    await hub.put("rows", [{"n": 1}], ["a"])
    await hub.put("rows", [b""], ["a"], operations=[DELETE])
    ack = await hub.put("rows", [{"n": 1}], ["a"])

    assert ack.created == 1
    (record,) = await hub.query("rows")
    assert (record.version, record.is_deleted) == (3, False)


async def test_patch_changes_only_what_it_carries(hub):
    """
    Absent members keep their value and spelling, null is a value, and a patch of nothing creates.
    """
    await hub.put("rows", [b'{"a": 1.50, "b": {"x": 1}, "c": 3}'], ["k"])
    patches = [{"b": {"y": 2}, "c": None}, {"n": 1}]
    ack = await hub.put("rows", patches, ["k", "new"], operations=[PATCH, PATCH])

    assert (ack.updated, ack.created) == (1, 1)
    assert await hub.content("rows") == {"k": {"a": 1.5, "b": {"y": 2}, "c": None}, "new": {"n": 1}}
    assert "1.50" in (await hub.query("rows", "a = 1.5"))[0].data


async def test_records_of_one_key_take_effect_in_order(hub):
    """
    Inside a batch the last word counts, patches build on what came before, and the counts add up.
    """
    records = [{"n": 1}, {"n": 2}, {"m": 3}, b"", {"n": 9}, {"n": 5}]
    operations = [UPSERT, UPSERT, PATCH, DELETE, UPSERT, UPSERT]
    ack = await hub.put("rows", records, ["a", "a", "a", "b", "b", "c"], operations=operations)

    assert await hub.content("rows") == {"a": {"n": 2, "m": 3}, "b": {"n": 9}, "c": {"n": 5}}
    assert (ack.created, ack.unchanged) == (3, 3)
    assert hub.sql(f"SELECT count(*) FROM records.record_history WHERE tenant_id = '{hub.tenant}'") == [(0,)]


async def test_invalid_record_does_not_hide_the_valid_one_before(hub):
    """
    When the last record of a key is rejected, the one before it takes effect.
    """
    ack = await hub.put("rows", [{"n": 1}, b'{"n": }'], ["a", "a"])

    assert (ack.created, [one.index for one in ack.outcomes]) == (1, [1])
    assert await hub.content("rows") == {"a": {"n": 1}}


async def test_create_mode_refuses_what_exists(hub):
    """
    With mode create a known record in another form is rejected; in the same form it is unchanged.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"])
    records = [{"n": 1}, {"n": 3}, {"n": 4}]
    ack = await hub.put("rows", records, ["a", "b", "c"], mode=pb.WRITE_MODE_CREATE)

    assert (ack.created, ack.unchanged) == (1, 1)
    assert [(one.index, one.reason) for one in ack.outcomes] == [(1, "RECORD_EXISTS")]


async def test_update_mode_refuses_what_is_new(hub):
    """
    With mode update only records that exist are changed, and none is deleted.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"])
    records, operations = [{"n": 3}, {"n": 4}, b""], [UPSERT, UPSERT, DELETE]
    ack = await hub.put("rows", records, ["a", "new", "b"], operations=operations, mode=pb.WRITE_MODE_UPDATE)

    assert ack.updated == 1
    told = [(one.index, one.reason) for one in ack.outcomes]
    assert told == [(1, "RECORD_MISSING"), (2, "OPERATION_NOT_ALLOWED")]


async def test_keys_come_from_the_primary_key(hub):
    """
    Without keys in the batch they are built from the key fields; a record without one is rejected.
    """
    records = [{"a": {"b": "x"}, "n": 1}, {"a": {"b": "x"}, "n": True}, {"a": {}, "n": 3}, {"a": 1}]
    ack = await hub.put("rows", records, primary_key=["a.b", "n"])

    assert list(await hub.content("rows")) == ["x\x1f1", "x\x1ftrue"]
    told = [(one.index, one.reason, one.path) for one in ack.outcomes]
    assert told == [(2, "KEY_MISSING", "a.b"), (3, "KEY_MISSING", "a.b")]


async def test_keys_come_from_the_content(hub):
    """
    Without any key equal records are one record.
    """
    ack = await hub.put("rows", [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}])

    assert (ack.created, ack.unchanged) == (2, 1)
    again = await hub.put("rows", [{"b": 2, "a": 1}])
    assert again.unchanged == 1


async def test_two_flows_write_one_stream(hub):
    """
    Flows that write the same keys at the same moment neither collide nor lose a change number.
    """
    keys = [f"k{n}" for n in range(300)]

    async def write(flow: int) -> list[pb.BatchAck]:
        call = await hub.open("rows", flow=f"flw_{flow}")
        return [await call.put([{"by": flow, "round": r}] * 300, keys) for r in range(5)]

    acks = [ack for done in await asyncio.gather(*map(write, range(4))) for ack in done]

    assert sum(ack.created for ack in acks) == 300
    written = sum(ack.created + ack.updated for ack in acks)
    place = f"tenant_id = '{hub.tenant}'"
    assert hub.sql(f"SELECT sum(version) FROM records.records WHERE {place}") == [(written,)]
    assert hub.sql(f"SELECT count(*) FROM records.record_history WHERE {place}") == [(written - 300,)]


async def test_acknowledgements_come_in_order(hub):
    """
    A writer that uses its whole credit gets its acknowledgements in the order of its batches.
    """
    write = await hub.open("rows")
    for number in range(write.ready.credit):
        await write.send([{"n": n} for n in range(200)], [f"{number}-{n}" for n in range(200)])
    acks = [await write.ack() for _ in range(write.ready.credit)]

    assert [ack.sequence for ack in acks] == list(range(1, write.ready.credit + 1))
    assert sum(ack.created for ack in acks) == 200 * write.ready.credit


async def test_event_tells_what_a_batch_changed(hub):
    """
    A batch that changed something leaves one event in the outbox.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"], execution_id="exe_1")
    await hub.put("rows", [{"n": 3}, b""], ["a", "b"], operations=[UPSERT, DELETE], execution_id="exe_2")

    place = f"tenant_id = '{hub.tenant}' ORDER BY position"
    bodies = [json.loads(body) for (body,) in hub.sql(f"SELECT body FROM records.outbox WHERE {place}")]
    assert [body["type"] for body in bodies] == ["isthmus.records.record.changed.v1"] * 2
    told = [{k: v for k, v in body["data"].items() if k.islower()} for body in bodies]
    assert told == [{"stream": "rows", "created": "2"}, {"stream": "rows", "updated": "1", "deleted": "1"}]
