"""Puts the service together out of the chassis' collaborators."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from isthmus.identity.v1 import (
    access_pb2_grpc,
    devices_pb2_grpc,
    identity_pb2_grpc,
    providers_pb2_grpc,
    quotas_pb2_grpc,
    scim_pb2_grpc,
    sessions_pb2_grpc,
    support_pb2_grpc,
    users_pb2_grpc,
)
from isthmus.kit import Chassis, Principal, Wiring
from isthmus.kit.authentication import KeyHolder, KeyLookup, unreported_calls
from isthmus.kit.principal import current_client_address
from isthmus.kit.quotas import Quotas
from isthmus.services.identity.devices import Devices
from isthmus.services.identity.events import Events
from isthmus.services.identity.login import Door
from isthmus.services.identity.oidc import Issuers, Visitors
from isthmus.services.identity.passwords import Passwords
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.provisioning import Provisioning
from isthmus.services.identity.quotas import Allowance
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.servicer import (
    AccessServicer,
    DeviceLoginServicer,
    IdentityServicer,
    ProvidersServicer,
    QuotasServicer,
    ScimServicer,
    SessionsServicer,
    SupportServicer,
    UsersServicer,
)
from isthmus.services.identity.settings import IdentitySettings
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import Keys, Sessions, Store
from isthmus.services.identity.support import Hospitality
from isthmus.services.identity.usage import Usage
from isthmus.services.identity.verifier import Verifier

Servicers = list[tuple[Callable[[Any, Any], None], object]]


async def wire(chassis: Chassis) -> Wiring:
    """Wire stores, keys, the door and the servicers."""
    parts = _parts(chassis)
    settings: IdentitySettings = chassis.settings
    usage = Usage(parts.store, parts.events, chassis.clock, every=settings.usage_seconds)
    verifier = Verifier(
        parts.store,
        parts.pepper,
        parts.signing,
        parts.visitors,
        parts.hospitality,
        usage=usage,
        allowance=parts.allowance,
        clock=chassis.clock,
    )
    return Wiring(
        servicers=_servicers(chassis, parts, verifier),
        tasks=[_sweeping(chassis, parts), usage.run],
        closers=[usage.flush, parts.passwords.close, parts.issuers.close],
        key_lookup=_lookup(verifier),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What several servicers share."""

    store: Store
    events: Events
    pepper: Pepper
    signing: SigningKeys
    passwords: Passwords
    second_factor: SecondFactor
    door: Door
    issuers: Issuers
    visitors: Visitors
    hospitality: Hospitality
    allowance: Allowance


def _parts(chassis: Chassis) -> _Parts:
    settings: IdentitySettings = chassis.settings
    store, events, clock = Store(chassis.db), Events(chassis.outbox), chassis.clock
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
    issuers = Issuers(settings.egress_policy())
    return _Parts(
        store=store,
        events=events,
        pepper=pepper,
        signing=signing,
        passwords=passwords,
        second_factor=second_factor,
        door=door,
        issuers=issuers,
        visitors=Visitors(store, chassis.vault, issuers, door=door, events=events, clock=clock),
        hospitality=Hospitality(store, signing, events=events, clock=clock, token_life=token_life),
        allowance=Allowance(store, settings),
    )


def _servicers(chassis: Chassis, parts: _Parts, verifier: Verifier) -> Servicers:
    store, events, clock = parts.store, parts.events, chassis.clock
    longest = timedelta(hours=chassis.settings.support_hours)
    return [
        (
            identity_pb2_grpc.add_IdentityServiceServicer_to_server,
            IdentityServicer(store, parts.pepper, verifier, events=events, clock=clock),
        ),
        (access_pb2_grpc.add_AccessServiceServicer_to_server, AccessServicer(store, events, clock)),
        (
            providers_pb2_grpc.add_ProvidersServiceServicer_to_server,
            ProvidersServicer(store, chassis.vault, parts.visitors, events=events, clock=clock),
        ),
        (
            users_pb2_grpc.add_UsersServiceServicer_to_server,
            UsersServicer(
                store, parts.passwords, parts.second_factor, door=parts.door, events=events, clock=clock
            ),
        ),
        (
            scim_pb2_grpc.add_ScimServiceServicer_to_server,
            ScimServicer(store, Provisioning(parts.door, parts.second_factor, events, clock)),
        ),
        (
            sessions_pb2_grpc.add_SessionsServiceServicer_to_server,
            SessionsServicer(store, parts.door, parts.second_factor, parts.signing),
        ),
        (
            devices_pb2_grpc.add_DeviceLoginServiceServicer_to_server,
            DeviceLoginServicer(
                Devices(
                    store,
                    parts.pepper,
                    chassis.vault,
                    visitors=parts.visitors,
                    door=parts.door,
                    clock=clock,
                )
            ),
        ),
        (
            quotas_pb2_grpc.add_QuotasServiceServicer_to_server,
            QuotasServicer(store, parts.allowance, events=events, clock=clock, peer=chassis.peer),
        ),
        (
            support_pb2_grpc.add_SupportServiceServicer_to_server,
            SupportServicer(store, parts.hospitality, clock, longest),
        ),
    ]


def _lookup(verifier: Verifier) -> KeyLookup:
    async def holder(credential: str) -> KeyHolder:
        caller = await verifier.caller(credential, current_client_address(), unreported_calls())
        principal = Principal(
            caller.subject,
            caller.tenant_id,
            caller.permissions,
            caller.kind,
            caller.session_id,
            caller.support_access_id,
            Quotas(**caller.quotas),
        )
        return KeyHolder(principal, caller.expire_time.timestamp(), caller.max_age, caller.rate)

    return holder


def _sweeping(chassis: Chassis, parts: _Parts) -> Callable[[], Awaitable[None]]:
    async def sweep() -> None:
        while True:
            await asyncio.sleep(chassis.settings.sweep_seconds)
            async with parts.store.everything() as rows:
                await Sessions(rows.conn).sweep()
                await parts.hospitality.tell_ended(rows)
                for key in await Keys(rows.conn).expiring(chassis.clock.now()):
                    await parts.events.key(rows.conn, "expiring", key, "")

    return sweep


__all__ = ["wire"]
