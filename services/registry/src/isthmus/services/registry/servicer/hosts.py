"""RPCs about hosts."""

import re
from datetime import timedelta
from typing import Any

from isthmus.kit import Page, PageRequest, current_principal
from isthmus.kit.host_rights import connector_of_host, require_connector, require_work_on
from isthmus.kit.times import stamp
from isthmus.kit.validation import validating
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import RetryLater
from isthmus.services.registry import convert
from isthmus.services.registry.domain.model import EVERYBODY, HUB, Host
from isthmus.services.registry.servicer.desk import Desk

_ADDRESS = re.compile(
    r"unix:/[^\s]{1,100}|[A-Za-z0-9._-]{1,253}:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}", re.ASCII
)
_FORGET_AFTER = timedelta(hours=1)


class HostRpcs:
    """Knows where hosts are."""

    _desk: Desk

    async def RegisterHost(self, request: pb.RegisterHostRequest, context: Any) -> pb.RegisterHostResponse:
        """Note that a host runs."""
        _check(request.host)
        require_connector(request.host.connector_id)
        now = self._desk.clock.now()
        owner = current_principal().tenant_id or EVERYBODY
        async with self._desk.store.of(owner) as work:
            connector = await self._desk.connector(work, request.host.connector_id)
            await work.hosts.put(
                Host(
                    tenant_id=owner,
                    host_id=request.host.host_id,
                    connector_id=connector.spec.connector_id,
                    connector_version=request.host.connector_version,
                    address=request.host.address,
                    start_time=convert.moment(request.host.start_time, now),
                    last_seen_time=now,
                    running_executions=request.host.running_executions,
                )
            )
            await work.hosts.forget_silent(now - _FORGET_AFTER)
        expire_time = now + (now - self._desk.hosts.alive_since())
        return pb.RegisterHostResponse(expire_time=stamp(expire_time))

    async def DeregisterHost(
        self, request: pb.DeregisterHostRequest, context: Any
    ) -> pb.DeregisterHostResponse:
        """Forget a host that stops."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            await work.hosts.forget(request.host_id, connector_of_host())
        return pb.DeregisterHostResponse()

    async def ListHosts(self, request: pb.ListHostsRequest, context: Any) -> pb.ListHostsResponse:
        """List the hosts that run."""
        keys = ("connector", "start", "id")
        page = PageRequest.parse(request.page_size, request.page_token, keys=keys)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            found = await work.hosts.page(page, request.connector_id, self._desk.hosts.alive_since())
        shown = Page.of(found, page, _key)
        return pb.ListHostsResponse(hosts=map(convert.host, shown.items), next_page_token=shown.next_token)

    async def ResolveHost(self, request: pb.ResolveHostRequest, context: Any) -> pb.ResolveHostResponse:
        """Find a host, and have one started where that is possible."""
        require_work_on(request.instance_id)
        if request.instance_id == HUB:
            return pb.ResolveHostResponse(host=convert.host(self._desk.hosts.hub()))
        async with self._desk.store.of(current_principal().tenant_id) as work:
            connector_id = request.connector_id
            if request.instance_id:
                connector_id = (await work.instances.get(request.instance_id)).connector_id
            if connector_id != HUB:
                owner = (await self._desk.connector(work, connector_id)).tenant_id
        host = await (
            self._hub_reader() if connector_id == HUB else self._desk.hosts.resolve(owner, connector_id)
        )
        return pb.ResolveHostResponse(host=convert.host(host))

    async def _hub_reader(self) -> Host:
        """Return a host that reads out of the hub; where none can be had, the hub itself."""
        try:
            return await self._desk.hosts.resolve(EVERYBODY, HUB)
        except RetryLater:
            return self._desk.hosts.hub()


def _check(host: pb.Host) -> None:
    with validating() as check:
        check.text("host.host_id", host.host_id, longest=100)
        check.text("host.connector_version", host.connector_version, required=False, longest=100)
        check.within("host.running_executions", host.running_executions, least=0, most=1_000_000)
        if not _ADDRESS.fullmatch(host.address):
            check.add("host.address", "ADDRESS_INVALID", "Use host:port or unix:/path for `host.address`.")


def _key(host: Host) -> dict[str, Any]:
    return {"connector": host.connector_id, "start": repr(host.start_time.timestamp()), "id": host.host_id}


__all__ = ["HostRpcs"]
