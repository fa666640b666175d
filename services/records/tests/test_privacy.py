"""What the hub knows about how sensitive fields are, and what it shows in spite of them."""

import json

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.records.v1 import records_pb2 as pb
from isthmus.records.v1 import records_pb2_grpc as pb_grpc
from isthmus.type.v1 import privacy_pb2

PERSONAL, SECRET = privacy_pb2.DATA_CLASS_PERSONAL, privacy_pb2.DATA_CLASS_SECRET
Kept = pb.QuarantinedRecord
MAIL = "ada@example.org"


def classes(**named):
    return [privacy_pb2.FieldClass(path=path, data_class=kind) for path, kind in named.items()]


async def discovered(hub, stream):
    """The schema by which the hub offers a stream to flows."""
    request = connector_pb.DiscoverRequest(binding=connector_pb.Binding(instance_id="hub"))
    (spec,) = [one for one in (await hub.connector.Discover(request)).streams if one.stream == stream]
    return json.loads(spec.json_schema)


async def test_classes_go_on_with_the_stream(hub):
    """
    What a writer says of its fields is told to whoever reads the stream.
    """
    await hub.put("people", [{"id": 1, "mail": MAIL}], ["1"], field_classes=classes(mail=PERSONAL))

    schema = await discovered(hub, "people")
    (stream,) = (await hub.records.ListStreams(pb.ListStreamsRequest())).streams

    assert schema["properties"]["mail"] == {"type": "string", "x-isthmus-class": "personal"}
    assert list(stream.field_classes) == classes(mail=PERSONAL)


async def test_the_stricter_of_two_writers_counts(hub):
    """
    Two flows that write one stream and differ make its field as sensitive as either says.
    """
    internal = privacy_pb2.DATA_CLASS_INTERNAL
    await hub.put("people", [{"mail": MAIL}], ["1"], flow="a", field_classes=classes(mail=SECRET))
    await hub.put("people", [{"mail": MAIL}], ["2"], flow="b", field_classes=classes(mail=internal))

    assert (await discovered(hub, "people"))["properties"]["mail"]["x-isthmus-class"] == "secret"


async def test_schema_of_a_writer_declares_classes(hub):
    """
    Classes in a writer's JSON Schema count like those it names.
    """
    schema = json.dumps({"properties": {"mail": {"x-isthmus-class": "personal"}}})
    await hub.put("people", [{"mail": MAIL}], ["1"], json_schema=schema)

    (stream,) = (await hub.records.ListStreams(pb.ListStreamsRequest())).streams

    assert list(stream.field_classes) == classes(mail=PERSONAL)


@pytest.fixture
async def waiting(hub):
    """The id of a quarantined record with a personal field."""
    record = Kept(
        flow_id="flw_1",
        execution_id="exe_1",
        stage=Kept.STAGE_MAP,
        key=f"person {MAIL}",
        record=json.dumps({"mail": MAIL, "n": 1}),
        field_classes=classes(mail=PERSONAL),
    )
    answer = await hub.records.QuarantineRecords(pb.QuarantineRecordsRequest(records=[record]))
    return answer.quarantine_ids[0]


async def test_people_see_placeholders_in_quarantine(hub, waiting):
    """
    Who looks at quarantine sees of personal values that they are there; a host gets them.
    """
    request = pb.GetQuarantinedRequest(quarantine_id=waiting)
    host = pb_grpc.RecordsServiceStub(hub.service.channel(tenant=hub.tenant, mesh=True))

    whole = (await host.GetQuarantined(request)).record
    shown = (await hub.records.GetQuarantined(request)).record

    assert json.loads(whole.record)["mail"] == MAIL
    assert not whole.is_scrubbed
    assert json.loads(shown.record) == {"mail": "‹personal: 15 characters›", "n": 1}
    assert shown.key == "person ‹personal: 15 characters›"
    assert shown.is_scrubbed


async def test_values_need_a_permission_of_their_own(hub, waiting, refused):
    """
    Whoever may only look at quarantine may not read its values.
    """
    reader = hub.service.channel(tenant=hub.tenant, permissions=["records.quarantine.read"])
    request = pb.ReadQuarantinedRequest(quarantine_id=waiting)

    found = await refused(anext(aiter(pb_grpc.RecordsServiceStub(reader).ReadQuarantined(request))))

    assert found == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
