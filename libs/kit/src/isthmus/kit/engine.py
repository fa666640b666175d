"""Puts the parts of a service together in the right order, and takes them apart again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc.aio
from isthmus.kit import logs, plaintext, telemetry
from isthmus.kit.admission import Admission, Bounds
from isthmus.kit.authentication import Authenticator, KeyLookup
from isthmus.kit.certificates import Certificates
from isthmus.kit.channel import LARGEST_MESSAGE, Caller, Patience
from isthmus.kit.dispatch import Dispatcher, Registration
from isthmus.kit.guard import Guard
from isthmus.kit.health import Health
from isthmus.kit.listening import listen
from isthmus.kit.quotas import QuotaBook
from isthmus.kit.settings import ServiceSettings
from isthmus.kit.supervision import Supervisor, when_reachable
from isthmus.kit.tickets import Inspector, Tickets
from isthmus.kit.tokens import TrustStore
from isthmus.kit.wiring import Chassis, Wire, Wiring

if TYPE_CHECKING:
    from isthmus.kit.auditing import Recorder
    from pydantic import SecretStr

_log = logs.logger(__name__)
_STREAM_GRACE = 2.0
_CLOSE_LIMIT = 5.0
# Beyond any fair queue: what gRPC itself refuses before it is read.
_MOST_CALLS = 5000

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    # Without a limit four abusive connections cost hundreds of megabytes.
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
    # Together with round_robin on the client this makes new replicas take their share.
    ("grpc.max_connection_age_ms", 300_000),
)


class Engine:
    """One running service."""

    def __init__(self, settings: ServiceSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._telemetry = telemetry.start(name, settings.otlp_endpoint)
        self._certificates = Certificates.of(settings)
        self._caller = Caller(
            settings.service_key_file,
            self._telemetry.client_interceptors,
            self._certificates,
            Patience(settings.peer_seconds, settings.peer_stream_seconds),
        )
        trust = _trust(settings)
        self._authenticator = Authenticator(trust, self._lookup())
        self._admission = _admission(settings, self._database_wait)
        self._guard = Guard(
            self._authenticator,
            self._admission,
            idle_limit=settings.stream_idle_seconds,
            proof=self._certificates.require if self._certificates else None,
            tickets=Inspector(trust),
        )
        self._dispatcher = Dispatcher(self._guard)
        self._health = Health(name, lambda: self._admission.overload.is_overloaded)
        self._supervisor = Supervisor(self._health.working)
        self._server: grpc.aio.Server | None = None
        self._wiring = Wiring()
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._recorder: Recorder | None = None
        self._chassis = Chassis(settings, name, self._caller, Tickets(settings.service_key_file))

    async def start(self, wire: Wire) -> int:
        """Listen at once, answer STARTING until everything is wired, then serve; return the port."""
        port = await self._listen()
        await self._connect()
        self._wiring = await wire(self._chassis)
        if self._settings.peer_address("identity"):
            self._authenticator.share_calls(QuotaBook(lambda: self._chassis.peer("identity")))
        if self._wiring.key_lookup is not None:
            self._authenticator.use(self._wiring.key_lookup)
        names = self._dispatcher.open(self._wiring.servicers)
        if self._settings.reflection:
            self._dispatcher.add_public([_reflection(names)])
        self._start_work()
        await self._health.ready(names)
        _log.info("ready", port=port, services=names)
        return port

    async def wait(self) -> None:
        """Wait until cancelled; cancelling gRPC's own wait would disturb its shutdown."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Take no new calls, finish those in flight, then close everything; each step has a limit."""
        self._chassis.draining.set()
        await self._health.draining()
        if self._server is not None:
            stopping = asyncio.ensure_future(self._server.stop(self._settings.drain_seconds))
            self._guard.cancel_streams("/grpc.")
            await asyncio.wait({stopping}, timeout=min(_STREAM_GRACE, self._settings.drain_seconds / 2))
            self._guard.cancel_streams()
            await stopping
        await self._supervisor.stop()
        self._admission.overload.stop()
        for close in [*self._wiring.closers, *reversed(self._closers), self._caller.close]:
            await self._close(close)
        await asyncio.to_thread(self._telemetry.shutdown)
        _log.info("stopped")

    async def _close(self, close: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_CLOSE_LIMIT):
                await close()
        except Exception as error:
            _log.error("closing failed", error)

    async def _listen(self) -> int:
        self._server = grpc.aio.server(
            interceptors=self._telemetry.server_interceptors,
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=_MOST_CALLS,
        )
        self._dispatcher.add_public([self._health.registration])
        await self._health.starting()
        self._server.add_generic_rpc_handlers([self._dispatcher])
        port = listen(self._server, self._settings, self._certificates)
        await self._server.start()
        return port

    async def _connect(self) -> None:
        """Open what the settings name, in the order in which it is needed."""
        if self._settings.database_url.get_secret_value():
            await self._open_database()
        if self._settings.nats_url:
            self._open_bus()
        if self._settings.vault_addr or self._settings.secrets:
            self._open_vault()

    def _open_vault(self) -> None:
        from isthmus.kit.vault import open_vault

        vault = open_vault(self._settings, self._name)
        if vault is not None:
            self._closers.append(vault.close)
        self._chassis.secrets = vault

    def _open_bus(self) -> None:
        from isthmus.kit.bus import Bus, BusLogin, BusServer

        login = BusLogin.of(self._settings)
        server = BusServer.of(self._settings)
        plaintext.check_bus(
            server.url, is_secure=server.is_secure, allow_plaintext=self._settings.allow_plaintext
        )
        bus = Bus(server, self._name, login)
        self._closers.append(bus.close)
        self._chassis.connection = bus
        self._supervisor.start("bus", bus.run)
        if login is not None and login.user.keeps:
            self._supervisor.start("bus keeper", bus.keep)

    async def _open_database(self) -> None:
        from isthmus.kit.auditing import Recorder
        from isthmus.kit.db import Database
        from isthmus.kit.db.migrating import migrate
        from isthmus.kit.outbox import Outbox, has_outbox

        settings = self._settings
        database = Database(
            self._database_url(settings.database_url),
            self._name,
            pool=settings.database_pool,
            burst=settings.database_pool_burst,
            statement_timeout=settings.statement_timeout,
        )
        self._closers.append(database.close)
        folder = settings.migrations_folder()
        if folder is not None:
            owner_url = self._database_url(settings.database_owner_url)
            await when_reachable(lambda: migrate(database, owner_url, folder))
        self._chassis.database = database
        self._chassis.events = Outbox(self._name)
        if await has_outbox(database):
            self._recorder = self._guard.recorder = Recorder(database)

    def _database_url(self, url: "SecretStr") -> str:
        text = url.get_secret_value()
        return plaintext.secured_database(text, allow_plaintext=self._settings.allow_plaintext)

    def _start_work(self) -> None:
        certificates = self._certificates
        if certificates is not None:
            pause = self._settings.tls_look_seconds
            self._supervisor.start("certificates", lambda: certificates.follow(self._caller.renew, pause))
        for number, task in enumerate(self._wiring.tasks):
            self._supervisor.start(getattr(task, "__qualname__", f"task-{number}"), task)
        if self._chassis.database is not None:
            self._start_event_work()

    def _start_event_work(self) -> None:
        from isthmus.kit.auditing import Courier
        from isthmus.kit.bus_users import Durable
        from isthmus.kit.janitor import Janitor
        from isthmus.kit.relay import Relay
        from isthmus.kit.subscription import Subscription

        chassis = self._chassis
        self._supervisor.start("janitor", Janitor(chassis.db).run)
        if chassis.connection is not None:
            relay = Relay(chassis.db, chassis.bus, chassis.outbox, rest=chassis.settings.event_rest)
            self._supervisor.start("relay", relay.run)
        if self._recorder is not None and chassis.settings.peer_address("monitoring"):
            courier = Courier(chassis.db, lambda: chassis.peer("monitoring"), self._recorder.added)
            self._supervisor.start("audit", courier.run)
        for consumer in self._wiring.consumers:
            chassis.bus.check_described(Durable(consumer.durable, tuple(consumer.subjects)))
            subscription = Subscription(consumer, chassis.db, chassis.bus)
            self._supervisor.start(f"consumer {consumer.durable}", subscription.run)

    def _database_wait(self) -> float:
        database = self._chassis.database
        return 0.0 if database is None else database.longest_wait

    def _lookup(self) -> KeyLookup | None:
        if not self._settings.peer_address("identity"):
            return None
        from isthmus.kit.identity import IdentityPeer

        return IdentityPeer(lambda: self._chassis.peer("identity"))


def _admission(settings: ServiceSettings, database_wait: Callable[[], float]) -> Admission:
    calls = Bounds(
        places=settings.calls_at_once,
        share=settings.calls_of_tenant,
        waiting=settings.calls_waiting,
        waiting_share=settings.calls_waiting_of_tenant,
        patience=settings.call_patience,
    )
    streams = Bounds(places=settings.streams_at_once, share=settings.streams_of_tenant)
    return Admission(calls, streams, database_wait)


def _trust(settings: ServiceSettings) -> TrustStore | None:
    return TrustStore(settings.trust_file) if settings.trust_file else None


def _reflection(names: list[str]) -> Registration:
    from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

    shown = [*names, "grpc.health.v1.Health", reflection.SERVICE_NAME]
    servicer = reflection.aio.ReflectionServicer(shown)
    return reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer


__all__ = ["SERVER_OPTIONS", "Engine"]
