"""RPCs about connectors."""

from dataclasses import replace
from typing import Any

from isthmus.kit import Page, PageRequest, current_principal
from isthmus.kit.host_rights import require_connector
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import Precondition
from isthmus.services.registry import convert
from isthmus.services.registry.domain.model import EVERYBODY, Connector, Spec
from isthmus.services.registry.domain.specs import check_addition, read_spec
from isthmus.services.registry.servicer.desk import Desk
from isthmus.services.registry.store import Work


class ConnectorRpcs:
    """Registers connectors and shows them."""

    _desk: Desk

    async def RegisterConnector(
        self, request: pb.RegisterConnectorRequest, context: Any
    ) -> pb.RegisterConnectorResponse:
        """Make a connector known.

        Repeating is safe by the digest, so the request id has nothing to remember.
        """
        require_connector(request.spec.connector_id)
        caller = current_principal()
        is_mesh = caller.kind == "mesh"
        spec = read_spec(convert.document(request.spec), may_be_built_in=is_mesh)
        is_everybodys = is_mesh and (spec.is_built_in or not caller.tenant_id)
        connector = await register(self._desk, spec, EVERYBODY if is_everybodys else caller.tenant_id)
        return pb.RegisterConnectorResponse(connector=convert.connector(connector))

    async def GetConnector(self, request: pb.GetConnectorRequest, context: Any) -> pb.GetConnectorResponse:
        """Read a connector."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            connector = await self._desk.connector(work, request.connector_id, request.version)
            counted = await self._counted(work, [connector])
        return pb.GetConnectorResponse(connector=convert.connector(counted[0]))

    async def ListConnectors(
        self, request: pb.ListConnectorsRequest, context: Any
    ) -> pb.ListConnectorsResponse:
        """List connectors."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._desk.store.of(current_principal().tenant_id) as work:
            found = await self._counted(work, await work.connectors.page(page))
        shown = Page.of(found, page, lambda row: {"id": row.spec.connector_id})
        answer = pb.ListConnectorsResponse(
            connectors=map(convert.connector, shown.items), next_page_token=shown.next_token
        )
        for connector in answer.connectors:
            connector.spec.ClearField("ready_mappings")
        return answer

    async def DeleteConnector(
        self, request: pb.DeleteConnectorRequest, context: Any
    ) -> pb.DeleteConnectorResponse:
        """Remove a connector of the tenant's own."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            await work.connectors.lock(request.connector_id)
            connector = await work.connectors.find(request.connector_id)
            if connector is not None:
                await self._check_removable(work, connector)
                await work.connectors.remove(connector)
                await self._desk.announcer.connector(
                    work.conn, "deleted", connector.tenant_id, request.connector_id, connector.newest
                )
        return pb.DeleteConnectorResponse()

    async def _counted(self, work: Work, connectors: list[Connector]) -> list[Connector]:
        ids = [connector.spec.connector_id for connector in connectors]
        live = await work.hosts.count_live(ids, self._desk.hosts.alive_since())
        return [
            replace(connector, live_hosts=live.get((connector.tenant_id, connector.spec.connector_id), 0))
            for connector in connectors
        ]

    async def _check_removable(self, work: Work, connector: Connector) -> None:
        name = connector.spec.connector_id
        if connector.tenant_id == EVERYBODY:
            message = f"`{name}` comes with this installation and stays."
            raise Precondition("CONNECTOR_BUILT_IN", message)
        user = await work.instances.any_of_connector(name)
        if user is not None:
            message = f"Delete the instances of `{name}` first, for example `{user.name}`."
            metadata = {"instance_id": user.instance_id}
            raise Precondition("CONNECTOR_IN_USE", message, metadata=metadata)


async def register(desk: Desk, spec: Spec, owner: str) -> Connector:
    """Store a connector version for its owner unless it is known already.

    Raises:
        AlreadyExists: `CONNECTOR_VERSION_TAKEN`.
    """
    opened = desk.store.everything() if owner == EVERYBODY else desk.store.of(owner)
    async with opened as work:
        await work.connectors.lock(spec.connector_id)
        known = await work.connectors.find(spec.connector_id)
        same = await work.connectors.spec(owner, spec.connector_id, spec.version)
        if check_addition(spec, owner, known, same):
            versions = known.versions if known else ()
            await work.connectors.add(owner, spec, versions, desk.clock.now())
            await desk.announcer.connector(work.conn, "registered", owner, spec.connector_id, spec.version)
        return await desk.connector(work, spec.connector_id)


__all__ = ["ConnectorRpcs", "register"]
