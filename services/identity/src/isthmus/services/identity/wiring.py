"""Puts the service together out of the chassis' collaborators."""

from isthmus.identity.v1 import identity_pb2_grpc as pb_grpc
from isthmus.kit import Chassis, Principal, Wiring
from isthmus.kit.authentication import KeyHolder
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.servicer import IdentityServicer
from isthmus.services.identity.store import Store
from isthmus.services.identity.verifier import Verifier


async def wire(chassis: Chassis) -> Wiring:
    """Wire store, pepper, verifier and servicer."""
    store = Store(chassis.db)
    pepper = Pepper(chassis.vault, store, chassis.settings.pepper_path)
    verifier = Verifier(store, pepper, chassis.clock)

    async def holder(api_key: str) -> KeyHolder:
        caller = await verifier.caller(api_key)
        principal = Principal(caller.subject, caller.tenant_id, caller.permissions, "service_account")
        return KeyHolder(principal, caller.expire_time.timestamp())

    servicer = IdentityServicer(store, pepper, verifier, chassis.clock)
    return Wiring(servicers=[(pb_grpc.add_IdentityServiceServicer_to_server, servicer)], key_lookup=holder)


__all__ = ["wire"]
