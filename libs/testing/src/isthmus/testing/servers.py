"""The back ends as tests see them: addresses, whether they run as processes or in containers."""

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import ssl

    import hvac
    from isthmus.kit.vault import Vault
    from isthmus.local.backends.vault_roles import RoleFiles
    from isthmus.local.issuing import VaultPlace

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
    """A running OpenBao with a role for each service that keeps secrets.

    Attributes:
        address: For `VAULT_ADDR`.
        ca_file: Authorities that vouch for it.
        folder: Where the server keeps its files.
        kill: Ends the server as a crash would.
        start: Brings it back on the same port with the same secrets.
    """

    address: str
    ca_file: Path
    folder: Path
    kill: Callable[[], None] = field(default=_nothing, repr=False)
    start: Callable[[], None] = field(default=_nothing, repr=False)

    @property
    def audit_log(self) -> Path:
        """What the server writes about every request."""
        return self.folder / "audit.log"

    @property
    def root_token(self) -> str:
        """The token that may do everything; no process of the mesh has it."""
        return str(json.loads((self.folder / "root.json").read_text())["root_token"])

    def role_files(self, service: str) -> "RoleFiles":
        """Return what a service logs in with."""
        from isthmus.local.backends.vault_roles import RoleFiles

        return RoleFiles.within(self.folder / "roles", service)

    def open(self, service: str) -> "Vault":
        """Return the vault as a service reaches it."""
        from isthmus.kit.vault import AppRole
        from isthmus.kit.vault.openbao import OpenBaoVault

        files = self.role_files(service)
        login = AppRole(files.role_id, files.secret_id)
        return OpenBaoVault(self.address, login, service=service, ca_file=self.ca_file)

    @property
    def trust(self) -> "ssl.SSLContext":
        """What checks the server's certificate, for clients of any kind."""
        from isthmus.kit.authorities import trusting

        return trusting(self.ca_file)

    @property
    def place(self) -> "VaultPlace":
        """How the launcher gets in, who has certificates issued."""
        from isthmus.local.issuing import VaultPlace
        from isthmus.local.names import LAUNCHER

        return VaultPlace(self.address, self.role_files(LAUNCHER), self.ca_file)

    def root(self) -> "hvac.Client":
        """Return the vault as somebody who may do everything."""
        import hvac

        return hvac.Client(url=self.address, token=self.root_token, verify=str(self.ca_file))
