"""Speaks the contract of the registry."""

from isthmus.registry.v1 import registry_pb2_grpc as pb_grpc
from isthmus.services.registry.servicer.checks import CheckRpcs
from isthmus.services.registry.servicer.connectors import ConnectorRpcs, register
from isthmus.services.registry.servicer.desk import Announces, Desk
from isthmus.services.registry.servicer.hosts import HostRpcs
from isthmus.services.registry.servicer.instances import InstanceRpcs
from isthmus.services.registry.servicer.revisions import RevisionRpcs
from isthmus.services.registry.servicer.sampling import SamplingServicer


class RegistryServicer(
    ConnectorRpcs, InstanceRpcs, RevisionRpcs, CheckRpcs, HostRpcs, pb_grpc.RegistryServiceServicer
):
    """All RPCs of the registry, each in the file of what it is about."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk


__all__ = ["Announces", "Desk", "RegistryServicer", "SamplingServicer", "register"]
