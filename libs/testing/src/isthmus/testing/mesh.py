"""Runs services of the mesh inside the test's own process, wired to one another and to real back ends."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from isthmus.identity.v1 import identity_pb2_grpc
from isthmus.kit.channel import CHANNEL_OPTIONS, MannerlyChannel
from isthmus.kit.settings import ServiceSettings
from isthmus.kit.tickets import SIGN, TICKET_HEADER, Ticket, Tickets
from isthmus.kit.wiring import Wire
from isthmus.local.backends.ports import HOST, free_port, hold
from isthmus.local.names import SERVICES, WITH_VAULT, WITHOUT_DATABASE
from isthmus.local.programs import ServiceCode, service_code
from isthmus.testing.identity import FakeIdentity, KeyRing
from isthmus.testing.servers import NatsServer, PostgresServer, VaultServer
from pydantic import create_model

__all__ = ["Backends", "Mesh", "RunningService", "open_mesh"]

_PASSWORD = "test"  # noqa: S105 -- roles live in a server that ends with the test run
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Backends:
    """Gives the servers that a mesh needs; a server starts when it is first asked for."""

    postgres: Callable[[], PostgresServer]
    nats: Callable[[], NatsServer]
    vault: Callable[[], VaultServer]


@dataclass
class RunningService:
    """A service under test.

    Attributes:
        name: The service's name.
        address: Where it listens, `host:port`.
        settings: What it was started with.
    """

    name: str
    address: str
    settings: ServiceSettings
    _mesh: "Mesh" = field(repr=False)
    _task: asyncio.Task[None] = field(repr=False)

    def channel(
        self,
        tenant: str = "",
        permissions: Iterable[str] = ("*",),
        *,
        subject: str = "",
        mesh: bool = False,
        api_key: str = "",
        anonymous: bool = False,
        work_on: str = "",
    ) -> grpc.aio.Channel:
        """Open a channel with an identity made for it; the mesh closes it at the end.

        Args:
            tenant: In whose name calls are made.
            permissions: Patterns of what the caller may do.
            subject: Who calls; a name is made up when absent.
            mesh: Call as a process of the mesh instead of as a service account of the tenant.
            api_key: Call with this key instead of a made one.
            anonymous: Call without any identity.
            work_on: The instance for which a host has a ticket.
        """
        identity = self._mesh.metadata(tenant, permissions, subject=subject, mesh=mesh, api_key=api_key)
        if work_on:
            identity = self._mesh.with_ticket(identity, Ticket(tenant, work_on, subject, subject))
        return self._mesh.channel(self.address, (lambda: []) if anonymous else identity)

    async def stop(self) -> None:
        """Drain and stop, as SIGTERM would."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Mesh:
    """Services that know one another's addresses, one database, one trust file.

    Every service has its port from the beginning, so they may be started in any order, and a
    fake may stand in for any of them.
    """

    def __init__(self, backends: Backends, folder: Path) -> None:
        self._backends = backends
        self._stack = AsyncExitStack()
        self._ports = {name: self._port() for name in SERVICES}
        self._names: set[str] = set()
        self._fakes: set[str] = set()
        self._database = ""
        self.keys = KeyRing(folder)
        self.identity = FakeIdentity()  # type: ignore[abstract] # what it leaves out answers UNIMPLEMENTED

    def address(self, name: str) -> str:
        """Tell where a service listens, or will."""
        return f"{HOST}:{self._ports[name]}"

    async def start(
        self,
        name: str,
        *,
        wire: Wire | None = None,
        settings: type[ServiceSettings] | None = None,
        replica: bool = False,
        with_database: bool | None = None,
        with_vault: bool | None = None,
        **options: Any,
    ) -> RunningService:
        """Run a service and wait until it answers.

        Args:
            name: The service's name.
            wire: Puts it together; that of `isthmus.services.<name>` when absent.
            settings: Its settings class; that of `isthmus.services.<name>` when absent.
            replica: Run it on a port of its own, beside the one that others know.
            with_database: Give it a schema; by default everybody but the gateway gets one.
            with_vault: Give it the vault; by default only those get it that keep secrets.
            options: Settings that differ from the defaults.
        """
        code = ServiceCode(name, wire, settings or ServiceSettings) if wire else service_code(name)
        if name != "identity" and "identity" not in self._names:
            await self.fake(
                "identity", identity_pb2_grpc.add_IdentityServiceServicer_to_server, self.identity
            )
        values = self._values(name, with_vault if with_vault is not None else name in WITH_VAULT)
        if with_database if with_database is not None else name not in WITHOUT_DATABASE:
            values |= await self._place(name)
        port = self._port() if replica else self._ports[name]
        chosen = self._settings_class(code.settings)(**{**values, "listen": f"{HOST}:{port}", **options})
        task = await _started(code, chosen)
        service = RunningService(name, f"{HOST}:{port}", chosen, self, task)
        self._names.add(name)
        self._stack.push_async_callback(service.stop)
        return service

    async def fake(self, name: str, add: Callable[[Any, Any], None], servicer: object) -> None:
        """Let a servicer of the test stand in for a service; nobody checks identities there."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add(servicer, server)
        server.add_insecure_port(self.address(name))
        await server.start()
        self._names.add(name)
        self._fakes.add(name)
        self._stack.push_async_callback(server.stop, None)

    def metadata(
        self, tenant: str, permissions: Iterable[str], *, subject: str, mesh: bool, api_key: str
    ) -> Callable[[], list[tuple[str, str]]]:
        """Make an identity: a key of the fake identity service, or a mesh caller where the real one runs."""
        if not api_key and not mesh and tenant and "identity" in self._fakes:
            api_key = self.identity.api_key(tenant, permissions, subject or "service_account:svc_test")
        if api_key:
            return lambda: [("authorization", f"Bearer {api_key}")]
        signer = self.keys.signer(subject or "service:test", permissions)
        place = [("isthmus-tenant", tenant)] if tenant else []
        return lambda: [("authorization", f"Bearer {signer.token()}"), *place]

    def with_ticket(
        self, identity: Callable[[], list[tuple[str, str]]], ticket: Ticket
    ) -> Callable[[], list[tuple[str, str]]]:
        """Add to an identity what scheduling gives a host for its work."""
        tickets = Tickets(self.keys.key_file("service:scheduling", [SIGN]))
        return lambda: [*identity(), (TICKET_HEADER, tickets.text(ticket))]

    def channel(self, address: str, metadata: Callable[[], list[tuple[str, str]]]) -> grpc.aio.Channel:
        """Open a channel whose calls carry the metadata."""
        plain = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stack.push_async_callback(plain.close)
        return MannerlyChannel(plain, metadata)

    def environment(self, subject: str, permissions: Iterable[str] = ("*",)) -> dict[str, str]:
        """Tell a process outside the test, a connector host for example, what it needs to take part."""
        peers = {f"ISTHMUS_{name.upper()}_ADDRESS": self.address(name) for name in SERVICES}
        return {
            **peers,
            "ISTHMUS_NATS_URL": self._backends.nats().url,
            "ISTHMUS_TRUST_FILE": str(self.keys.trust_file),
            "ISTHMUS_SERVICE_KEY_FILE": str(self.keys.key_file(subject, permissions)),
        }

    def database_url(self) -> str:
        """Give the superuser's URL of this mesh's database."""
        if not self._database:
            self._database = self._backends.postgres().database()
        return self._database

    def _port(self) -> int:
        """Choose a port that no other test run gets, also before anybody listens on it."""
        port = free_port()
        self._stack.callback(hold(port).close)
        return port

    async def _place(self, name: str) -> dict[str, Any]:
        from isthmus.kit.db import provision

        place = (await provision(self.database_url(), {name: _PASSWORD}))[name]
        return {"database_url": place.url, "database_owner_url": place.owner_url}

    def _values(self, name: str, with_vault: bool) -> dict[str, Any]:
        vault = self._backends.vault() if with_vault else None
        peers = {f"{peer}_address": self.address(peer) for peer in SERVICES}
        return {
            **peers,
            "nats_url": self._backends.nats().url,
            "vault_addr": vault.address if vault else "",
            "vault_ca_file": vault.ca_file if vault else None,
            "vault_role_id_file": vault.role_files(name).role_id if vault else None,
            "vault_secret_id_file": vault.role_files(name).secret_id if vault else None,
            "trust_file": self.keys.trust_file,
            "service_key_file": self.keys.key_file(f"service:{name}"),
        }

    def _settings_class(self, base: type[ServiceSettings]) -> type[ServiceSettings]:
        """Declare the address of every peer, so that several meshes can live in one process's environment."""
        peers: dict[str, Any] = {f"{peer}_address": (str, "") for peer in SERVICES}
        return create_model(base.__name__, __base__=base, __module__=base.__module__, **peers)

    async def close(self) -> None:
        """Stop everything, last started first."""
        await self._stack.aclose()


