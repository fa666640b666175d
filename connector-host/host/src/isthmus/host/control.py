"""The control plane as a host sees it: typed stubs, and calls that end in faults."""

from typing import Any, Protocol

import grpc.aio
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.credentials.v1.credentials_pb2_grpc import CredentialsServiceStub
from isthmus.host.calling import call, fault_from, passes, persist
from isthmus.host.leasing import Leasing
from isthmus.kit.certificates import serving
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.mapping.v1.schemas_pb2_grpc import SchemaServiceStub
from isthmus.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from isthmus.records.v1.links_pb2_grpc import LinksServiceStub
from isthmus.records.v1.reconciliation_pb2_grpc import ReconciliationServiceStub
from isthmus.records.v1.records_pb2_grpc import RecordsServiceStub
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub

_MOST_CONNECTORS = 200


class Mesh(Protocol):
    """Where channels come from; the chassis is one."""

    def peer(self, name: str) -> grpc.aio.Channel:
        """Return the channel to a service."""
        ...

    def channel(self, address: str, subject: str) -> grpc.aio.Channel:
        """Return the channel to an address where this process has to answer."""
        ...


class ControlPlane:
    """Stubs of every service that a host calls.

    Args:
        mesh: Where channels come from.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._connectors: dict[tuple[str, str], Any] = {}
        self.registry = RegistryServiceStub(mesh.peer("registry"))
        self.credentials = CredentialsServiceStub(mesh.peer("credentials"))
        self.mapping = MappingServiceStub(mesh.peer("mapping"))
        self.schemas = SchemaServiceStub(mesh.peer("mapping"))
        self.scheduling = SchedulingServiceStub(mesh.peer("scheduling"))
        self.records = RecordsServiceStub(mesh.peer("records"))
        self.links = LinksServiceStub(mesh.peer("records"))
        self.reconciliations = ReconciliationServiceStub(mesh.peer("records"))
        self.monitoring = MonitoringServiceStub(mesh.peer("monitoring"))
        self.leasing = Leasing(self.scheduling)

    def connector(self, connector_id: str, address: str) -> Any:
        """Return the stub of the process that serves a connector."""
        place = (connector_id, address)
        stub = self._connectors.get(place)
        if stub is None:
            if len(self._connectors) >= _MOST_CONNECTORS:
                self._connectors.clear()
            channel = self._mesh.channel(address, serving(connector_id))
            stub = self._connectors[place] = ConnectorServiceStub(channel)
        return stub


__all__ = ["ControlPlane", "Mesh", "call", "fault_from", "passes", "persist"]
