"""How a connection proves who the server is, and what a server that does not gets to see."""

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
from isthmus.connectors.postgres.settings import Settings

_PROVEN = frozenset({"verify-ca", "verify-full"})
_LOCAL, _ELSEWHERE = "prefer", "verify-full"
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def security(settings: Settings, addresses: Sequence[str]) -> dict[str, Any]:
    """Give what libpq is told of TLS.

    What is not on this machine has to show a certificate for its name, unless the settings say otherwise;
    and a password goes in plain text only to a server that has.

    Args:
        settings: Of the instance.
        addresses: What is connected to.
    """
    is_local = all(ip_address(one).is_loopback for one in addresses)
    mode = settings.sslmode or (_LOCAL if is_local else _ELSEWHERE)
    told: dict[str, Any] = {"sslmode": mode}
    if mode in _PROVEN:
        told["sslrootcert"] = _file_of(settings.authorities) if settings.authorities else certifi.where()
    elif not is_local:
        told["require_auth"] = "!password"
    return told


@lru_cache(maxsize=100)
def _file_of(authorities: str) -> str:
    """Keep certificates where libpq, which reads files only, finds them until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="isthmus-authorities-")
    _FOLDERS.append(folder)
    file = Path(folder.name) / "authorities.pem"
    file.write_text(authorities)
    return str(file)


__all__ = ["security"]
