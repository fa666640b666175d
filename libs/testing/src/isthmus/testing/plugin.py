"""Fixtures that pytest finds by itself once this package is installed.

Every worker of a distributed run has servers of its own; a server starts with the first test that wants it.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Tests start servers while gRPC is at work; its own handlers of fork crash some of those children.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Sandboxes of vendors run on this machine.
os.environ.setdefault("ISTHMUS_EGRESS_ALLOW", "127.0.0.0/8,::1")

# How long an example takes says nothing where dozens of servers share the machine.
with suppress(ImportError):
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

if TYPE_CHECKING:
    from isthmus.testing.mesh import Mesh, RunningService
    from isthmus.testing.servers import NatsServer, PostgresServer, VaultServer

    OpenMesh = Callable[..., AbstractAsyncContextManager[Mesh]]
    Running = Callable[..., AbstractAsyncContextManager[RunningService]]

# Servers are started as other users, which takes a real fork; gRPC's fork handlers would break the
# child while the test's own services run.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

__all__ = [
    "backend_home",
    "database",
    "free_port",
    "nats_server",
    "nats_url",
    "open_mesh",
    "postgres",
    "running",
    "vault",
]


def pytest_configure() -> None:
    """Let made-up inputs take the time that they take on a machine with other things to do."""
    try:
        from hypothesis import HealthCheck, settings
    except ImportError:
        return  # whoever tests a connector may do without
    settings.register_profile("isthmus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("isthmus")


def pytest_runtest_setup() -> None:
    """Have errors of calls looked at as soon as there can be any."""
    from isthmus.testing.canaries import watch_errors

    watch_errors()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test during which a planted secret was shown, by itself or by what it tries.

    Be it printed, logged, said by a command, or sent with an error.
    """
    from isthmus.testing.canaries import PLANTED, found, noted

    report = yield
    shown = [name for name, text in report.sections if found(text.encode(), {"planted": PLANTED})]
    shown += noted()
    if shown and report.passed:
        report.outcome = "failed"
        report.longrepr = f"a secret that a test has planted can be read in: {', '.join(shown)}"
    return report


@pytest.fixture(scope="session")
def backend_home() -> Iterator[Path]:
    """Folder of this worker's servers; outside pytest's own, which PostgreSQL's user could not enter.

    In the end nothing that the servers have logged or kept in files of their own shows a planted secret.
    """
    from isthmus.testing.canaries import OWN_PLACES, PLANTED, found_in_files

    home = Path(tempfile.mkdtemp(prefix="isthmus-test-"))
    yield home
    kept = [home / name for name in ("logs", "nats", "openbao")]
    shown = [path for folder in kept for path in found_in_files(folder, {"planted": PLANTED})]
    shutil.rmtree(home, ignore_errors=True)
    assert [path for path in shown if not {*Path(path).parts} & OWN_PLACES] == []


@pytest.fixture(scope="session")
def postgres(backend_home: Path) -> "Iterator[PostgresServer]":
    """Run a PostgreSQL for this worker; make databases in it with `postgres.database()`."""
    from isthmus.testing import containers
    from isthmus.testing.servers import PostgresServer

    if containers.wanted():
        with containers.postgres_container() as server:
            yield server
        return
    from isthmus.local.backends import EmbeddedPostgres

    embedded = EmbeddedPostgres(backend_home, fast=True)
    embedded.start()
    yield PostgresServer(embedded.admin_url, embedded.kill, embedded.start)
    embedded.kill()


@pytest.fixture
def database(postgres: "PostgresServer") -> str:
    """Create an empty database for one test; the superuser's URL of it."""
    return postgres.database()


@pytest.fixture(scope="session")
def nats_server(backend_home: Path) -> "Iterator[NatsServer]":
    """Run a NATS with JetStream for this worker."""
    from isthmus.testing import containers
    from isthmus.testing.servers import NatsServer

    if containers.wanted():
        with containers.nats_container() as server:
            yield server
        return
    from isthmus.local.backends import EmbeddedNats

    embedded = EmbeddedNats(backend_home, fast=True)
    embedded.start()
    yield NatsServer(embedded.url, embedded.monitor_url, embedded.kill, embedded.start)
    embedded.kill()


@pytest.fixture(scope="session")
def nats_url(nats_server: "NatsServer") -> str:
    """Address of this worker's NATS, with user and password."""
    return nats_server.url


@pytest.fixture(scope="session")
def vault(backend_home: Path) -> "Iterator[VaultServer]":
    """Run an OpenBao for this worker, unsealed, with a role for each service that keeps secrets."""
    from isthmus.local.backends import EmbeddedOpenBao
    from isthmus.testing.servers import VaultServer

    embedded = EmbeddedOpenBao(backend_home)
    embedded.start()
    yield VaultServer(embedded.address, embedded.authority, embedded.folder, embedded.kill, embedded.start)
    embedded.kill()


@pytest.fixture
def free_port() -> Iterator[int]:
    """Choose a port of the loopback address on which nobody listens but who is told of it."""
    from isthmus.local.backends.ports import free_port, hold

    port = free_port()
    with hold(port):
        yield port


@pytest.fixture(scope="session")
def open_mesh(request: pytest.FixtureRequest) -> "OpenMesh":
    """Open meshes on this worker's servers.

    async with open_mesh() as mesh:
        registry = await mesh.start("registry")
    """
    from functools import partial

    from isthmus.testing import mesh
    from isthmus.testing.canaries import watch_errors

    watch_errors()
    servers = mesh.Backends(
        lambda: request.getfixturevalue("postgres"),
        lambda: request.getfixturevalue("nats_server"),
        lambda: request.getfixturevalue("vault"),
    )
    return partial(mesh.open_mesh, servers)


@pytest.fixture(scope="session")
def running(open_mesh: "OpenMesh") -> "Running":
    """Run one service in a mesh of its own; `peers` are fakes by name.

    async with running("registry") as registry:
        stub = RegistryServiceStub(registry.channel(tenant="tnt_x"))
    """

    @asynccontextmanager
    async def run(name: str, *, peers: Any = None, **options: Any) -> "AsyncIterator[RunningService]":
        async with open_mesh(peers=peers) as mesh:
            yield await mesh.start(name, **options)

    return run
