"""How API keys are used: where from, how often, and what is unusual about it."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from isthmus.resilience.faults import NotAllowed

_BITS = {4: 24, 6: 64}
BURST_FACTOR = 10.0
BURST_RATE = 20.0
MOST_NETWORKS = 32


@dataclass(slots=True)
class Use:
    """What one key was used for between two notes.

    Attributes:
        calls: How many calls, as far as services have told.
        last_time: When it was last used.
        networks: Where from.
    """

    last_time: datetime
    calls: int = 0
    networks: set[str] = field(default_factory=set)


def network_of(address: str) -> str:
    """Return the network of an address in the size that customers get; empty for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, _BITS[found.version]), strict=False))


def check_address(address: str, allowed: Iterable[str]) -> None:
    """Refuse a key outside the networks that it is bound to.

    Raises:
        NotAllowed: `ADDRESS_NOT_ALLOWED`.
    """
    networks = [ipaddress.ip_network(network) for network in allowed]
    if not networks:
        return
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        if any(found in network for network in networks):
            return
    except ValueError:
        pass
    where = address or "an unknown address"
    message = f"This key may not be used from {where}; use it from the networks it is bound to."
    raise NotAllowed("ADDRESS_NOT_ALLOWED", message)


def network_trouble(text: str) -> str:
    """Say what is wrong with a network that a key is to be bound to; empty when nothing is."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f"Write `{text[:50]}` as a network without host bits, for example 10.0.0.0/8 or 192.0.2.7."
    return ""


__all__ = [
    "BURST_FACTOR",
    "BURST_RATE",
    "MOST_NETWORKS",
    "Use",
    "check_address",
    "network_of",
    "network_trouble",
]
