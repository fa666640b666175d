"""Where hosts are: heartbeats, expiry, resolution, and hosts on demand."""

import asyncio
import json
import uuid

import pytest
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import FixRequest, Missing, RetryLater
from isthmus.testing.waiting import waiting_for

from .conftest import Callers, draft, fault_of, host_of, spec


@pytest.fixture
async def name(mesh):
    name = f"h-{uuid.uuid4().hex[:8]}"
    await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=spec(name)))
    return name


async def test_a_host_is_found_until_it_leaves(mesh, tenant, name):
    """
    A host that reports is resolved by connector and by instance; after its goodbye it is not.
    """
    host = host_of(name, "127.0.0.1:4711", running_executions=2)
    answer = await mesh.RegisterHost(pb.RegisterHostRequest(host=host))
    made = (await tenant.CreateInstance(draft(connector_id=name))).instance
    by_connector = await tenant.ResolveHost(pb.ResolveHostRequest(connector_id=name))
    by_instance = await tenant.ResolveHost(pb.ResolveHostRequest(instance_id=made.instance_id))
    for _ in range(2):
        await mesh.DeregisterHost(pb.DeregisterHostRequest(host_id=host.host_id))
    fault = await fault_of(tenant.ResolveHost(pb.ResolveHostRequest(connector_id=name)))

    assert by_connector.host == by_instance.host
    assert (by_connector.host.address, by_connector.host.running_executions) == ("127.0.0.1:4711", 2)
    assert 14 <= answer.expire_time.seconds - by_connector.host.last_seen_time.seconds <= 16
    assert (type(fault), fault.reason) == (RetryLater, "HOST_UNAVAILABLE")


async def test_the_idlest_host_is_chosen(mesh, tenant, name):
    """
    Of several hosts the one with the least work is resolved, and all are listed by start.
    """
    for busy, port in ((3, 1), (1, 2), (2, 3)):
        host = host_of(name, f"127.0.0.1:{port}", running_executions=busy)
        await mesh.RegisterHost(pb.RegisterHostRequest(host=host))
    resolved = (await tenant.ResolveHost(pb.ResolveHostRequest(connector_id=name))).host
    listed, token = [], ""
    while not listed or token:
        request = pb.ListHostsRequest(connector_id=name, page_size=1, page_token=token)
        page = await tenant.ListHosts(request)
        listed += [host.address for host in page.hosts]
        token = page.next_page_token

    assert resolved.address == "127.0.0.1:2"
    assert listed == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]


async def test_a_silent_host_counts_as_gone(running):
    """
    A host that has not called for its lifetime is neither resolved nor listed nor counted.
    """
    async with running("registry", host_lifetime=4.0) as service:
        mesh = Callers(service).mesh()
        await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        await mesh.RegisterHost(pb.RegisterHostRequest(host=host_of("acme", "127.0.0.1:1")))
        lively = (await mesh.ListHosts(pb.ListHostsRequest())).hosts
        async with waiting_for("the host to be forgotten"):
            while (await mesh.ListHosts(pb.ListHostsRequest())).hosts:
                await asyncio.sleep(0.1)
        fault = await fault_of(mesh.ResolveHost(pb.ResolveHostRequest(connector_id="acme")))

    assert len(lively) == 1
    assert fault.reason == "HOST_UNAVAILABLE"


async def test_unknown_things_have_no_host(tenant, mesh):
    """
    A connector or instance that is not there is told apart from one without a host.
    """
    connector = await fault_of(tenant.ResolveHost(pb.ResolveHostRequest(connector_id="nobody")))
    instance = await fault_of(tenant.ResolveHost(pb.ResolveHostRequest(instance_id="ins_none")))
    host = await fault_of(mesh.RegisterHost(pb.RegisterHostRequest(host=host_of("nobody", "127.0.0.1:1"))))

    assert (type(connector), connector.reason) == (Missing, "CONNECTOR_UNKNOWN")
    assert (type(instance), instance.reason) == (Missing, "INSTANCE_UNKNOWN")
    assert host.reason == "CONNECTOR_UNKNOWN"


@pytest.mark.parametrize("address", ["", "localhost", "http://a:1", "a:1 ", "unix:relative", "a:123456"])
async def test_hosts_say_where_they_are(mesh, name, address):
    """
    An address that cannot be called is refused.
    """
    fault = await fault_of(mesh.RegisterHost(pb.RegisterHostRequest(host=host_of(name, address))))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")


