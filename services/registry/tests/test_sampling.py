"""A few records of an instance, read through its host."""

import json
import uuid

import pytest
from isthmus.connector.v1 import connector_pb2 as cpb
from isthmus.registry.v1 import sampling_pb2 as pb
from isthmus.registry.v1.sampling_pb2_grpc import SamplingServiceStub
from isthmus.resilience.faults import Missing, Precondition
from isthmus.type.v1 import privacy_pb2

from .conftest import fault_of

FULL, DELTA = cpb.READ_MODE_FULL, cpb.READ_MODE_DELTA
SECRET = privacy_pb2.FieldClass(path="token", data_class=privacy_pb2.DATA_CLASS_SECRET)


@pytest.fixture
def sampling(registry):
    """The service, called as a process of the mesh for some tenant."""
    return SamplingServiceStub(registry.channel(f"tnt_{uuid.uuid4().hex}", mesh=True))


@pytest.fixture
def stream(hub):
    """Has the hub offer one stream that can be read."""
    before = hub.streams
    hub.streams = [cpb.StreamSpec(stream="incident", read_modes=[DELTA, FULL])]
    yield hub.streams[0]
    hub.streams, hub.partitions = before, []


def asked(**more):
    """Asks for records of the hub."""
    return pb.SampleRecordsRequest(**{"instance_id": "hub", "stream": "incident", **more})


async def test_the_first_records_are_read_and_no_more(sampling, hub, stream):
    """
    Completely, not what has changed; of the first part where there are several.
    """
    hub.partitions = ["p1"]

    answer = await sampling.SampleRecords(asked(limit=3))

    assert [json.loads(record)["id"] for record in answer.records] == [0, 1, 2]
    read = hub.reads[-1]
    assert (read.mode, read.limit, read.partition, read.withholds_secrets) == (FULL, 3, "p1", True)


@pytest.mark.parametrize(("named", "members"), [([], {"id"}), (["token"], {"id", "token"})])
async def test_secret_fields_are_left_out_unless_they_are_named(sampling, stream, named, members):
    """
    Also where a host does not withhold them itself.
    """
    stream.field_classes.append(SECRET)

    answer = await sampling.SampleRecords(asked(limit=1, named_fields=named))

    assert [json.loads(record).keys() for record in answer.records] == [members]
    assert list(answer.field_classes) == [SECRET]


async def test_a_stream_that_is_not_there_is_named(sampling, stream):
    """
    Neither is one read that can only be written.
    """
    unknown = await fault_of(sampling.SampleRecords(asked(stream="nothing")))
    stream.ClearField("read_modes")
    silent = await fault_of(sampling.SampleRecords(asked()))

    assert (type(unknown), unknown.reason) == (Missing, "STREAM_UNKNOWN")
    assert (type(silent), silent.reason) == (Precondition, "STREAM_NOT_READABLE")
