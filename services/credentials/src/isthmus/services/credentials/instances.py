"""What the registry knows of instances."""

from collections.abc import Callable

import grpc.aio
from isthmus.kit import fault_from_rpc_error
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc

_MOST = 1000


class RegistryInstances:
    """Asks the registry, on behalf of the tenant that acts.

    Args:
        channel: Gives the way to the registry.
    """

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def find_user(self, auth_config_id: str) -> str:
        """Name an instance that uses a configuration, or give an empty text."""
        found = await self._using(auth_config_id, 1)
        return found[0].instance_id if found else ""

    async def connector_of(self, instance_id: str, auth_config_id: str) -> str:
        """Give the connector of an instance that has a configuration; empty for others."""
        stub = registry_pb2_grpc.RegistryServiceStub(self._channel())
        try:
            answer = await stub.GetInstance(registry_pb2.GetInstanceRequest(instance_id=instance_id))
        except grpc.aio.AioRpcError as error:
            raise fault_from_rpc_error(error) from error
        found = answer.instance
        return found.connector_id if found.auth_config_id == auth_config_id else ""

    async def users_of(self, auth_config_id: str) -> set[str]:
        """Give the connectors of the instances that authenticate with a configuration."""
        return {one.connector_id for one in await self._using(auth_config_id, _MOST)}

    async def _using(self, auth_config_id: str, most: int) -> list[registry_pb2.IntegrationInstance]:
        stub = registry_pb2_grpc.RegistryServiceStub(self._channel())
        request = registry_pb2.ListInstancesRequest(auth_config_id=auth_config_id, page_size=most)
        try:
            return list((await stub.ListInstances(request)).instances)
        except grpc.aio.AioRpcError as error:
            raise fault_from_rpc_error(error) from error


__all__ = ["RegistryInstances"]