async def test_a_tenants_connector_has_hosts_of_its_own(callers, mesh, name):
    """
    A host of one tenant's connector never gets another tenant's work, though the connectors share a name.
    """
    mine, tenant_a, tenant_b = f"own-{name}", callers.tenant("tnt_ha"), callers.tenant("tnt_hb")
    for stub in (tenant_a, tenant_b):
        await stub.RegisterConnector(pb.RegisterConnectorRequest(spec=spec(mine, is_built_in=False)))
    host = pb.RegisterHostRequest(host=host_of(mine, "127.0.0.1:5"))
    await callers.mesh("tnt_ha").RegisterHost(host)
    resolved = (await tenant_a.ResolveHost(pb.ResolveHostRequest(connector_id=mine))).host
    fault = await fault_of(tenant_b.ResolveHost(pb.ResolveHostRequest(connector_id=mine)))

    assert resolved.address == "127.0.0.1:5"
    assert fault.reason == "HOST_UNAVAILABLE"
    assert mine not in [host.connector_id for host in (await tenant_b.ListHosts(pb.ListHostsRequest())).hosts]


async def test_the_hub_is_the_record_store_itself(tenant, registry):
    """
    The hub as an instance is where records are written: the records service.
    """
    host = (await tenant.ResolveHost(pb.ResolveHostRequest(instance_id="hub"))).host

    assert (host.connector_id, host.address) == ("hub", registry.settings.records_address)


async def test_a_reader_of_the_hub_is_found_by_connector(tenant, registry, mesh):
    """
    As a source the hub is run by a host; until one runs, the record store answers.
    """
    itself = (await tenant.ResolveHost(pb.ResolveHostRequest(connector_id="hub"))).host
    host = host_of("hub", "127.0.0.1:7")
    await mesh.RegisterHost(pb.RegisterHostRequest(host=host))
    reader = (await tenant.ResolveHost(pb.ResolveHostRequest(connector_id="hub"))).host
    await mesh.DeregisterHost(pb.DeregisterHostRequest(host_id=host.host_id))

    assert (itself.address, reader.address) == (registry.settings.records_address, "127.0.0.1:7")


class FakeLauncher:
    """Starts hosts by registering them, as a launched host would do by itself."""

    def __init__(self, answer: bytes = b'{"ok": true}\n') -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.register = None

    async def __call__(self, reader, writer) -> None:
        self.asked.append(json.loads(await reader.readline())["start_host"])
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        if self.register:
            await asyncio.sleep(0.2)
            await self.register(pb.RegisterHostRequest(host=host_of(self.asked[-1], "127.0.0.1:8")))


async def test_hosts_are_started_on_demand_and_once(running, tmp_path):
    """
    Ten callers who want the same connector have one host started and all get it.
    """
    launcher, socket = FakeLauncher(), tmp_path / "l.sock"
    async with (
        await asyncio.start_unix_server(launcher, socket),
        running("registry", launcher_socket=socket) as service,
    ):
        mesh = Callers(service).mesh()
        await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        launcher.register = mesh.RegisterHost
        request = pb.ResolveHostRequest(connector_id="acme")
        found = await asyncio.gather(*(mesh.ResolveHost(request) for _ in range(10)))

    assert {answer.host.address for answer in found} == {"127.0.0.1:8"}
    assert launcher.asked == ["acme"]


@pytest.mark.parametrize(
    "answer", [b'{"ok": false, "error": "no such connector"}\n', b"nonsense\n", b"", b"[]\n"]
)
async def test_a_launcher_that_cannot_is_told(running, tmp_path, answer):
    """
    When the launcher declines, talks nonsense or hangs up, the caller hears at once that there is no host.
    """
    socket = tmp_path / "l.sock"
    async with (
        await asyncio.start_unix_server(FakeLauncher(answer), socket),
        running("registry", launcher_socket=socket) as service,
    ):
        mesh = Callers(service).mesh()
        await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        fault = await fault_of(mesh.ResolveHost(pb.ResolveHostRequest(connector_id="acme")))

    assert (type(fault), fault.reason) == (RetryLater, "HOST_UNAVAILABLE")
