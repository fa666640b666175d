"""What scheduling asks other services."""

import asyncio
import json
from datetime import UTC, datetime

import grpc
from isthmus.kit import acting_for, current_principal, fault_from_rpc_error
from isthmus.kit.logs import logger
from isthmus.kit.sharing import Shared
from isthmus.mapping.v1 import mapping_pb2
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.registry.v1 import registry_pb2
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.resilience.faults import Missing
from isthmus.services.scheduling.domain import HUB
from isthmus.services.scheduling.engine import InstanceFacts
from isthmus.services.scheduling.engine.kept import Kept
from isthmus.services.scheduling.translate import most_executions

_log = logger(__name__)
_HOST_SECONDS = 12.0
_ASKING_AT_ONCE = 8
_PACE_SECONDS = 0.02
_MOST_CONNECTORS = 10_000
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class RegistryPeer:
    """Asks the registry for instances and for hosts.

    Args:
        channel: To the registry.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RegistryServiceStub(channel)
        self._slots = asyncio.Semaphore(_ASKING_AT_ONCE)
        self._facts = Shared(self._ask_facts, pace=_PACE_SECONDS)
        self._connectors: Kept[tuple[str, str], str] = Kept(_MOST_CONNECTORS)

    async def facts(self, instance_id: str) -> InstanceFacts:
        """Read an instance of the acting tenant; the built-in record store is one and always active.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """
        if instance_id == HUB:
            return InstanceFacts(HUB, HUB, is_active=True, update_time=_ALWAYS)
        return await self._facts((current_principal().tenant_id, instance_id))

    async def connector(self, instance_id: str) -> str:
        """Give the connector of an instance of the acting tenant, which never changes.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """
        known = self._connectors.get((current_principal().tenant_id, instance_id))
        return known or (await self.facts(instance_id)).connector_id

    async def _ask_facts(self, which: tuple[str, str]) -> InstanceFacts:
        _, instance_id = which
        request = registry_pb2.GetInstanceRequest(instance_id=instance_id)
        try:
            instance = (await self._stub.GetInstance(request)).instance
        except grpc.RpcError as error:
            fault = fault_from_rpc_error(error)
            if isinstance(fault, Missing):
                raise _instance_unknown(instance_id) from error
            raise fault from error
        self._connectors[which] = instance.connector_id
        return InstanceFacts(
            instance_id=instance_id,
            connector_id=instance.connector_id,
            is_active=instance.status == instance.STATUS_ACTIVE,
            update_time=instance.update_time.ToDatetime(UTC),
            etag=instance.etag,
            executions=most_executions(instance.limits),
        )

    async def ensure(self, tenant_id: str, connector_id: str) -> None:
        """Have a host started where none runs; that none can be found is no error here.

        The job waits in its queue for as long as it takes.
        """
        request = registry_pb2.ResolveHostRequest(connector_id=connector_id)
        try:
            async with self._slots:
                with acting_for(tenant_id):
                    await self._stub.ResolveHost(request, timeout=_HOST_SECONDS)
        except grpc.RpcError as error:
            reason = fault_from_rpc_error(error).reason
            _log.info("no host yet", connector_id=connector_id, reason=reason)


_NO_VERSION = frozenset({"MAPPING_NOT_USABLE", "MAPPING_NOT_INVERTIBLE"})
"""The mapping is there, and says itself why flows may not use it."""


class RemoteMappings:
    """Asks the mapping service for versions.

    Args:
        channel: To the mapping service.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = MappingServiceStub(channel)
        self._version = Shared(self._ask_version, pace=_PACE_SECONDS)

    async def version(self, mapping_id: str, version: int) -> int:
        """Give the version that is meant, which is the active one when `version` is 0.

        Raises:
            Missing: `MAPPING_UNKNOWN`, `MAPPING_NOT_USABLE`, or `MAPPING_NOT_INVERTIBLE`.
        """
        found, _ = await self._version((current_principal().tenant_id, mapping_id, version))
        return found

    async def splits(self, mapping_id: str, version: int) -> bool:
        """Tell whether a version makes several records of one.

        Raises:
            Missing: `MAPPING_UNKNOWN` or `MAPPING_NOT_USABLE`.
        """
        _, splits = await self._version((current_principal().tenant_id, mapping_id, version))
        return splits

    async def _ask_version(self, which: tuple[str, str, int]) -> tuple[int, bool]:
        _, mapping_id, version = which
        request = mapping_pb2.GetMappingRequest(mapping_id=mapping_id, version=version, for_flow=True)
        try:
            found = (await self._stub.GetMapping(request)).mapping
        except grpc.RpcError as error:
            fault = fault_from_rpc_error(error)
            if isinstance(fault, Missing) and fault.reason not in _NO_VERSION:
                raise _mapping_unknown(mapping_id, version) from error
            raise fault from error
        told = found.transformations
        return found.version, '"split"' in told and "split" in json.loads(told)


def _instance_unknown(instance_id: str) -> Missing:
    message = f"There is no instance {instance_id}; create it first."
    return Missing("INSTANCE_UNKNOWN", message, metadata={"instance_id": instance_id})


def _mapping_unknown(mapping_id: str, version: int) -> Missing:
    which = f"{mapping_id} in version {version}" if version else mapping_id
    message = f"There is no mapping {which}; create it first."
    return Missing("MAPPING_UNKNOWN", message, metadata={"mapping_id": mapping_id})


__all__ = ["RegistryPeer", "RemoteMappings"]
