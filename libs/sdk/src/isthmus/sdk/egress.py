"""Which hosts a connector may call."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from isthmus.sdk.failures import PermissionFailure

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Egress(Protocol):
    """Decides about every connection before it is made; a host may bring its own."""

    def allow(self, host: str, port: int) -> None:
        """Returns when the connection may be made.

        Raises:
            PermissionFailure: `EGRESS_DENIED`, the same for every refusal.
        """
        ...


class AllowedHosts:
    """Allows what a connector declares: `host`, `host:port` or `*.domain`."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns if pattern)

    def allow(self, host: str, port: int) -> None:
        """Returns for a declared host; see `Egress.allow`."""
        name = host.lower().rstrip(".")
        if not any(_fits(pattern, name, port) for pattern in self._patterns):
            message = f"The connector may not call {name}; only hosts that its configuration names are open."
            raise PermissionFailure("EGRESS_DENIED", message, metadata={"host": name})


class OpenEgress:
    """Allows everything; for connectors run by hand."""

    def allow(self, host: str, port: int) -> None:
        """Returns always."""


def hosts_of(patterns: Iterable[str], configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """Fills the parts in braces of declared hosts from a configuration.

    `{url}` becomes the host and port of the address in field `url`.
    """
    return tuple(_filled(pattern, configuration) for pattern in patterns)


def _filled(pattern: str, configuration: Mapping[str, Any]) -> str:
    if not (pattern.startswith("{") and pattern.endswith("}")):
        return pattern
    value = configuration.get(pattern[1:-1])
    if value is None:
        return ""
    text = str(value)
    parts = urlsplit(text if "//" in text else f"//{text}")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{port}" if port else host


def _fits(pattern: str, host: str, port: int) -> bool:
    parts = urlsplit(f"//{pattern}")
    if parts.port is not None and parts.port != port:
        return False
    wanted = parts.hostname or ""
    if wanted.startswith("*."):
        return host.endswith(wanted[1:])
    return host == wanted
