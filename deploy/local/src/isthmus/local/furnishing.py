"""What has to be in place before the mesh can be used: a database, a first tenant, known connectors.

Everything here opens connections, so it runs in short-lived children of the launcher, never in it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.local.backends import BackendFailed
from isthmus.local.private import password, write_private

__all__ = ["Introduced", "introduce", "make_database"]

_AUDITOR = "isthmus_auditor"
_CALL_SECONDS = 10.0
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.5


def make_database(admin_url: str, secrets: Mapping[str, str], auditor: Path | None) -> bool:
    """Create database, schemas, roles and tables; repeating it changes nothing.

    Services find their tables in place, so none of them gets its owner's password.

    Args:
        admin_url: A role that may create roles, and the database to use.
        secrets: By service; the passwords of its roles are derived from it.
        auditor: Keeps the password of a role that may look at the server's state and nothing else;
            `None` leaves the role out, as is proper on somebody else's server.

    Raises:
        BackendFailed: the server refuses; the message says what to do.
    """
    import psycopg

    try:
        if auditor is not None:
            _create_database(admin_url)
        asyncio.run(_make_schemas(admin_url, secrets))
        if auditor is not None:
            _create_auditor(admin_url, auditor)
    except psycopg.OperationalError as error:
        message = f"PostgreSQL cannot be used: {_first_line(error)}. Check its address, role and password."
        raise BackendFailed(message) from error
    except psycopg.Error as error:
        message = f"PostgreSQL refuses the set-up: {_first_line(error)}. The role has to be a superuser."
        raise BackendFailed(message) from error
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


async def _make_schemas(admin_url: str, secrets: Mapping[str, str]) -> None:
    from isthmus.kit.db import Database, provision
    from isthmus.kit.db.migrating import migrate
    from isthmus.local.programs import service_code

    for name, place in (await provision(admin_url, secrets)).items():
        folder = service_code(name).settings.model_construct().migrations_folder()
        if folder is not None:
            database = Database(place.url, name, pool=1)
            await migrate(database, place.owner_url, folder)
            await database.close()


def _create_database(url: str) -> None:
    import psycopg
    from psycopg import sql

    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True, connect_timeout=5) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _create_auditor(url: str, path: Path) -> None:
    import psycopg
    from psycopg import sql

    is_new = not path.exists()
    if is_new:
        write_private(path, password())
    word = path.read_text()
    with psycopg.connect(url, connect_timeout=5) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_AUDITOR]).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        role = sql.Identifier(_AUDITOR)
        if is_new or not known:  # whoever uses the role may have given it another password since
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(word)))
        connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))


@dataclass(frozen=True, slots=True)
class Introduced:
    """What came of the first set-up.

    Attributes:
        tenant_id: The first tenant.
        api_key: Its administrator's key when it is new, else empty.
        warnings: Connectors that the registry does not take as they are.
    """

    tenant_id: str
    api_key: str
    warnings: list[str]


def introduce(connectors: Mapping[str, Any], known_tenant: str) -> dict[str, Any]:
    """Create the first tenant with its administrator's key, and make the installed connectors known.

    Args:
        connectors: Connector classes by id.
        known_tenant: Whose key the caller has already; another tenant's administrator gets a new key.

    Returns:
        The fields of `Introduced`.

    Raises:
        BackendFailed: a service refuses or does not answer.
    """
    import grpc

    try:
        return asdict(asyncio.run(_introduce(connectors, known_tenant)))
    except grpc.aio.AioRpcError as error:
        raise BackendFailed(f"{error.code().name}: {error.details()}") from error


async def _introduce(connectors: Mapping[str, Any], known_tenant: str) -> Introduced:
    from isthmus.identity.v1 import identity_pb2, identity_pb2_grpc
    from isthmus.kit.certificates import Certificates
    from isthmus.kit.channel import Caller
    from isthmus.kit.settings import ServiceSettings

    certificates = Certificates.of(ServiceSettings())
    caller = Caller(Path(os.environ["ISTHMUS_SERVICE_KEY_FILE"]), certificates=certificates)
    try:
        identity = identity_pb2_grpc.IdentityServiceStub(
            caller.channel(os.environ["ISTHMUS_IDENTITY_ADDRESS"], "service:identity")
        )
        first, warnings = await asyncio.gather(
            _patiently(lambda: identity.Bootstrap(identity_pb2.BootstrapRequest(), timeout=_CALL_SECONDS)),
            _register(caller.channel(os.environ["ISTHMUS_REGISTRY_ADDRESS"], "service:registry"), connectors),
        )
        tenant_id = first.tenant.tenant_id
        api_key = first.api_key
        if not api_key and known_tenant != tenant_id:
            api_key = await _another_key(identity, tenant_id)
        return Introduced(tenant_id, api_key, warnings)
    finally:
        await caller.close()


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Call again while something behind the service, the vault of a busy machine for example, is slow."""
    import grpc

    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or loop.time() > until:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def _another_key(identity: Any, tenant_id: str) -> str:
    """Make a new key for the administrator, whose first one this home has lost."""
    from uuid import uuid4

    from isthmus.identity.v1 import identity_pb2

    place = [("isthmus-tenant", tenant_id)]
    found = await identity.ListServiceAccounts(identity_pb2.ListServiceAccountsRequest(), metadata=place)
    if not found.service_accounts:
        return ""
    request = identity_pb2.CreateApiKeyRequest(
        service_account_id=found.service_accounts[0].service_account_id,
        name="made by isthmus up",
        request_id=str(uuid4()),
    )
    answer = await identity.CreateApiKey(request, metadata=place)
    return str(answer.api_key)


async def _register(channel: Any, connectors: Mapping[str, Any]) -> list[str]:
    """Make connectors known; one that is not taken as it is must not keep the mesh from starting."""
    if not connectors:
        return []
    import grpc
    from isthmus.host.local import LocalBackend
    from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc

    registry = registry_pb2_grpc.RegistryServiceStub(channel)
    tolerable = {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.INVALID_ARGUMENT}
    warnings: list[str] = []
    for connector in connectors.values():
        request = registry_pb2.RegisterConnectorRequest(spec=LocalBackend(connector).spec)
        try:
            await registry.RegisterConnector(request, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() not in tolerable:
                raise
            warnings.append(str(error.details()))
    return warnings
