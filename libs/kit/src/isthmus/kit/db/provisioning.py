"""Creates schema and roles of services: an owner, a run-time role that owns nothing, a system role."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from isthmus.resilience.faults import FixRequest

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ONE_AT_A_TIME = 0x15748005  # key of the advisory lock under which roles are made


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """Where one service finds its schema.

    Attributes:
        url: For the run-time role.
        owner_url: For migrations.
    """

    url: str = field(repr=False)
    owner_url: str = field(repr=False)


def service_databases(admin_url: str, secrets: Mapping[str, str]) -> dict[str, ServiceDatabase]:
    """Return the URLs that `provision` makes valid, without touching the database."""
    return {
        service: ServiceDatabase(
            url=_url(admin_url, f"isthmus_{service}", _password(secret, "runtime")),
            owner_url=_url(admin_url, f"isthmus_{service}_owner", _password(secret, "owner")),
        )
        for service, secret in secrets.items()
    }


async def provision(admin_url: str, secrets: Mapping[str, str]) -> dict[str, ServiceDatabase]:
    """Create schema and roles for many services on one connection; repeating it changes nothing.

    Args:
        admin_url: PostgreSQL as a superuser, `postgresql://…/database`.
        secrets: One secret by service name, from which the passwords of its roles are derived.

    Returns:
        The URLs each service needs, by service name.
    """
    import psycopg

    for service in secrets:
        if not _NAME.fullmatch(service):
            raise FixRequest(
                "FIELD_INVALID", f"Name the service {service!r} in small letters.", path="service"
            )
    async with await psycopg.AsyncConnection.connect(admin_url, connect_timeout=5) as connection:
        await connection.execute(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
        found = await connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'isthmus\\_%'")
        roles = {name for (name,) in await found.fetchall()}
        script = [_script(service, secret, roles) for service, secret in secrets.items()]
        await connection.execute("\n".join(["REVOKE CREATE ON SCHEMA public FROM PUBLIC;", *script]).encode())
    return service_databases(admin_url, secrets)


def _script(service: str, secret: str, roles: set[str]) -> str:
    owner, runtime, system = f"isthmus_{service}_owner", f"isthmus_{service}", f"isthmus_{service}_system"
    plain = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    logins = ((owner, _password(secret, "owner")), (runtime, _password(secret, "runtime")))
    create = [f"CREATE ROLE {name};" for name in (owner, runtime, system) if name not in roles]
    return "\n".join(
        [
            *create,
            *(f"ALTER ROLE {name} LOGIN {plain} PASSWORD '{password}';" for name, password in logins),
            f"ALTER ROLE {system} NOLOGIN {plain};",
            # Without inheritance the run-time role sees all tenants only where it says SET ROLE.
            f"GRANT {system} TO {runtime} WITH INHERIT FALSE, SET TRUE;",
            f"GRANT {system} TO {owner} WITH INHERIT FALSE, SET TRUE;",
            f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner};",
            f"GRANT USAGE ON SCHEMA {service} TO {runtime}, {system};",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {service}"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {runtime}, {system};",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {service}"
            f" GRANT USAGE ON SEQUENCES TO {runtime}, {system};",
        ]
    )


def _password(secret: str, use: str) -> str:
    return hmac.new(secret.encode(), f"isthmus database {use}".encode(), hashlib.sha256).hexdigest()


def _url(admin_url: str, user: str, password: str) -> str:
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{host}"))


__all__ = ["ServiceDatabase", "provision", "service_databases"]
