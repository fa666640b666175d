"""Which hosts may be called, and to which of their addresses connections may be made."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from isthmus.resilience.egress import EVERYTHING, Policy, fits, parsed
from isthmus.sdk.failures import PermissionFailure

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Egress(Protocol):
    """Decides about every connection before it is made; a host may bring its own."""

    @property
    def uses_proxies(self) -> bool:
        """Whether a proxy that the environment names is used; it then looks up names itself."""
        ...

    def allow(self, host: str, port: int, *, scheme: str = "") -> None:
        """Returns when the host may be called.

        Raises:
            PermissionFailure: `EGRESS_DENIED`, the same for every refusal.
        """
        ...

    def judged(self, host: str, port: int, addresses: Iterable[str]) -> list[str]:
        """Returns those of a host's addresses to which a connection may be made.

        Raises:
            PermissionFailure: `EGRESS_DENIED`, to none of them.
        """
        ...


class AllowedHosts:
    """Allows what a connector declares, as far as the operator does: `host`, `host:port` or `*.domain`.

    Args:
        patterns: What is declared.
        policy: What the operator opens; everything by default, for connectors run by hand.
        tenant_id: On whose behalf.
    """

    def __init__(self, patterns: Iterable[str], policy: Policy = EVERYTHING, tenant_id: str = "") -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns if pattern)
        self._policy = policy
        self._tenant_id = tenant_id

    @property
    def uses_proxies(self) -> bool:
        """See `Egress.uses_proxies`."""
        return self._policy.uses_proxies

    def allow(self, host: str, port: int, *, scheme: str = "") -> None:
        """Returns for a declared host; see `Egress.allow`."""
        name = host.lower().rstrip(".")
        declared = any(fits(pattern, name, port) for pattern in self._patterns)
        if not declared or not self._policy.permits(self._tenant_id, name, port, scheme=scheme):
            raise _denied(name)

    def judged(self, host: str, port: int, addresses: Iterable[str]) -> list[str]:
        """Returns addresses that the operator opens; see `Egress.judged`."""
        name = host.lower().rstrip(".")
        found = [text for text in addresses if self._admits(name, text, port)]
        if not found:
            raise _denied(name)
        return found

    def _admits(self, name: str, text: str, port: int) -> bool:
        address = parsed(text)
        return address is not None and self._policy.admits(self._tenant_id, name, address, port)


class OpenEgress:
    """Allows everything; for connectors run by hand."""

    uses_proxies = True

    def allow(self, host: str, port: int, *, scheme: str = "") -> None:
        """Returns always."""

    def judged(self, host: str, port: int, addresses: Iterable[str]) -> list[str]:  # noqa: ARG002
        """Returns all of them."""
        return list(addresses)


def hosts_of(patterns: Iterable[str], configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """Fills the parts in braces of declared hosts from a configuration.

    `{url}` becomes the host and port of the address in field `url`.
    """
    return tuple(_filled(pattern, configuration) for pattern in patterns)


async def resolved(egress: Egress, host: str, port: int) -> list[str]:
    """Return the addresses of a host to which connections may be made.

    Args:
        egress: Decides.
        host: A name, or an address.
        port: Which port.

    Raises:
        PermissionFailure: `EGRESS_DENIED`.
        OSError: The name is unknown.
    """
    egress.allow(host, port)
    if parsed(host) is not None:
        return egress.judged(host, port, [host.strip("[]")])
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return egress.judged(host, port, dict.fromkeys(str(address[0]) for *_, address in found))


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


def _denied(name: str) -> PermissionFailure:
    message = (
        f"{name} may not be called: only hosts that the configuration names are open, and of networks that"
        " are not public only those that the operator opens (ISTHMUS_EGRESS_ALLOW)."
    )
    return PermissionFailure("EGRESS_DENIED", message, metadata={"host": name})


__all__ = ["AllowedHosts", "Egress", "OpenEgress", "hosts_of", "resolved"]
