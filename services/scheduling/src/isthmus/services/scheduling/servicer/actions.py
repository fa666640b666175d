"""How scheduling calls actions of connectors, through whichever host serves them."""

from collections.abc import Callable
from typing import NoReturn

import grpc
from isthmus.connector.v1 import connector_pb2
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.kit import current_principal, fault_from_rpc_error
from isthmus.kit.certificates import serving
from isthmus.kit.tickets import TICKET_HEADER, Ticket, Tickets
from isthmus.registry.v1 import registry_pb2
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.resilience.faults import Missing, OutOfTime, RetryLater
from isthmus.services.scheduling.domain import PlanAction
from isthmus.services.scheduling.engine import HostAway

_HOST_SECONDS = 12.0
_CALL_SECONDS = 600.0
_CALLER = "service:scheduling"
# A host that says so has not looked at the request.
_NOT_BEGUN = frozenset({"DRAINING", "STARTING"})


class RemoteActions:
    """Asks the registry for connectors and their hosts, and hosts for actions.

    Args:
        registry: To the registry.
        channel: Gives the channel to an address where a process has to answer; calls on it act for the
            tenant at work.
        tickets: Signs by which right a host works on the instance.
    """

    def __init__(
        self, registry: grpc.aio.Channel, channel: Callable[[str, str], grpc.aio.Channel], tickets: Tickets
    ) -> None:
        self._registry = RegistryServiceStub(registry)
        self._channel = channel
        self._tickets = tickets

    async def is_repeatable(self, action: PlanAction) -> bool:
        """Tell whether repeating a call under its id has no further effect.

        Raises:
            Missing: `INSTANCE_UNKNOWN`, `CONNECTOR_UNKNOWN` or `ACTION_UNKNOWN`.
            HostAway: The registry cannot be asked now.
        """
        try:
            wanted = registry_pb2.GetInstanceRequest(instance_id=action.instance_id)
            instance = (await self._registry.GetInstance(wanted)).instance
            asked = registry_pb2.GetConnectorRequest(connector_id=instance.connector_id)
            spec = (await self._registry.GetConnector(asked)).connector.spec
        except grpc.RpcError as error:
            _hand_on(error)
        found = next((one for one in spec.actions if one.action == action.action), None)
        if found is None:
            known = ", ".join(sorted(one.action for one in spec.actions)) or "none"
            message = f"Connector {spec.connector_id} has no action {action.action}; it has {known}."
            raise Missing("ACTION_UNKNOWN", message)
        return found.is_idempotent

    async def invoke(self, action: PlanAction, call_id: str) -> str:
        """Call an action once.

        Raises:
            Fault: What the host answered.
            HostAway: No host serves the instance now.
        """
        try:
            wanted = registry_pb2.ResolveHostRequest(instance_id=action.instance_id)
            host = (await self._registry.ResolveHost(wanted, timeout=_HOST_SECONDS)).host
        except grpc.RpcError as error:
            _hand_on(error)
        request = connector_pb2.InvokeRequest(
            binding=connector_pb2.Binding(instance_id=action.instance_id),
            action=action.action,
            input=action.input,
            request_id=call_id,
        )
        server = serving(host.connector_id)
        ticket = Ticket(current_principal().tenant_id, action.instance_id, server, _CALLER)
        metadata = ((TICKET_HEADER, self._tickets.text(ticket)),)
        try:
            stub = ConnectorServiceStub(self._channel(host.address, server))
            return (await stub.Invoke(request, timeout=_CALL_SECONDS, metadata=metadata)).output
        except grpc.RpcError as error:
            fault = fault_from_rpc_error(error)
            if fault.reason in _NOT_BEGUN:
                raise HostAway(fault.reason, fault.message) from error
            raise fault from error


def _hand_on(error: grpc.RpcError) -> NoReturn:
    """Tell what passes apart: nothing has been called yet."""
    fault = fault_from_rpc_error(error)
    if isinstance(fault, RetryLater | OutOfTime):
        raise HostAway(fault.reason, fault.message) from error
    raise fault from error


__all__ = ["RemoteActions"]
