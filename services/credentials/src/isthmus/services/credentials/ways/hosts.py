"""Systems that a connector speaks to: its host makes them take a new secret."""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC

import grpc.aio
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.kit import current_principal, deadline, fault_from_rpc_error
from isthmus.kit.certificates import serving
from isthmus.kit.tickets import TICKET_HEADER, Ticket, Tickets
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.services.credentials.domain import AuthConfig, AuthType, rotation_unsupported, system_unknown
from isthmus.services.credentials.ways.port import REFERENCE, Renewed, Values

_HOST_SECONDS, _CALL_SECONDS = 12.0, 60.0
_MOST_INSTANCES = 1000
_CALLER = "service:credentials"
_KINDS = (AuthType.API_KEY, AuthType.BASIC, AuthType.BEARER)
_RENEW = connector.RotateSecretRequest.STAGE_RENEW
_RETIRE = connector.RotateSecretRequest.STAGE_RETIRE
ChannelTo = Callable[[str, str], grpc.aio.Channel]


class HostWay:
    """Asks the host of every instance that a credential is used for; they may be for several systems.

    Args:
        registry: To the registry.
        channel: Gives the channel to an address where a process has to answer.
        tickets: Signs by which right a host works on an instance.
        instance_ids: The instances.
    """

    def __init__(
        self, registry: grpc.aio.Channel, channel: ChannelTo, tickets: Tickets, instance_ids: Sequence[str]
    ) -> None:
        self._registry = registry_pb2_grpc.RegistryServiceStub(registry)
        self._channel = channel
        self._tickets = tickets
        self._instance_ids = instance_ids

    def proposal(self, config: AuthConfig, old: Values) -> Values | None:  # noqa: ARG002 -- as the port says
        """Give a password of 256 random bits."""
        return {"value": secrets.token_urlsafe(32)}

    async def renew(self, config: AuthConfig, old: Values, new: Values | None) -> Renewed:
        """Have the system of each instance take the secret; what the first one makes, the others are told."""
        assert new is not None
        before, after = config.parameters.username, config.parameters.alternated.username
        renewed = Renewed(overlaps=True)
        for instance_id in self._instance_ids:
            answer = await self._call(instance_id, _RENEW, _said(before, old), _said(after, new))
            made = renewed.made
            if answer.HasField("made"):
                made = new = {"value": answer.made.secret, REFERENCE: answer.made.reference}
            ends = answer.expire_time.ToDatetime(UTC) if answer.HasField("expire_time") else None
            ends = min((one for one in (ends, renewed.expire_time) if one is not None), default=None)
            renewed = Renewed(renewed.overlaps and answer.overlaps, made, ends)
        return renewed

    async def prove(self, config: AuthConfig, new: Values) -> None:
        """Do nothing: a host has tried the secret before it answers."""

    async def retire(self, config: AuthConfig, old: Values, new: Values) -> None:
        """Have the system of each instance refuse the old secret."""
        before, after = config.parameters.alternated.username, config.parameters.username
        for instance_id in self._instance_ids:
            await self._call(instance_id, _RETIRE, _said(before, old), _said(after, new))

    async def _call(
        self,
        instance_id: str,
        stage: connector.RotateSecretRequest.Stage.ValueType,
        old: connector.SystemSecret,
        new: connector.SystemSecret,
    ) -> connector.RotateSecretResponse:
        request = connector.RotateSecretRequest(
            binding=connector.Binding(instance_id=instance_id), stage=stage, old=old, new=new
        )
        wanted = registry_pb2.ResolveHostRequest(instance_id=instance_id)
        try:
            host = (await self._registry.ResolveHost(wanted, timeout=_HOST_SECONDS)).host
            server = serving(host.connector_id)
            ticket = Ticket(current_principal().tenant_id, instance_id, server, _CALLER)
            stub = ConnectorServiceStub(self._channel(host.address, server))
            answer: connector.RotateSecretResponse = await stub.RotateSecret(
                request,
                timeout=deadline.within(_CALL_SECONDS),
                metadata=((TICKET_HEADER, self._tickets.text(ticket)),),
            )
        except grpc.aio.AioRpcError as error:
            raise fault_from_rpc_error(error) from error
        return answer


class HostWays:
    """Finds the instances that use a credential, and whether their systems make secrets.

    Args:
        registry: Gives the way to the registry.
        channel: Gives the channel to an address where a process has to answer.
        tickets: Signs by which right a host works on an instance.
    """

    def __init__(
        self, registry: Callable[[], grpc.aio.Channel], channel: ChannelTo, tickets: Tickets
    ) -> None:
        self._registry = registry
        self._channel = channel
        self._tickets = tickets

    async def choose(self, config: AuthConfig, present: Values) -> HostWay:  # noqa: ARG002 -- as `Choose`
        """Return the way through the hosts of a credential's instances.

        Raises:
            Precondition: `ROTATION_UNSUPPORTED`; a `SystemUnknown` where no instance uses it.
            RetryLater: The registry is away.
        """
        if config.auth_type not in _KINDS:
            why = (
                f"nothing makes secrets for {config.auth_type}, only passwords and keys for connectors that "
                "offer it, API keys of Isthmus, and client secrets of programs at Entra"
            )
            raise rotation_unsupported(config.name, why)
        stub = registry_pb2_grpc.RegistryServiceStub(self._registry())
        request = registry_pb2.ListInstancesRequest(
            auth_config_id=config.auth_config_id, page_size=_MOST_INSTANCES
        )
        try:
            users = (await stub.ListInstances(request)).instances
            for connector_id in sorted({one.connector_id for one in users}):
                asked = registry_pb2.GetConnectorRequest(connector_id=connector_id)
                spec = (await stub.GetConnector(asked)).connector.spec
                if connector.CAPABILITY_ROTATION not in spec.capabilities:
                    why = f"the systems of connector {connector_id} let no program do that"
                    raise rotation_unsupported(config.name, why)
        except grpc.aio.AioRpcError as error:
            raise fault_from_rpc_error(error) from error
        if not users:
            raise system_unknown(config.name)
        return HostWay(self._registry(), self._channel, self._tickets, [one.instance_id for one in users])


def _said(username: str, values: Values) -> connector.SystemSecret:
    return connector.SystemSecret(
        username=username, secret=values["value"], reference=values.get(REFERENCE, "")
    )


__all__ = ["ChannelTo", "HostWay", "HostWays"]
