"""Connectors over real gRPC and PostgreSQL."""

import uuid

import pytest
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import AlreadyExists, FixRequest, Missing, Precondition

from .conftest import draft, fault_of, host_of, spec


def register(*args, **kwargs) -> pb.RegisterConnectorRequest:
    return pb.RegisterConnectorRequest(spec=spec(*args, **kwargs))


@pytest.fixture
def name():
    return f"c-{uuid.uuid4().hex[:8]}"


async def test_what_a_host_registers_every_tenant_sees(mesh, tenant, name):
    """
    A built-in connector is known to all tenants, also before any host of it runs.
    """
    await mesh.RegisterConnector(register(name))
    seen = (await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name))).connector

    assert (seen.spec.version, list(seen.versions), seen.live_hosts) == ("1.0.0", ["1.0.0"], 0)
    assert seen.spec == spec(name)


async def test_ready_mappings_stand_with_a_connector_and_not_in_lists(mesh, tenant, name):
    """
    They are long, and lists are asked often.
    """
    await mesh.RegisterConnector(register(name, ready_mappings=[{"name": "finding", "document": "title: X"}]))

    seen = (await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name))).connector
    listed = (await tenant.ListConnectors(pb.ListConnectorsRequest(page_size=1000))).connectors

    assert [(one.name, one.document) for one in seen.spec.ready_mappings] == [("finding", "title: X")]
    assert [list(one.spec.ready_mappings) for one in listed if one.spec.connector_id == name] == [[]]


async def test_a_tenants_own_connector_is_its_own(tenant, other, name):
    """
    What a tenant registers no other tenant sees, and both may choose the same name.
    """
    await tenant.RegisterConnector(register(name, is_built_in=False))
    fault = await fault_of(other.GetConnector(pb.GetConnectorRequest(connector_id=name)))
    await other.RegisterConnector(register(name, version="2.0.0", is_built_in=False))
    mine = (await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name))).connector

    assert (type(fault), fault.reason) == (Missing, "CONNECTOR_UNKNOWN")
    assert mine.spec.version == "1.0.0"


async def test_a_tenant_cannot_pass_off_a_connector_as_built_in(tenant, name):
    """
    Only processes of the mesh say what every tenant sees, and nobody hides what they said.
    """
    false = await fault_of(tenant.RegisterConnector(register(name)))
    hiding = await fault_of(tenant.RegisterConnector(register("acme", "9.0.0", is_built_in=False)))

    assert (type(false), false.reason) == (FixRequest, "CONNECTOR_SPEC_INVALID")
    assert (type(hiding), hiding.reason) == (AlreadyExists, "CONNECTOR_VERSION_TAKEN")


async def test_registering_again_changes_nothing(mesh, name):
    """
    The same version with the same digest is known already; with another one it is refused.
    """
    first = await mesh.RegisterConnector(register(name, build_digest="one"))
    again = await mesh.RegisterConnector(register(name, build_digest="one"))
    fault = await fault_of(mesh.RegisterConnector(register(name, build_digest="two")))

    assert again == first
    assert (type(fault), fault.reason) == (AlreadyExists, "CONNECTOR_VERSION_TAKEN")


async def test_the_newest_version_counts(mesh, tenant, name):
    """
    Versions are listed by semantic order, however they came, and each can be read.
    """
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1"):
        await mesh.RegisterConnector(register(name, version))
    newest = (await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name))).connector
    old = await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name, version="1.9.0"))
    fault = await fault_of(tenant.GetConnector(pb.GetConnectorRequest(connector_id=name, version="3.0.0")))

    assert list(newest.versions) == ["1.10.0", "1.10.0-rc.1", "1.9.0"]
    assert (newest.spec.version, old.connector.spec.version) == ("1.10.0", "1.9.0")
    assert fault.reason == "CONNECTOR_UNKNOWN"


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"connector_id": "Acme!"}, "spec.connector_id"),
        ({"version": "1.0"}, "spec.version"),
        ({"name": " "}, "spec.name"),
        ({"contract_version": 0}, "spec.contract_version"),
        ({"configuration_schema": "{"}, "spec.configuration_schema"),
        ({"configuration_schema": '{"$ref": "http://169.254.169.254/"}'}, "spec.configuration_schema"),
        ({"ready_mappings": [{"name": "a"}, {"name": "a"}]}, "spec.ready_mappings"),
        ({"ready_mappings": [{"name": "a", "document": "x" * 600_000}]}, "spec.ready_mappings"),
    ],
)
async def test_descriptions_without_sense_are_refused(mesh, more, path):
    """
    What is wrong with a description is told by field.
    """
    fault = await fault_of(mesh.RegisterConnector(register(**more)))

    assert (type(fault), fault.reason) == (FixRequest, "CONNECTOR_SPEC_INVALID")
    assert path in [violation.path for violation in fault.violations]


async def test_the_hub_is_a_connector_without_a_host(tenant):
    """
    The registry asks the record store what it is and shows it like the others.
    """
    listed = await tenant.ListConnectors(pb.ListConnectorsRequest())
    ids = [connector.spec.connector_id for connector in listed.connectors]

    assert {"acme", "hub"} <= set(ids)
    assert ids == sorted(ids)


async def test_connectors_are_listed_page_by_page(mesh, tenant):
    """
    Pages of one connector each, put together, are all of them.
    """
    found, token = [], ""
    while not found or token:
        page = await tenant.ListConnectors(pb.ListConnectorsRequest(page_size=1, page_token=token))
        found += [connector.spec.connector_id for connector in page.connectors]
        token = page.next_page_token
    whole = await tenant.ListConnectors(pb.ListConnectorsRequest(page_size=1000))

    assert found == [connector.spec.connector_id for connector in whole.connectors]


async def test_live_hosts_are_counted(mesh, tenant, name):
    """
    A connector tells how many hosts of it have called lately.
    """
    await mesh.RegisterConnector(register(name))
    for _ in range(2):
        await mesh.RegisterHost(pb.RegisterHostRequest(host=host_of(name, "127.0.0.1:9")))

    assert (await tenant.GetConnector(pb.GetConnectorRequest(connector_id=name))).connector.live_hosts == 2


async def test_a_connector_in_use_stays(tenant, name):
    """
    A connector with instances is not removed; without any it is, and twice is no error.
    """
    gone = pb.DeleteConnectorRequest(connector_id=name)
    await tenant.RegisterConnector(register(name, is_built_in=False))
    made = (await tenant.CreateInstance(draft(connector_id=name))).instance
    fault = await fault_of(tenant.DeleteConnector(gone))
    await tenant.DeleteInstance(pb.DeleteInstanceRequest(instance_id=made.instance_id))
    await tenant.DeleteConnector(gone)
    await tenant.DeleteConnector(gone)

    assert (type(fault), fault.reason) == (Precondition, "CONNECTOR_IN_USE")
    assert fault.metadata["instance_id"] == made.instance_id


async def test_what_comes_with_the_installation_stays(tenant):
    """
    No tenant removes a built-in connector.
    """
    fault = await fault_of(tenant.DeleteConnector(pb.DeleteConnectorRequest(connector_id="acme")))

    assert (type(fault), fault.reason) == (Precondition, "CONNECTOR_BUILT_IN")
