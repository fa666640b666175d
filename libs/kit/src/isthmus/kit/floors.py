"""The least versions of the servers below a mesh, which every process keeps to whoever has started it."""

import re

from isthmus.resilience.faults import Precondition

POSTGRESQL, NATS, OPENBAO = "PostgreSQL", "NATS", "OpenBao"
FLOORS = {POSTGRESQL: (16, 0, 0), NATS: (2, 12, 6), OPENBAO: (2, 5, 4)}
"""Older ones have holes that are known, or lack what the mesh relies on."""
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def parsed(text: str) -> tuple[int, ...]:
    """Read the first version out of a text; what has none is older than everything."""
    found = _VERSION.search(text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def shown(version: tuple[int, ...]) -> str:
    """Write a version as people do."""
    return ".".join(map(str, version))


def safe(server: str, version: tuple[int, ...]) -> bool:
    """Tell whether a version is not below the floor."""
    return version >= FLOORS[server]


def of_postgres(number: int) -> tuple[int, ...]:
    """Read PostgreSQL's `server_version_num`, 160004 for 16.4."""
    return (number // 10_000, number % 10_000, 0)


def of_vault(health: object) -> tuple[int, ...] | None:
    """Read an answer of `sys/health`; None for what is none, and for a Vault of another maker.

    That one counts its versions otherwise, and is known by what it adds.
    """
    told = health.get("version") if isinstance(health, dict) and "enterprise" not in health else None
    return parsed(told) if isinstance(told, str) else None


def require(server: str, version: tuple[int, ...]) -> None:
    """Refuse to work with a server that is too old.

    Raises:
        Precondition: `SERVER_TOO_OLD`.
    """
    if not safe(server, version):
        message = (
            f"{server} {shown(version)} has holes that are known, or lacks what is needed: upgrade it to "
            f"{shown(FLOORS[server])} or newer."
        )
        raise Precondition("SERVER_TOO_OLD", message)


__all__ = [
    "FLOORS",
    "NATS",
    "OPENBAO",
    "POSTGRESQL",
    "of_postgres",
    "of_vault",
    "parsed",
    "require",
    "safe",
    "shown",
]
