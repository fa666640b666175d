"""Puts the service together out of the chassis' collaborators."""

from isthmus.kit import Chassis, Wiring
from isthmus.mapping.v1 import mapping_pb2_grpc as pb_grpc
from isthmus.services.mapping.events import Events
from isthmus.services.mapping.servicer import MappingServicer
from isthmus.services.mapping.store import Store


async def wire(chassis: Chassis) -> Wiring:
    """Wire store, events and servicer."""
    servicer = MappingServicer(Store(chassis.db), Events(chassis.outbox).changed, chassis.clock)
    return Wiring(servicers=[(pb_grpc.add_MappingServiceServicer_to_server, servicer)])


__all__ = ["wire"]
