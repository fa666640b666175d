"""Which versions the servers outside are, asked before anything is started."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from isthmus.kit.floors import FLOORS, of_vault, parsed, safe, shown
from isthmus.local.options import Options

__all__ = ["FLOORS", "parsed", "safe", "shown", "too_old"]

_SECONDS = 3.0
_LONGEST = 65_536


def too_old(options: Options) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Ask the servers outside which version they are, and give those below their floor with it.

    One that does not answer, or does not tell, is passed over: that it is away is found elsewhere. PostgreSQL
    is not asked, because it tells its version only to who logs in.
    """
    told = {
        "NATS": _nats(options.nats_url) if options.nats_url else None,
        "OpenBao": _vault(options.vault_addr) if options.vault_addr else None,
    }
    for server, version in told.items():
        if version is not None and not safe(server, version):
            yield server, version


def _nats(url: str) -> tuple[int, ...] | None:
    """A server says who it is before anybody has logged in, and before it asks for TLS."""
    parts = urlsplit(url.partition(",")[0])
    with suppress(OSError, ValueError, KeyError, TypeError):
        place = (parts.hostname or "127.0.0.1", parts.port or 4222)
        with socket.create_connection(place, timeout=_SECONDS) as connection:
            line = connection.makefile("rb").readline(_LONGEST)
        return parsed(str(json.loads(line.removeprefix(b"INFO "))["version"]))
    return None


def _vault(address: str) -> tuple[int, ...] | None:
    """OpenBao, and no Vault of another maker."""
    parts = urlsplit(address)
    connection: HTTPConnection
    with suppress(OSError, HTTPException, ValueError, KeyError, TypeError):
        host, port = parts.hostname or "127.0.0.1", parts.port or 8200
        if parts.scheme == "https":
            # Only a version is asked for, and nothing told: whoever logs in checks the certificate.
            context = ssl._create_unverified_context()  # noqa: S323
            connection = HTTPSConnection(host, port, timeout=_SECONDS, context=context)
        else:
            connection = HTTPConnection(host, port, timeout=_SECONDS)
        connection.request("GET", "/v1/sys/health")
        told = json.loads(connection.getresponse().read(_LONGEST))
        connection.close()
        return of_vault(told)
    return None
