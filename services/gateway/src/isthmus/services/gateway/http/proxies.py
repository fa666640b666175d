"""Where a request really comes from, when proxies of the house stand in front of the gateway."""

import ipaddress
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

FORWARDED, X_FORWARDED_FOR = "forwarded", "x-forwarded-for"
_MOST_HOPS = 20

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """Puts the client in the place of the proxies that stand before it.

    A header says what anybody wrote into it, and each proxy adds at its right end whom it saw. So it is read
    from there, and only as far as proxies are trusted: the first address that is none of them is the client.
    Only one header is read, because a proxy that sets one of them passes the other on as it came.

    Args:
        app: What answers requests.
        networks: Those of the proxies; empty means that there are none, and no header is read.
        header: Which header they set.
    """

    def __init__(self, app: ASGIApp, networks: Iterable[Network], header: str = X_FORWARDED_FOR) -> None:
        self._app = app
        self._networks = tuple(networks)
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as coming from its client."""
        if self._networks and scope["type"] == "http" and scope.get("client"):
            host, port = scope["client"]
            lines = [
                text.decode("latin-1") for name, text in scope["headers"] if name.decode() == self._header
            ]
            client = self.client(host, ",".join(lines))
            scope = {**scope, "client": (client, port if client == host else 0)}
        await self._app(scope, receive, send)

    def client(self, peer: str, line: str) -> str:
        """Return the address of the client; empty where a proxy did not tell it in a way that can be read.

        Args:
            peer: Who has connected.
            line: The header, its lines joined by commas; empty where there is none.
        """
        current = _parsed(peer)
        hops = [text for text in line.split(",") if text.strip()]
        for hop in reversed(hops[-_MOST_HOPS:]):
            if not self._is_trusted(current):
                break
            current = _parsed(_forwarded(hop) if self._header == FORWARDED else hop.strip())
            if current is None:
                return ""
        return str(current) if current is not None else peer

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(
            address in network for network in self._networks if network.version == address.version
        )


def networks_of(text: str) -> tuple[Network, ...]:
    """Read networks divided by commas.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def _forwarded(hop: str) -> str:
    """Return what one element of `Forwarded` (RFC 7239) says of whom it was sent for."""
    for pair in hop.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip().strip('"')
    return ""


def _parsed(text: str) -> Address | None:
    """Read an address, in brackets and with a port as well; one of IPv4 inside IPv6 is that of IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


__all__ = ["FORWARDED", "X_FORWARDED_FOR", "TrustedProxies", "networks_of"]
