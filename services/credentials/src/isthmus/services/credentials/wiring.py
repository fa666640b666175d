"""Puts the credentials service together."""

from datetime import timedelta

from isthmus.credentials.v1 import credentials_pb2_grpc
from isthmus.kit import Chassis, Wiring
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.services.credentials.events import Events
from isthmus.services.credentials.servicer import CredentialsServicer


async def wire(chassis: Chassis) -> Wiring:
    """Give the servicer its collaborators."""

    async def find_user(auth_config_id: str) -> str:
        registry = registry_pb2_grpc.RegistryServiceStub(chassis.peer("registry"))
        request = registry_pb2.ListInstancesRequest(auth_config_id=auth_config_id, page_size=1)
        found = (await registry.ListInstances(request)).instances
        return found[0].instance_id if found else ""

    servicer = CredentialsServicer(
        chassis.db,
        chassis.vault,
        Events(chassis.outbox),
        clock=chassis.clock,
        find_user=find_user,
        lease=timedelta(seconds=chassis.settings.lease_seconds),
    )
    add = credentials_pb2_grpc.add_CredentialsServiceServicer_to_server
    return Wiring(servicers=[(add, servicer)])


__all__ = ["wire"]
