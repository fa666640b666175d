"""Puts the service together out of the chassis' collaborators."""

import asyncio
from datetime import timedelta

from isthmus.identity.v1 import (
    access_pb2_grpc,
    identity_pb2_grpc,
    providers_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2_grpc,
)
from isthmus.kit import Chassis, Principal, Wiring
from isthmus.kit.authentication import KeyHolder, unreported_calls
from isthmus.kit.principal import current_client_address
from isthmus.services.identity.events import Events
from isthmus.services.identity.login import Door
from isthmus.services.identity.oidc import Issuers, Visitors
from isthmus.services.identity.passwords import Passwords
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.servicer import (
    AccessServicer,
    IdentityServicer,
    ProvidersServicer,
    SessionsServicer,
    UsersServicer,
)
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import Keys, Sessions, Store
from isthmus.services.identity.usage import Usage
from isthmus.services.identity.verifier import Verifier


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
    issuers = Issuers()
    visitors = Visitors(store, chassis.vault, issuers, door=door, events=events, clock=clock)
    usage = Usage(store, events, clock, every=settings.usage_seconds)
    verifier = Verifier(store, pepper, signing, visitors, usage=usage, clock=clock)

    async def holder(credential: str) -> KeyHolder:
        caller = await verifier.caller(credential, current_client_address(), unreported_calls())
        principal = Principal(
            caller.subject, caller.tenant_id, caller.permissions, caller.kind, caller.session_id
        )
        return KeyHolder(principal, caller.expire_time.timestamp(), caller.max_age, caller.rate)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(settings.sweep_seconds)
            async with store.everything() as rows:
                await Sessions(rows.conn).sweep()
                for key in await Keys(rows.conn).expiring(clock.now()):
                    await events.key(rows.conn, "expiring", key, "")

    return Wiring(
        servicers=[
            (
                identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                IdentityServicer(store, pepper, verifier, events=events, clock=clock),
            ),
            (
                access_pb2_grpc.add_AccessServiceServicer_to_server,
                AccessServicer(store, events, clock),
            ),
            (
                providers_pb2_grpc.add_ProvidersServiceServicer_to_server,
                ProvidersServicer(store, chassis.vault, visitors, events=events, clock=clock),
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
        tasks=[sweep, usage.run],
        closers=[usage.flush, passwords.close, issuers.close],
        key_lookup=holder,
    )


__all__ = ["wire"]
