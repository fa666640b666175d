"""What one tenant has, no other can see, change or count."""

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.records.v1 import records_pb2 as pb
from isthmus.records.v1 import records_pb2_grpc as pb_grpc

WAITS = pb.QuarantinedRecord(flow_id="flw_1", stage=pb.QuarantinedRecord.STAGE_MAP, record='{"n": 1}')


@pytest.fixture
async def strangers(hub, other):
    """A tenant with a record, its history and a quarantined one; and another tenant."""
    await hub.put("rows", [{"n": 1}], ["k"])
    await hub.put("rows", [{"n": 2}], ["k"])
    answer = await hub.records.QuarantineRecords(pb.QuarantineRecordsRequest(records=[WAITS]))
    return hub, other, answer.quarantine_ids[0]


async def test_other_tenant_finds_nothing(strangers):
    """
    Lists and counts of another tenant are empty.
    """
    _, other, _ = strangers
    records = other.records

    assert await other.query("rows", include_deleted=True) == []
    assert (await records.CountRecords(pb.CountRecordsRequest(stream="rows"))).records == 0
    assert list((await records.ListStreams(pb.ListStreamsRequest())).streams) == []
    assert list((await records.ListQuarantine(pb.ListQuarantineRequest())).records) == []
    assert list((await other.connector.Discover(connector_pb.DiscoverRequest())).streams) == []


async def test_other_tenant_reads_nothing(strangers, refused, ended):
    """
    Named exactly, another tenant's things are unknown.
    """
    _, other, quarantine_id = strangers
    calls = [
        other.records.GetRecord(pb.GetRecordRequest(stream="rows", key="k")),
        other.records.GetRecord(pb.GetRecordRequest(stream="rows", key="k", version=1)),
        other.records.ListRecordVersions(pb.ListRecordVersionsRequest(stream="rows", key="k")),
        other.records.GetQuarantined(pb.GetQuarantinedRequest(quarantine_id=quarantine_id)),
        other.connector.ListPartitions(connector_pb.ListPartitionsRequest(stream="rows")),
    ]

    for call in calls:
        assert (await refused(call))[0] == grpc.StatusCode.NOT_FOUND
    read = other.connector.Read(connector_pb.ReadRequest(stream="rows"))
    assert await ended(read) == (grpc.StatusCode.NOT_FOUND, "STREAM_UNKNOWN")


async def test_other_tenant_changes_nothing(strangers):
    """
    Decisions and writes of another tenant under the same names leave everything as it is.
    """
    hub, other, quarantine_id = strangers
    ids = [quarantine_id]
    dropped = await other.records.DropQuarantined(pb.DropQuarantinedRequest(quarantine_ids=ids))
    requeued = await other.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(flow_id="flw_1"))
    resolved = await other.records.ResolveQuarantined(pb.ResolveQuarantinedRequest(quarantine_ids=ids))
    ack = await other.put("rows", [{"n": 3}], ["k"])

    assert (dropped.dropped, requeued.requeued, resolved.resolved, ack.created) == (0, 0, 0, 1)
    assert await hub.content("rows") == {"k": {"n": 2}}
    assert len((await hub.records.ListQuarantine(pb.ListQuarantineRequest())).records) == 1


async def test_same_quarantined_record_of_two_tenants(strangers):
    """
    Equal records of two tenants have different ids.
    """
    _, other, quarantine_id = strangers
    answer = await other.records.QuarantineRecords(pb.QuarantineRecordsRequest(records=[WAITS]))

    assert answer.quarantine_ids[0] != quarantine_id


async def test_fencing_is_per_tenant(hub, other):
    """
    A high token of one tenant does not fence the same flow id of another.
    """
    high, low = await hub.open("rows", token=9), await other.open("rows", token=1)
    await high.put([{"n": 1}], ["a"])
    ack = await low.put([{"n": 1}], ["a"])

    assert ack.created == 1


async def test_permissions_are_enforced(records_service, ended, refused):
    """
    A caller without the permission of an RPC is refused, a caller without identity is unknown.
    """
    channel = records_service.channel(tenant="tnt_x", permissions=["records.quarantine.read"])
    count = pb_grpc.RecordsServiceStub(channel).CountRecords(pb.CountRecordsRequest(stream="s"))
    assert await refused(count) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")

    nobody = connector_grpc.ConnectorServiceStub(records_service.channel(anonymous=True))
    assert (await ended(nobody.Read(connector_pb.ReadRequest(stream="s"))))[0] == (
        grpc.StatusCode.UNAUTHENTICATED
    )
