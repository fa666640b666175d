"""Callers of a running mapping service."""

import json

import grpc.aio
import pytest
from isthmus.kit import fault_from_rpc_error
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.registry.v1 import registry_pb2, sampling_pb2
from isthmus.registry.v1.registry_pb2_grpc import (
    RegistryServiceServicer,
    add_RegistryServiceServicer_to_server,
)
from isthmus.registry.v1.sampling_pb2_grpc import (
    SamplingServiceServicer,
    add_SamplingServiceServicer_to_server,
)
from isthmus.scheduling.v1 import scheduling_pb2
from isthmus.scheduling.v1.scheduling_pb2_grpc import (
    SchedulingServiceServicer,
    add_SchedulingServiceServicer_to_server,
)

FIELDS = json.dumps([{"target": "id", "source": "number", "required": True}])


class FlowsOfOthers(SchedulingServiceServicer):
    """Stands in for scheduling; `found` are the flows that use whatever mapping is asked about."""

    found = ()

    async def ListFlows(self, request, context):
        return scheduling_pb2.ListFlowsResponse(flows=self.found)


class Sampling(SamplingServiceServicer):
    """Stands in for the registry; it remembers what it was asked for."""

    def __init__(self):
        self.records, self.classes, self.failure, self.asked = [], [], None, []

    async def SampleRecords(self, request, context):
        self.asked.append(request)
        if self.failure:
            await context.abort(*self.failure)
        return sampling_pb2.SampleRecordsResponse(records=self.records, field_classes=self.classes)


@pytest.fixture(scope="module")
def scheduling():
    return FlowsOfOthers()


class InstancesOfOthers(RegistryServiceServicer):
    """Stands in for the registry; `found` are the streams that whatever instance is asked has."""

    found = ()

    async def DiscoverInstance(self, request, context):
        return registry_pb2.DiscoverInstanceResponse(streams=self.found)


@pytest.fixture(scope="module")
def instances():
    return InstancesOfOthers()


@pytest.fixture(scope="module")
def sampling():
    return Sampling()


@pytest.fixture
def flows(scheduling):
    """The flows that there are, none at first."""
    scheduling.found = ()
    yield scheduling
    scheduling.found = ()


def add_registry(both, server):
    """Serves what two fakes know of instances as one registry."""
    instances, sampling = both
    add_RegistryServiceServicer_to_server(instances, server)
    add_SamplingServiceServicer_to_server(sampling, server)


@pytest.fixture(scope="module")
async def service(running, scheduling, instances, sampling):
    peers = {
        "scheduling": (add_SchedulingServiceServicer_to_server, scheduling),
        "registry": (add_registry, (instances, sampling)),
    }
    async with running("mapping", peers=peers) as mapping:
        yield mapping


@pytest.fixture
def tenant(request):
    """A tenant that this test has for itself."""
    return f"tnt_{abs(hash(request.node.nodeid)) % 10**12}"


@pytest.fixture
def mappings(service, tenant):
    """The service, called as a service account of the tenant."""
    return MappingServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def create():
    """Creates a mapping through a stub and returns it."""

    async def create(stub, name="incidents", fields=FIELDS, **more):
        request = pb.CreateMappingRequest(name=name, field_mappings=fields, **more)
        return (await stub.CreateMapping(request)).mapping

    return create


@pytest.fixture
def fault_of():
    """Awaits a call that must fail and returns the fault it told."""

    async def fault_of(call):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        return fault_from_rpc_error(failure.value)

    return fault_of
