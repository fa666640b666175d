"""Calls connector hosts for checks and discoveries, past hosts that are gone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc.aio
from isthmus.connector.v1 import connector_pb2, connector_pb2_grpc
from isthmus.kit import current_principal, fault_from_rpc_error
from isthmus.kit.certificates import serving
from isthmus.kit.tickets import TICKET_HEADER, Ticket, Tickets
from isthmus.resilience.faults import Fault, Missing
from isthmus.services.registry.domain.model import EVERYBODY, HUB, Host
from isthmus.services.registry.hosts import Hosts, unavailable

_Answer = TypeVar("_Answer")

_TRIES = 3
_PAGE = 500
_MOST_PAGES = 20
_CALLER = "service:registry"
_HOST_IS_GONE = frozenset({"PEER_UNREACHABLE", "CALL_CANCELLED", "DRAINING", "STARTING"})


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be probed: whose connector, and with which configuration."""

    owner: str
    connector_id: str
    binding: connector_pb2.Binding

    @classmethod
    def hub(cls) -> "Target":
        """Return the record store."""
        return cls(EVERYBODY, HUB, connector_pb2.Binding(instance_id=HUB))


class Prober:
    """Speaks the connector contract to whichever host serves a target.

    Args:
        hosts: Finds hosts.
        channel: Gives the channel to an address where a process has to answer; calls on it act for the
            caller's tenant.
        limit: Seconds an external system may take.
        tickets: Signs by which right a host works on a target.
    """

    def __init__(
        self,
        hosts: Hosts,
        channel: Callable[[str, str], grpc.aio.Channel],
        limit: float,
        tickets: Tickets,
    ) -> None:
        self._hosts = hosts
        self._channel = channel
        self._tickets = tickets
        self._limit = limit

    async def check(self, target: Target) -> AsyncIterator[connector_pb2.CheckStep]:
        """Try a target and yield the steps as they end.

        Raises:
            Fault: `HOST_UNAVAILABLE`, or what the host answered.
        """
        request = connector_pb2.CheckRequest(binding=target.binding)
        for _ in range(_TRIES):
            host = await self._host(target)
            has_begun = False
            try:
                metadata = self._shown(target)
                stub = self._stub(host)
                async for response in stub.Check(request, timeout=self._limit, metadata=metadata):
                    has_begun = True
                    yield response.step
            except grpc.aio.AioRpcError as error:
                fault = _passed_on(error, target)
                if has_begun or fault.reason != "HOST_UNAVAILABLE":
                    raise fault from error
                await self._hosts.forget(host)
            else:
                return
        raise unavailable(target.connector_id)

    async def discover(
        self, target: Target, page_size: int, page_token: str
    ) -> connector_pb2.DiscoverResponse:
        """List a target's streams.

        Raises:
            Fault: `HOST_UNAVAILABLE`, or what the host answered.
        """
        request = connector_pb2.DiscoverRequest(
            binding=target.binding, page_size=page_size, page_token=page_token
        )
        metadata = self._shown(target)
        return await self._through(
            target, lambda stub: stub.Discover(request, timeout=self._limit, metadata=metadata)
        )

    async def stream(self, target: Target, name: str) -> connector_pb2.StreamSpec:
        """Return one of a target's streams.

        Raises:
            Missing: `STREAM_UNKNOWN`.
            Fault: `HOST_UNAVAILABLE`, or what the host answered.
        """
        token = ""
        for _ in range(_MOST_PAGES):
            page = await self.discover(target, _PAGE, token)
            for stream in page.streams:
                if stream.stream == name:
                    return stream
            token = page.next_page_token
            if not token:
                break
        message = f"There is no stream `{name[:100]}`; DiscoverInstance shows what there is."
        raise Missing("STREAM_UNKNOWN", message, path="stream")

    async def sample(
        self, target: Target, stream: connector_pb2.StreamSpec, limit: int, named: Sequence[str]
    ) -> list[bytes]:
        """Read the first records of a stream, of its first part where it has several.

        Args:
            target: Whose.
            stream: Which one, as `stream` gave it.
            limit: At most so many records.
            named: Secret fields that are wanted all the same.

        Raises:
            Fault: `HOST_UNAVAILABLE`, or what the host answered.
        """
        full = connector_pb2.READ_MODE_FULL
        mode = full if full in stream.read_modes else stream.read_modes[0]
        metadata = self._shown(target)
        listing = connector_pb2.ListPartitionsRequest(
            binding=target.binding, stream=stream.stream, mode=mode, page_size=1
        )

        async def read(stub: "connector_pb2_grpc.ConnectorServiceAsyncStub") -> list[bytes]:
            parts = await stub.ListPartitions(listing, timeout=self._limit, metadata=metadata)
            request = connector_pb2.ReadRequest(
                binding=target.binding,
                stream=stream.stream,
                partition=parts.partitions[0] if parts.partitions else "",
                mode=mode,
                limit=limit,
                max_batch_records=limit,
                fields=named,
                withholds_secrets=True,
            )
            found: list[bytes] = []
            reading = stub.Read(request, timeout=self._limit, metadata=metadata)
            async for answer in reading:
                found += answer.batch.records
                if len(found) >= limit:
                    reading.cancel()
                    break
            return found[:limit]

        return await self._through(target, read)

    async def describe_hub(self) -> connector_pb2.ConnectorSpec:
        """Ask the record store what it is.

        Raises:
            Fault: `HOST_UNAVAILABLE`.
        """
        request = connector_pb2.DescribeRequest()
        answer = await self._through(Target.hub(), lambda stub: stub.Describe(request))
        return answer.spec

    async def _through(
        self,
        target: Target,
        call: "Callable[[connector_pb2_grpc.ConnectorServiceAsyncStub], Awaitable[_Answer]]",
    ) -> _Answer:
        for _ in range(_TRIES):
            host = await self._host(target)
            try:
                return await call(self._stub(host))
            except grpc.aio.AioRpcError as error:
                fault = _passed_on(error, target)
                if fault.reason != "HOST_UNAVAILABLE":
                    raise fault from error
                await self._hosts.forget(host)
        raise unavailable(target.connector_id)

    async def _host(self, target: Target) -> Host:
        if target.connector_id == HUB:
            return self._hosts.hub()
        return await self._hosts.resolve(target.owner, target.connector_id)

    def _shown(self, target: Target) -> tuple[tuple[str, str], ...]:
        """What tells a host, and through it others, that somebody wants it to work on a target."""
        binding = target.binding
        ticket = Ticket(
            current_principal().tenant_id,
            binding.instance_id,
            serving(target.connector_id),
            _CALLER,
            "" if binding.instance_id else binding.auth_config_id,
        )
        return ((TICKET_HEADER, self._tickets.text(ticket)),)

    def _stub(self, host: Host) -> "connector_pb2_grpc.ConnectorServiceAsyncStub":
        return connector_pb2_grpc.ConnectorServiceStub(
            self._channel(host.address, serving(host.connector_id))
        )


def _passed_on(error: grpc.aio.AioRpcError, target: Target) -> Fault:
    fault = fault_from_rpc_error(error)
    return unavailable(target.connector_id) if fault.reason in _HOST_IS_GONE else fault


__all__ = ["Prober", "Target"]
