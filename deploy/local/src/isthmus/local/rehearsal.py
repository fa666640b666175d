"""Does once, in the launcher, what every service does when it starts, so that the services share its memory.

What a library builds at its first use (caches, prepared code, tables of a cryptographic library) is memory
of each process's own when it is built after the fork, and shared by all when it is built before.
Nothing stays open: the connections and the event loop are closed again before anything is forked.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.kit.bus_client import BusClient, BusLogin, BusServer
from isthmus.kit.bus_users import inbox
from isthmus.kit.certificates import Certificates
from isthmus.kit.db import Database
from isthmus.kit.settings import ServiceSettings
from isthmus.kit.tokens import Signer, TrustStore, new_key
from isthmus.local.backends.ports import HOST
from nats import errors
from sqlalchemy import text

__all__ = ["rehearse"]

# The interpreter adapts a function to what it is called with after some calls, by writing into its code.
_TIMES = 16
_LOGINS = 2
_PATIENCE = 30


def rehearse(service: str, told: Mapping[str, str]) -> None:
    """Do what a service does with its tokens, its certificate, the bus and the database.

    Args:
        service: Its name.
        told: What it finds in its environment. A bus under a host's name is left out, for looking names up
            begins threads.
    """
    fields: dict[str, Any] = {name.removeprefix("ISTHMUS_").lower(): text for name, text in told.items()}
    settings = ServiceSettings(**fields)
    _rehearse_tokens()
    Certificates.of(settings)
    server, login = BusServer.of(settings), BusLogin.of(settings)
    loop = asyncio.new_event_loop()
    try:
        url = settings.database_url.get_secret_value()
        if url:
            loop.run_until_complete(_rehearse_transactions(service, url))
        if login is not None and urlsplit(server.url).hostname == HOST:
            # Nobody waits for what it saves: a machine that is too busy for it starts all the same.
            with suppress(errors.Error, OSError, TimeoutError):
                loop.run_until_complete(_rehearse_bus(server, login))
    finally:
        loop.close()


def _rehearse_tokens() -> None:
    private, entry = new_key("rehearsal", "service:launcher", [])
    with tempfile.TemporaryDirectory(prefix="isthmus-rehearsal-") as folder:
        key, trust = Path(folder) / "key.jwk", Path(folder) / "trust.json"
        key.write_text(json.dumps(private))
        trust.write_text(json.dumps({"keys": [entry]}))
        for _ in range(_TIMES):
            TrustStore(trust).verify(Signer(key).token())


async def _rehearse_bus(server: BusServer, login: BusLogin) -> None:
    """Log in a few times; what checks the server's certificate is kept by the kit, for all processes."""
    for _ in range(_LOGINS):
        client = BusClient(server)
        secure: dict[str, Any] = {"tls": server.context()} if server.is_secure else {}
        await client.connect(
            server.url,
            user=login.user.name,
            password=login.password,
            inbox_prefix=inbox(login.user.name),
            allow_reconnect=False,
            connect_timeout=_PATIENCE,
            **secure,
        )
        await client.close()


async def _rehearse_transactions(service: str, url: str) -> None:
    database = Database(url, service, pool=1)
    try:
        for _ in range(_TIMES):
            async with database.system() as connection:
                (await connection.execute(text("SELECT 1 AS one"))).scalar_one()
    finally:
        await database.close()
