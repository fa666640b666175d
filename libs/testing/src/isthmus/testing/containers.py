"""PostgreSQL and NATS in containers, to test against other versions than the bundled ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.testing.servers import NatsServer, PostgresServer

__all__ = ["nats_container", "postgres_container", "wanted"]


def wanted() -> bool:
    """Tell whether `ISTHMUS_TEST_BACKENDS=containers` is set and Docker answers."""
    if os.environ.get("ISTHMUS_TEST_BACKENDS") != "containers":
        return False
    from testcontainers.core.docker_client import DockerClient

    try:
        return bool(DockerClient().client.ping())
    except Exception:
        return False


@contextmanager
def postgres_container() -> Iterator[PostgresServer]:
    """Run PostgreSQL in a container; `ISTHMUS_TEST_POSTGRES_IMAGE` chooses another version."""
    from testcontainers.community.postgres import PostgresContainer

    image = os.environ.get("ISTHMUS_TEST_POSTGRES_IMAGE", "postgres:18-alpine")
    with PostgresContainer(image, dbname="postgres", driver=None) as server:
        yield PostgresServer(server.get_connection_url())


@contextmanager
def nats_container() -> Iterator[NatsServer]:
    """Run NATS in a container; `ISTHMUS_TEST_NATS_IMAGE` chooses another version."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    image = os.environ.get("ISTHMUS_TEST_NATS_IMAGE", "nats:2-alpine")
    server = DockerContainer(image).with_command("-js -m 8222").with_exposed_ports(4222, 8222)
    with server.waiting_for(HttpWaitStrategy(8222, "/healthz")):
        host = server.get_container_host_ip()
        monitor = f"http://{host}:{server.get_exposed_port(8222)}"
        yield NatsServer(f"nats://{host}:{server.get_exposed_port(4222)}", monitor)
