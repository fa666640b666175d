"""What the hub says it would do, and that it does nothing."""

import json

import grpc
import pytest
from isthmus.type.v1 import batch_pb2

UPSERT, PATCH, DELETE = batch_pb2.OPERATION_UPSERT, batch_pb2.OPERATION_PATCH, batch_pb2.OPERATION_DELETE
EVERYTHING = """
    SELECT (SELECT count(*) FROM records.{table} t),
        (SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM records.{table} t)
"""
EVENTS = "SELECT count(*) FROM records.outbox WHERE tenant_id = '{tenant}'"
TABLES = ("records", "record_history", "streams", "write_positions", "quarantine")


def state(hub):
    """Everything that the hub has stored."""
    tables = {name for (name,) in hub.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'records'")}
    return {table: hub.sql(EVERYTHING.format(table=table)) for table in tables.intersection(TABLES)}


async def test_preview_tells_what_a_write_would_do(hub):
    """
    The counts of a preview are those of the write that follows it.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}], ["a", "b", "c", "d"])
    batch = [{"n": 1}, {"n": 20}, {"m": 5}, {}, {"n": 6}, b"{"], ["a", "b", "c", "d", "e", "f"]
    operations = [UPSERT, UPSERT, PATCH, DELETE, UPSERT, UPSERT]

    told = await hub.put("rows", *batch, operations=operations, is_preview=True)
    done = await hub.put("rows", *batch, operations=operations)

    assert (told.created, told.updated, told.unchanged, told.deleted) == (1, 2, 1, 1)
    assert (done.created, done.updated, done.unchanged, done.deleted) == (1, 2, 1, 1)
    refused = [one.index for one in told.outcomes if one.result == batch_pb2.RecordOutcome.RESULT_REJECTED]
    assert refused == [one.index for one in done.outcomes] == [5]


async def test_preview_shows_both_forms_of_a_record(hub):
    """
    A sample has what is held now and what would be held.
    """
    await hub.put("rows", [{"n": 1, "same": True}], ["a"])

    ack = await hub.put("rows", [{"n": 2, "same": True}, {"n": 3}], ["a", "b"], is_preview=True)

    shown = {one.index: (json.loads(one.before or "null"), json.loads(one.after)) for one in ack.outcomes}
    assert shown == {0: ({"n": 1, "same": True}, {"n": 2, "same": True}), 1: (None, {"n": 3})}


async def test_preview_writes_nothing(hub):
    """
    No record, no history, no position, no event, and no stream that was not there.
    """
    await hub.put("rows", [{"n": 1}, {"n": 2}], ["a", "b"])
    before = state(hub)

    await hub.put("rows", [{"n": 9}, {"n": 3}, {}], ["a", "c", "b"], operations=[1, 1, 3], is_preview=True)
    await hub.put("others", [{"n": 1}], ["a"], is_preview=True)

    assert state(hub) == before
    assert len(before) == len(TABLES)
    assert hub.sql(EVENTS.format(tenant=hub.tenant)) <= [(1,)]


@pytest.mark.parametrize(("mode", "refused"), [(1, 0), (2, 1)], ids=["create", "update"])
async def test_preview_holds_a_flow_to_its_mode(hub, mode, refused):
    """
    A record that the flow may not create, or not change, would be rejected.
    """
    await hub.put("rows", [{"n": 1}], ["a"])

    ack = await hub.put("rows", [{"n": 2}, {"n": 3}], ["a", "b"], mode=mode, is_preview=True)

    rejected = [one for one in ack.outcomes if one.result == batch_pb2.RecordOutcome.RESULT_REJECTED]
    assert [one.index for one in rejected] == [refused]
    assert ack.created + ack.updated == 1


async def test_pairs_cannot_be_foreseen(hub):
    """
    A stream of pairs refuses a preview instead of taking it for a write.
    """
    with pytest.raises((grpc.aio.AioRpcError, AssertionError), match="pairs"):
        await hub.put("pair:flw_1.abc:source", [{"n": 1}], ["a"], is_preview=True)
