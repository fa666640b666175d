"""The control plane as a host sees it: typed stubs, and calls that end in faults."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.credentials.v1.credentials_pb2_grpc import CredentialsServiceStub
from isthmus.kit.errors import fault_from_rpc_error
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.mapping.v1.schemas_pb2_grpc import SchemaServiceStub
from isthmus.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from isthmus.records.v1.links_pb2_grpc import LinksServiceStub
from isthmus.records.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from isthmus.records.v1.records_pb2_grpc import RecordsServiceStub
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.resilience import (
    Broken,
    Conflict,
    Deadline,
    Fault,
    LimitReached,
    OutOfTime,
    Retry,
    RetryLater,
    RetryPolicy,
)
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub

T = TypeVar("T")
_MOST_CONNECTORS = 200
_BROKEN_CONNECTION = frozenset({"INTERNAL", "UNKNOWN"})
_PATIENT = RetryPolicy.exponential(attempts=100_000, first=0.2, longest=2.0)  # time is what ends it
_PASSING = (RetryLater, OutOfTime, LimitReached, Conflict)


class Mesh(Protocol):
    """Where channels come from; the chassis is one."""

    def peer(self, name: str) -> grpc.aio.Channel:
        """Return the channel to a service."""
        ...

    def channel(self, address: str) -> grpc.aio.Channel:
        """Return the channel to an address."""
        ...


class ControlPlane:
    """Stubs of every service that a host calls.

    Args:
        mesh: Where channels come from.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._connectors: dict[str, Any] = {}
        self.registry = RegistryServiceStub(mesh.peer("registry"))
        self.credentials = CredentialsServiceStub(mesh.peer("credentials"))
        self.mapping = MappingServiceStub(mesh.peer("mapping"))
        self.schemas = SchemaServiceStub(mesh.peer("mapping"))
        self.scheduling = SchedulingServiceStub(mesh.peer("scheduling"))
        self.records = RecordsServiceStub(mesh.peer("records"))
        self.links = LinksServiceStub(mesh.peer("records"))
        self.reconciliations = ReconciliationServiceStub(mesh.peer("records"))
        self.monitoring = MonitoringServiceStub(mesh.peer("monitoring"))

    def connector(self, address: str) -> Any:
        """Return the stub of a connector host."""
        stub = self._connectors.get(address)
        if stub is None:
            if len(self._connectors) >= _MOST_CONNECTORS:
                self._connectors.clear()
            stub = self._connectors[address] = ConnectorServiceStub(self._mesh.channel(address))
        return stub


async def call(method: Any, request: Any, *, seconds: float = 10.0) -> Any:
    """Call a peer once, and give up after some seconds.

    Raises:
        Fault: What the peer answered, or what kept the call from reaching it.
    """
    try:
        return await method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise fault_from(error) from error


def fault_from(error: grpc.RpcError) -> Fault:
    """Return what a peer answered; a connection that breaks in the middle is a fault that passes.

    A peer gives reasons with its faults. INTERNAL and UNKNOWN without one come from gRPC itself, when
    a connection is reset at the wrong moment.
    """
    fault = fault_from_rpc_error(error)
    if isinstance(fault, Broken) and fault.reason in _BROKEN_CONNECTION:
        return RetryLater("CONNECTION_BROKEN", f"The connection broke ({fault.message}).")
    return fault


def passes(fault: Fault) -> bool:
    """Tell whether repeating the very same call may help."""
    return isinstance(fault, _PASSING)


async def persist(
    work: Callable[[], Awaitable[T]], *, deadline: Deadline | None = None, seconds: float = 0.0
) -> T:
    """Repeat what fails for reasons that pass by themselves.

    Args:
        work: Called until it succeeds; safe to repeat.
        deadline: When the last fault is raised.
        seconds: The same as a length of time, where there is no deadline yet.

    Raises:
        Fault: What does not pass, or has not passed in time.
    """
    retry = Retry(_PATIENT, when=_is_passing)
    return await retry(work, deadline=deadline or Deadline.after(seconds))


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, _PASSING)


__all__ = ["ControlPlane", "Mesh", "call", "fault_from", "passes", "persist"]
