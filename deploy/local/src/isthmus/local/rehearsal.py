"""Does once, in the launcher, what every service does when it starts, so that the services share its memory.

What a library builds at its first use (caches, prepared code, tables of a cryptographic library) is memory
of each process's own when it is built after the fork, and shared by all when it is built before.
Nothing stays open: the connections and the event loop are closed again before anything is forked.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from isthmus.kit.certificates import Certificates
from isthmus.kit.db import Database
from isthmus.kit.tokens import Signer, TrustStore, new_key
from isthmus.local.backends.vault_pki import DOMAIN
from sqlalchemy import text

__all__ = ["rehearse"]

# The interpreter adapts a function to what it is called with after some calls, by writing into its code.
_TIMES = 16


def rehearse(service: str, database_url: str, certificate: tuple[Path, Path] | None = None) -> None:
    """Open transactions, sign and verify tokens, and read a certificate, the way a service does.

    Args:
        service: Whose database it is.
        database_url: PostgreSQL as that service; empty without a database.
        certificate: Files with a certificate and its key, and with its authority; None without TLS.
    """
    _rehearse_tokens()
    if certificate is not None:
        own, authority = certificate
        Certificates(own, own, authority, domain=DOMAIN)
    if database_url:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_rehearse_transactions(service, database_url))
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


async def _rehearse_transactions(service: str, url: str) -> None:
    database = Database(url, service, pool=1)
    try:
        for _ in range(_TIMES):
            async with database.system() as connection:
                (await connection.execute(text("SELECT 1 AS one"))).scalar_one()
    finally:
        await database.close()
