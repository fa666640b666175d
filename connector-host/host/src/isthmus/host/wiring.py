"""Puts a host together."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.connector.v1.connector_pb2_grpc import add_ConnectorServiceServicer_to_server
from isthmus.host.attempt.attempt import Tools
from isthmus.host.attempt.preparing import Preparing
from isthmus.host.backend import Backend
from isthmus.host.binding import HUB, Leases, Resolver
from isthmus.host.budgets import Budgets
from isthmus.host.control import ControlPlane
from isthmus.host.jobs import Jobs
from isthmus.host.plans import Plans
from isthmus.host.registration import Registration
from isthmus.host.reports import Reports
from isthmus.host.revoking import Revocations
from isthmus.host.servicer import ConnectorServicer
from isthmus.host.settings import HostSettings
from isthmus.kit import new_id
from isthmus.kit.certificates import serving
from isthmus.kit.plaintext import is_near
from isthmus.kit.wiring import Chassis, Wiring
from isthmus.resilience import Precondition

if TYPE_CHECKING:
    from isthmus.host.links import LinksLedger

_SWEEP_SECONDS = 15.0


class Host:
    """One connector with everything around it; `wire` fits the chassis.

    Args:
        connector: The connector's class; None takes the installed one that the settings name.
    """

    def __init__(self, connector: Any = None) -> None:
        self._connector = connector
        self._ready: Callable[[int], None] = lambda _port: None

    def ready(self, port: int) -> None:
        """Take notice of the port on which the chassis listens."""
        self._ready(port)

    async def wire(self, chassis: Chassis) -> Wiring:
        """Return the connector's servicer and the work of the host."""
        settings: HostSettings = chassis.settings
        if not settings.connector:
            raise Precondition("CONNECTOR_MISSING", "Say which connector to run, with --connector.")
        host_id = new_id("hst")
        control = ControlPlane(chassis)
        leases = Leases(control, host_id)
        resolver = Resolver(control, leases)
        budgets = Budgets(control, host_id)
        backend, sweep, closers = await self._backend(chassis, resolver, control, budgets)
        reports = Reports(control)
        preparing = Preparing(control, resolver, Plans(control), patience=settings.patience_seconds)
        jobs = Jobs(Tools(backend, control, preparing, reports, settings), host_id, chassis.draining)
        registration = Registration(
            control,
            backend.spec,
            host_id,
            lambda: jobs.running,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        self._ready = lambda port: registration.listening(advertised(settings, port))
        if _fixed_port(settings.listen):
            self._ready(_fixed_port(settings.listen))

        async def pull() -> None:
            await jobs.pull(chassis.bus)

        async def listen() -> None:
            sessions = getattr(backend, "sessions", None)
            await Revocations(chassis.bus, leases, sessions.revoke if sessions else None).run()

        async def drain() -> None:
            await chassis.draining.wait()
            await registration.leave()
            await jobs.stop()

        async def last_words() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await reports.flush()

        return Wiring(
            servicers=[
                (add_ConnectorServiceServicer_to_server, ConnectorServicer(backend, resolver, reports))
            ],
            tasks=[
                *([pull, listen] if settings.nats_url else []),
                drain,
                registration.run,
                reports.run,
                *sweep,
            ],
            closers=[registration.leave, jobs.stop, last_words, backend.close, *closers],
        )

    async def _backend(
        self, chassis: Chassis, resolver: Resolver, control: ControlPlane, budgets: Budgets
    ) -> tuple[Backend, list[Callable[[], Awaitable[None]]], list[Callable[[], Awaitable[None]]]]:
        settings: HostSettings = chassis.settings
        if not settings.upstream:
            return self._local(settings, resolver, control, budgets)
        from isthmus.host.upstream import UpstreamBackend

        if settings.connector == HUB:
            return await UpstreamBackend.open(chassis.channel(settings.upstream, serving(HUB)), HUB), [], []
        # A connector of somebody else must not see the token with which this host speaks to the mesh.
        channel = chassis.caller.stranger(settings.upstream, upstream_subject(settings))
        backend = await UpstreamBackend.open(channel, settings.connector, _ledger(settings, control))
        return backend, [], [channel.close]

    def _local(
        self, settings: HostSettings, resolver: Resolver, control: ControlPlane, budgets: Budgets
    ) -> tuple[Backend, list[Callable[[], Awaitable[None]]], list[Callable[[], Awaitable[None]]]]:
        from isthmus.host.local import LocalBackend, load_connector

        found = self._connector or load_connector(settings.connector)
        backend = LocalBackend(
            found,
            idle_seconds=settings.session_idle_seconds,
            renew=resolver.renewed,
            ledger=_ledger(settings, control),
            budgets=budgets,
            policy=settings.egress_policy(),
        )

        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                await backend.sessions.sweep()

        return backend, [sweep, budgets.keep], [budgets.release]


def _ledger(settings: HostSettings, control: ControlPlane) -> "partial[LinksLedger]":
    """Where writes to systems without transactions are announced."""
    from isthmus.host.links import LinksLedger

    return partial(
        LinksLedger, control, hold_seconds=settings.intent_seconds, patience=settings.patience_seconds
    )


def upstream_subject(settings: HostSettings) -> str:
    """Say whose certificate a connector in another process shows; empty where it shows none."""
    host = (
        settings.upstream if settings.upstream.startswith("unix:") else settings.upstream.rpartition(":")[0]
    )
    needed = settings.upstream_tls or not (is_near(host) or settings.allow_plaintext)
    return f"upstream:{settings.connector}" if needed else ""


def _fixed_port(listen: str) -> int:
    """The port, where the settings choose one; 1 for a socket in the file system, which has none."""
    if listen.startswith("unix:"):
        return 1
    port = listen.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0


def advertised(settings: HostSettings, port: int) -> str:
    """Return the address that others are told."""
    if settings.advertise_address:
        return settings.advertise_address
    if settings.listen.startswith("unix:"):
        return settings.listen
    host = settings.listen.rpartition(":")[0].strip("[]")
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound
        host = os.environ.get("HOSTNAME") or socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


__all__ = ["Host", "advertised", "upstream_subject"]
