"""The back ends as tests see them: addresses, whether they run as processes or in containers."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

__all__ = ["NatsServer", "PostgresServer", "VaultServer"]

_COUNTER = itertools.count(1)


def _nothing() -> None:
    """Leave servers alone that are not ours to kill."""


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL.

    Attributes:
        admin_url: Superuser on the database `postgres`.
        kill: Ends the server as a crash would.
        start: Brings it back on the same port with the same data.
    """

    admin_url: str = field(repr=False)
    kill: Callable[[], None] = field(default=_nothing, repr=False)
    start: Callable[[], None] = field(default=_nothing, repr=False)

    def database(self, name: str = "") -> str:
        """Create an empty database and return the superuser's URL of it."""
        import psycopg
        from psycopg import sql

        name = name or f"test_{os.getpid()}_{next(_COUNTER)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class NatsServer:
    """A running NATS with JetStream.

    Attributes:
        url: With user and password.
        monitor_url: Where `/varz` and `/jsz` are.
        kill: Ends the server as a crash would.
        start: Brings it back on the same port with the same streams.
    """

    url: str = field(repr=False)
    monitor_url: str
    kill: Callable[[], None] = field(default=_nothing, repr=False)
    start: Callable[[], None] = field(default=_nothing, repr=False)


@dataclass(frozen=True)
class VaultServer:
    """A running OpenBao with a versioned key-value store at `secret/`.

    Attributes:
        address: For `VAULT_ADDR`.
        token_file: Holds the services' token.
        audit_log: What the server writes about every request.
        kill: Ends the server as a crash would.
        start: Brings it back on the same port with the same secrets.
    """

    address: str
    token_file: Path
    audit_log: Path
    kill: Callable[[], None] = field(default=_nothing, repr=False)
    start: Callable[[], None] = field(default=_nothing, repr=False)

    @property
    def token(self) -> str:
        """The services' token."""
        return self.token_file.read_text().strip()
