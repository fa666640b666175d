"""Puts the credentials service together."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from isthmus.credentials.v1 import authorization_pb2_grpc, credentials_pb2_grpc
from isthmus.kit import Chassis, Wiring
from isthmus.services.credentials.authorizing import Authorizing
from isthmus.services.credentials.borrowers import Borrowers
from isthmus.services.credentials.events import Events
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.instances import RegistryInstances
from isthmus.services.credentials.leasing import Lending
from isthmus.services.credentials.refreshing import Patience, Tokens
from isthmus.services.credentials.reminding import Reminders
from isthmus.services.credentials.rotating import Rotating
from isthmus.services.credentials.servicer import CredentialsServicer
from isthmus.services.credentials.servicer_authorization import AuthorizationServicer
from isthmus.services.credentials.settings import CredentialsSettings
from isthmus.services.credentials.sweeping import Sweep
from isthmus.services.credentials.token_server import TokenServers
from isthmus.services.credentials.trying import Trying
from isthmus.services.credentials.ways import EntraWay, HostWays, OwnKeyWay, Ways


async def wire(chassis: Chassis) -> Wiring:
    """Give the servicer its collaborators."""
    instances = RegistryInstances(lambda: chassis.peer("registry"))
    settings: CredentialsSettings = chassis.settings
    db, vault, clock, events = chassis.db, chassis.vault, chassis.clock, Events(chassis.outbox)
    servers = TokenServers(
        seconds=settings.token_seconds,
        unknown_lifetime=settings.token_lifetime_seconds,
        policy=settings.egress_policy(),
    )
    grants = Grants(vault, servers, clock=clock)
    patience = Patience(
        hold=settings.token_hold_seconds,
        wait=settings.token_wait_seconds,
        settle=settings.token_settle_seconds,
    )
    tokens = Tokens(db, vault, grants, clock=clock, patience=patience)
    hosts = HostWays(lambda: chassis.peer("registry"), chassis.channel, chassis.tickets)
    entra = EntraWay(servers, settings.graph_url, clock=clock)
    own_keys = OwnKeyWay(lambda: chassis.peer("identity"), clock=clock)
    rotating = Rotating(db, vault, events, Ways([entra.choose, own_keys.choose, hosts.choose]), clock=clock)
    lease = timedelta(seconds=settings.lease_seconds)
    servicer = CredentialsServicer(
        db,
        vault,
        events,
        tokens=tokens,
        lending=Lending(db, grants, tokens, events, clock=clock, lease=lease),
        borrowers=Borrowers(instances),
        trying=Trying(grants, tokens, clock=clock),
        rotating=rotating,
        clock=clock,
        find_user=instances.find_user,
    )
    authorization = AuthorizationServicer(db, Authorizing(db, vault, grants, tokens, clock=clock))
    servicers: list[tuple[Callable[[Any, Any], None], object]] = [
        (credentials_pb2_grpc.add_CredentialsServiceServicer_to_server, servicer),
        (authorization_pb2_grpc.add_AuthorizationServiceServicer_to_server, authorization),
    ]
    ahead = timedelta(days=settings.reminder_days)
    sweep = Sweep(Reminders(db, events, clock=clock, ahead=ahead), rotating, clock=clock)
    closers = [rotating.close, tokens.close, servers.close]
    return Wiring(servicers=servicers, tasks=[sweep.run], closers=closers)


__all__ = ["wire"]