async def _started(code: ServiceCode, settings: ServiceSettings) -> asyncio.Task[None]:
    from isthmus.kit.serving import run

    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work = run(settings, code.wire, name=code.name, ready=ready.set_result)
    task = asyncio.create_task(work, name=f"service {code.name}")
    either: list[asyncio.Future[Any]] = [task, ready]
    await asyncio.wait(either, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    if not ready.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError(f"{code.name} was not ready within {_READY_SECONDS:.0f} s")
    return task


@asynccontextmanager
async def open_mesh(
    backends: Backends, *, peers: Mapping[str, tuple[Callable[[Any, Any], None], object]] | None = None
) -> AsyncIterator[Mesh]:
    """Make a mesh with a database and streams of its own; stop everything at the end.

    Args:
        backends: Where the servers come from.
        peers: Fakes by service name: the generated `add_…Servicer_to_server` and a servicer.
    """
    folder = Path(tempfile.mkdtemp(prefix="isthmus-mesh-"))
    await _forget_streams(backends.nats().url)
    mesh = Mesh(backends, folder)
    try:
        for name, (add, servicer) in (peers or {}).items():
            await mesh.fake(name, add, servicer)
        yield mesh
    finally:
        await mesh.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _forget_streams(url: str) -> None:
    """Remove what earlier tests of this worker have published, so that nobody consumes it."""
    import nats

    client = await nats.connect(url)
    try:
        context = client.jetstream()
        for stream in await context.streams_info():
            name = str(stream.config.name)
            # What was deleted sometimes comes back when a stream of the same name is made at once.
            await context.purge_stream(name)
            await context.delete_stream(name)
    finally:
        await client.close()
