"""Which addresses of the network may be called: the public ones, and what the operator has opened.

What Python calls global lets through addresses that carry private ones inside (NAT64, 6to4,
`::127.0.0.1`), so the table here is our own, and judges what is left after unwrapping.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers' own; among it the metadata of one cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # metadata of another cloud, in the middle of public addresses
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
_PUBLIC_SIX = ipaddress.IPv6Network("2000::/3")
_EMBEDDING_LAST = tuple(
    map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "::ffff:0:0:0/96"))
)
_ISATAP = (0x00005EFE, 0x02005EFE)
_OTHER_PROTOCOLS = frozenset(
    (0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 87, 95, 101, 102, 103, 104,
     109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514,
     515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
     2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080)
)  # fmt: skip
_SCHEMES = frozenset({"http", "https"})


def embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that an IPv6 address stands for, or leads through."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    if any(address in network for network in _EMBEDDING_LAST):
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)


def is_public(address: Address) -> bool:
    """Tell whether an address, and whatever it carries inside, belongs to the public network."""
    if not all(map(is_public, embedded(address))):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _EMBEDDING_LAST):
            return True
        if address not in _PUBLIC_SIX:
            return False
    return not any(address in network for network in _CLOSED if network.version == address.version)


def parsed(text: str) -> Address | None:
    """Read an address as it stands in a URL or comes from a resolver; None for a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator opens beyond the public network, and what is open at all.

    Attributes:
        allow: Networks, names, `*.domain`, each with `:port` where wanted; `*` opens everything.
        only: Names and `*.domain` beside which nothing is open; empty for no such bound.
    """

    allow: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @classmethod
    def of(cls, allow: str | Iterable[str] = (), only: str | Iterable[str] = ()) -> "Rules":
        """Make rules from lists, or from texts divided by commas.

        Raises:
            ValueError: Something is neither a network nor a name.
        """
        return cls(_patterns(allow), _patterns(only))

    def names(self, host: str, port: int) -> bool:
        """Tell whether a name is opened as it is."""
        return any(fits(pattern, host, port) for pattern in self.allow)

    def covers(self, address: Address, port: int) -> bool:
        """Tell whether an address, and whatever it carries inside, is opened by its network."""
        carried = list(embedded(address))
        return self._contain(address, port) or bool(
            carried and all(self._contain(one, port) for one in carried)
        )

    def _contain(self, address: Address, port: int) -> bool:
        return any(_contains(pattern, address, port) for pattern in self.allow)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may call what.

    Attributes:
        rules: Those of the installation.
        tenants: Those of single tenants, by id: what they open is added, what they close is closed, too.
        uses_proxies: Calls go through the proxies that the environment names, which look up names themselves.
    """

    rules: Rules = field(default_factory=Rules)
    tenants: Mapping[str, Rules] = field(default_factory=dict)
    uses_proxies: bool = False

    @classmethod
    def of(
        cls,
        allow: str = "",
        only: str = "",
        tenants: Mapping[str, Any] | None = None,
        *,
        uses_proxies: bool = False,
    ) -> "Policy":
        """Make a policy from settings.

        Args:
            allow: What is opened to all tenants, divided by commas.
            only: Beside what nothing is open to anybody, divided by commas.
            tenants: Objects with `allow` and `only` by tenant.
            uses_proxies: Proxies that the environment names are used.

        Raises:
            ValueError: Something in it is no rule.
        """
        known = {name: Rules.of(**rules) for name, rules in (tenants or {}).items()}
        return cls(Rules.of(allow, only), known, uses_proxies)

    def permits(self, tenant_id: str, host: str, port: int, *, scheme: str = "") -> bool:
        """Tell whether a host may be called as far as its name, its port and the scheme tell.

        Args:
            tenant_id: On whose behalf.
            host: A name, or an address, which is judged like what a name leads to.
            port: Which port.
            scheme: That of the address; empty for what is not HTTP.
        """
        host = host.lower().rstrip(".")
        rules = list(self._rules(tenant_id))
        if not 0 < port < 1 << 16 or (scheme and scheme not in _SCHEMES):
            return False
        if scheme and port in _OTHER_PROTOCOLS and not any(one.names(host, port) for one in rules):
            return False
        if any(one.only and not any(fits(p, host, port) for p in one.only) for one in rules):
            return False
        address = parsed(host)
        if address is None:
            # 0x7f.1, 2130706433 and 0177.0.0.1 are addresses to some and names to others.
            last = host.rpartition(".")[2]
            return bool(last) and not last.isdigit() and not last.startswith("0x")
        return self.admits(tenant_id, host, address, port)

    def admits(self, tenant_id: str, host: str, address: Address, port: int) -> bool:
        """Tell whether a connection to an address to which a name leads may be made."""
        if is_public(address):
            return True
        return any(one.names(host, port) or one.covers(address, port) for one in self._rules(tenant_id))

    def _rules(self, tenant_id: str) -> Iterator[Rules]:
        yield self.rules
        if tenant_id in self.tenants:
            yield self.tenants[tenant_id]


def fits(pattern: str, host: str, port: int) -> bool:
    """Tell whether a host is meant by `name`, `name:port`, `*.domain` or `*`."""
    name, wanted = _divided(pattern)
    if wanted and wanted != port:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:])
    return name in {"*", host}


def _contains(pattern: str, address: Address, port: int) -> bool:
    name, wanted = _divided(pattern)
    if wanted and wanted != port:
        return False
    if name == "*":
        return True
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _divided(pattern: str) -> tuple[str, int]:
    """Divide a pattern into what is before the port and the port; 0 for none."""
    name, _, port = pattern.rpartition(":")
    if not port.isdecimal() or (":" in name and not name.endswith("]")):
        name, port = pattern, "0"  # a name, or an address of version 6 as it is
    return name.strip("[]"), int(port)


def _patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    texts = given.split(",") if isinstance(given, str) else given
    patterns = tuple(filter(None, (text.strip().lower() for text in texts)))
    for pattern in patterns:
        name, _ = _divided(pattern)
        if not name or "//" in name or ("/" in name and not _is_network(name)):
            raise ValueError(f"{pattern!r} is neither a network nor a name")
    return patterns


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


EVERYTHING = Policy.of(allow="*", uses_proxies=True)
"""Opens all there is; for tools that a person runs by hand."""

__all__ = ["EVERYTHING", "Address", "Policy", "Rules", "embedded", "fits", "is_public", "parsed"]
