"""Puts the service together out of the chassis' collaborators."""

import asyncio
from datetime import timedelta

from isthmus.identity.v1 import access_pb2_grpc, identity_pb2_grpc, sessions_pb2_grpc, users_pb2_grpc
from isthmus.kit import Chassis, Principal, Wiring
from isthmus.kit.authentication import KeyHolder
from isthmus.services.identity.events import Events
from isthmus.services.identity.login import Door
from isthmus.services.identity.passwords import Passwords
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.servicer import (
    AccessServicer,
    IdentityServicer,
    SessionsServicer,
    UsersServicer,
)
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import Sessions, Store
from isthmus.services.identity.verifier import Verifier

_SWEEP_SECONDS = 3600.0


async def wire(chassis: Chassis) -> Wiring:
    """Wire stores, keys, the door and the servicers."""
    settings, clock = chassis.settings, chassis.clock
    store = Store(chassis.db)
    events = Events(chassis.outbox)
    pepper = Pepper(chassis.vault, store, settings.pepper_path)
    token_life = timedelta(minutes=settings.access_token_minutes)
    signing = SigningKeys(
        chassis.vault,
        store,
        settings.signing_keys_path,
        clock,
        token_life=token_life,
        rotate_after=timedelta(days=settings.signing_key_days),
    )
    passwords = Passwords(pepper, memory_kib=settings.password_memory_kib, passes=settings.password_passes)
    second_factor = SecondFactor(chassis.vault, pepper, events, clock, settings.totp_path)
    door = Door(
        store,
        pepper,
        passwords,
        second_factor=second_factor,
        signing=signing,
        events=events,
        clock=clock,
        token_life=token_life,
        session_life=timedelta(hours=settings.session_hours),
    )
    verifier = Verifier(store, pepper, signing, clock)

    async def holder(credential: str) -> KeyHolder:
        caller = await verifier.caller(credential)
        principal = Principal(
            caller.subject, caller.tenant_id, caller.permissions, caller.kind, caller.session_id
        )
        return KeyHolder(principal, caller.expire_time.timestamp(), caller.max_age)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            async with store.everything() as rows:
                await Sessions(rows.conn).sweep()

    return Wiring(
        servicers=[
            (
                identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                IdentityServicer(store, pepper, verifier, clock),
            ),
            (
                access_pb2_grpc.add_AccessServiceServicer_to_server,
                AccessServicer(store, events, clock),
            ),
            (
                users_pb2_grpc.add_UsersServiceServicer_to_server,
                UsersServicer(store, passwords, second_factor, door=door, events=events, clock=clock),
            ),
            (
                sessions_pb2_grpc.add_SessionsServiceServicer_to_server,
                SessionsServicer(store, door, second_factor, signing),
            ),
        ],
        tasks=[sweep],
        closers=[passwords.close],
        key_lookup=holder,
    )


__all__ = ["wire"]
