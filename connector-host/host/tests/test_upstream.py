"""A host in front of a connector of somebody else, in another process and language for all it knows."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.host.settings import HostSettings
from isthmus.host.upstream import UpstreamBackend
from isthmus.host.wiring import Host, upstream_subject
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.resilience import Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

Finish = scheduling.FinishAttemptRequest
Error = scheduling.ExecutionError


class Foreign(connector_grpc.ConnectorServiceServicer):
    """Gives raw records, knows no partitions, and remembers what it was told."""

    def __init__(self) -> None:
        self.spec = connector.ConnectorSpec(connector_id="foreign", version="1.0.0", contract_version=1)
        self.seen: list[tuple[connector.Binding, dict[str, Any]]] = []
        self.records = [b'{"id": "1"}', b"not json", b'{"id": "3"}']
        self.ends = True

    async def Describe(self, request: Any, context: Any) -> connector.DescribeResponse:
        return connector.DescribeResponse(spec=self.spec)

    async def Discover(self, request: Any, context: Any) -> connector.DiscoverResponse:
        self.seen.append((request.binding, dict(context.invocation_metadata())))
        stream = connector.StreamSpec(stream="numbers", primary_key=["id"], read_modes=[1])
        return connector.DiscoverResponse(streams=[stream])

    async def Read(self, request: Any, context: Any) -> AsyncIterator[connector.ReadResponse]:
        notice = connector.Notice(level=2, reason="THROTTLED", message="Slow down.")
        yield connector.ReadResponse(notice=notice)
        one = batch.Batch(records=self.records, keys=["1", "2", "3"], position=batch.Position(state=b"p"))
        yield connector.ReadResponse(batch=one)
        if self.ends:
            yield connector.ReadResponse(end=connector.ReadEnd(records=3, api_calls=7))


@pytest.fixture
def foreign() -> Foreign:
    return Foreign()


@pytest.fixture
async def address(serve: Any, foreign: Foreign) -> AsyncIterator[str]:
    async with serve((connector_grpc.add_ConnectorServiceServicer_to_server, foreign)) as found:
        yield found


@pytest.mark.parametrize(
    ("upstream", "options", "subject"),
    [
        ("127.0.0.1:9000", {}, ""),
        ("[::1]:9000", {}, ""),
        ("unix:/run/acme", {}, ""),
        ("127.0.0.1:9000", {"upstream_tls": True}, "upstream:acme"),
        ("acme.example:9000", {}, "upstream:acme"),
        ("acme.example:9000", {"allow_plaintext": True}, ""),
        ("acme.example:9000", {"allow_plaintext": True, "upstream_tls": True}, "upstream:acme"),
    ],
)
def test_a_connector_elsewhere_has_to_show_a_certificate(upstream, options, subject):
    """
    On this machine it may.
    """
    assert upstream_subject(HostSettings(connector="acme", upstream=upstream, **options)) == subject


async def test_a_foreign_connector_gets_all_it_needs_and_no_identity(open_mesh, world, foreign, address):
    """
    Configuration and secret travel in the binding; the host's own token does not travel at all.
    """
    world.registry.configuration = {"count": 3}
    world.registry.auth_config_id = "ath_1"
    async with open_mesh() as mesh:
        for name, add, servicer in (
            ("registry", registry_grpc.add_RegistryServiceServicer_to_server, world.registry),
            ("credentials", credentials_grpc.add_CredentialsServiceServicer_to_server, world.vault),
        ):
            await mesh.fake(name, add, servicer)
        host = await mesh.start(
            "host",
            wire=Host().wire,
            settings=HostSettings,
            replica=True,
            with_database=False,
            connector="foreign",
            upstream=address,
        )
        stub = connector_grpc.ConnectorServiceStub(host.channel(tenant="tnt_test"))
        binding = connector.Binding(instance_id="ins_source")
        answer = await stub.Discover(connector.DiscoverRequest(binding=binding))

    ((told, metadata),) = foreign.seen
    assert answer.streams[0].stream == "numbers"
    assert json.loads(told.configuration) == {"count": 3}
    assert json.loads(told.credential) == {"method": "bearer", "secret": "old"}
    assert not {"authorization", "isthmus-tenant"} & set(metadata)


async def test_raw_records_pass_unread_and_notices_reach_the_log(world, address):
    """
    Without a mapping nobody looks inside; what the connector notices is told to monitoring.
    """
    world.backend = await UpstreamBackend.open(world.mesh.channel(address), "foreign")
    tools = world.tools()

    ended = await world.run(tools=tools)
    await tools.reports.flush()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.counts.read, ended.counts.api_calls) == (3, 7)
    assert world.hub.data["1"] == b'{"id": "1"}'
    assert any("THROTTLED" in line.message for line in world.monitoring.logs)


async def test_a_record_that_is_no_json_is_quarantined_when_it_has_to_be_mapped(world, address):
    """
    The bytes are kept as they came, and the rest goes on.
    """
    world.backend = await UpstreamBackend.open(world.mesh.channel(address), "foreign")
    world.mapping.definition = {
        "version": "isthmus/v1",
        "field_mappings": [{"target": "number", "source": "id"}],
    }

    ended = await world.run(world.scheduling.grant(mapping_id="map_1"))

    (held,) = world.quarantine.held.values()
    assert (ended.counts.created, ended.counts.quarantined) == (2, 1)
    assert held.is_binary
    assert world.hub.data["3"] == b'{"number":"3"}'


async def test_a_reading_without_its_end_is_not_complete(world, foreign, address):
    """
    What came is kept with its position, and another attempt has to follow.
    """
    foreign.ends = False
    world.backend = await UpstreamBackend.open(world.mesh.channel(address), "foreign")

    ended = await world.run()

    assert ended.error.reason == "READ_INCOMPLETE"
    assert ended.error.kind == Error.KIND_TRANSIENT
    assert ended.counts.read == 3
    assert not world.scheduling.checkpoints[""].is_complete


async def test_a_contract_that_neither_side_shares_is_refused(world, foreign, address):
    """
    The message says which versions there are and which end to upgrade.
    """
    foreign.spec.contract_version = foreign.spec.contract_version_min = 2

    with pytest.raises(Precondition, match="upgrade"):
        await UpstreamBackend.open(world.mesh.channel(address), "foreign")
