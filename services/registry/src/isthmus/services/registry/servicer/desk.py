"""What all RPCs of the registry work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc.aio
from isthmus.credentials.v1 import credentials_pb2, credentials_pb2_grpc
from isthmus.kit import Clock, current_principal, fault_from_rpc_error
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.services.registry import convert
from isthmus.services.registry.domain.configuration import compatibility
from isthmus.services.registry.domain.instances import hub_instance, unknown_connector
from isthmus.services.registry.domain.model import HUB, Compatibility, Connector, Instance
from isthmus.services.registry.hosts import Hosts
from isthmus.services.registry.prober import Prober
from isthmus.services.registry.store import Store, Work
from sqlalchemy.ext.asyncio import AsyncConnection

_CREDENTIALS_SECONDS = 3.0


class Announces(Protocol):
    """Tells others what happened, in the transaction in which it did."""

    async def instance(
        self, conn: AsyncConnection, verb: str, instance: Instance, fits: Compatibility, by: str
    ) -> None:
        """Announce a change of an instance."""

    async def connector(
        self, conn: AsyncConnection, verb: str, tenant_id: str, id_: str, version: str
    ) -> None:
        """Announce a change of a connector."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The collaborators of the registry's RPCs and what several of them do.

    Attributes:
        store: Connectors, instances and hosts.
        clock: The time.
        announcer: Tells others what happened.
        hosts: Finds hosts.
        prober: Calls hosts.
        credentials: The channel to the credentials service.
    """

    store: Store
    clock: Clock
    announcer: Announces
    hosts: Hosts
    prober: Prober
    credentials: Any

    async def connector(self, work: Work, connector_id: str, version: str = "") -> Connector:
        """Return a connector that the caller sees.

        Raises:
            Missing: `CONNECTOR_UNKNOWN`.
        """
        connector = await work.connectors.find(connector_id, version)
        if connector is None or (version and connector.spec.version != version):
            raise unknown_connector(f"{connector_id} {version}".strip())
        return connector

    async def instance(self, work: Work, instance_id: str) -> Instance:
        """Return an instance of the caller's tenant; `hub` is one that every tenant has.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """
        if instance_id != HUB:
            return await work.instances.get(instance_id)
        connector = await work.connectors.find(HUB)
        return hub_instance(current_principal().tenant_id, connector.newest if connector else "")

    async def shown(self, work: Work, instances: Sequence[Instance]) -> list[pb.IntegrationInstance]:
        """Write instances, each with whether it fits its connector's newest version."""
        newest = {
            connector_id: await work.connectors.find(connector_id)
            for connector_id in {instance.connector_id for instance in instances}
        }
        return [
            convert.instance(instance, _fits(newest[instance.connector_id], instance))
            for instance in instances
        ]

    async def announce(self, work: Work, verb: str, instance: Instance) -> None:
        """Tell others what happened to an instance."""
        fits = _fits(await work.connectors.find(instance.connector_id), instance)
        by = current_principal().subject
        await self.announcer.instance(work.conn, verb, instance, fits, by)

    async def check_auth_config(self, auth_config_id: str) -> None:
        """Make sure that the caller's tenant has this credential; none is always there.

        Raises:
            Missing: `AUTH_CONFIG_UNKNOWN`.
        """
        if not auth_config_id:
            return
        stub = credentials_pb2_grpc.CredentialsServiceStub(self.credentials())
        request = credentials_pb2.GetAuthConfigRequest(auth_config_id=auth_config_id)
        try:
            await stub.GetAuthConfig(request, timeout=_CREDENTIALS_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise fault_from_rpc_error(error) from error


def _fits(newest: Connector | None, instance: Instance) -> Compatibility:
    if newest is None:
        return Compatibility.COMPATIBLE if instance.instance_id == HUB else Compatibility.INCOMPATIBLE
    return compatibility(newest.spec, instance.connector_version, instance.configuration)


__all__ = ["Announces", "Desk"]
