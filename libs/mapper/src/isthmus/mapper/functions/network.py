"""Functions on internet addresses, networks, hardware addresses and names of hosts; nothing is ever asked."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text

_AREA = "network"
_LONGEST = 64
"""Longer than any address or network."""
_LONGEST_HOST = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_MAC = re.compile(r"[0-9A-Fa-f]{12}|[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}", re.ASCII)
_MAC_DOTS = re.compile(r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}", re.ASCII)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SCOPES = (
    ("unspecified", "0.0.0.0/32 ::/128"),
    ("loopback", "127.0.0.0/8 ::1/128"),
    ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
    ("link_local", "169.254.0.0/16 fe80::/10"),
    ("shared", "100.64.0.0/10"),
    ("documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
    ("multicast", "224.0.0.0/4 ff00::/8"),
    ("reserved", "0.0.0.0/8 192.0.0.0/24 198.18.0.0/15 240.0.0.0/4 100::/64 2001::/23 5f00::/16"),
)
"""What addresses are for, by the registries of IANA; here so that all versions of Python agree."""


def _address(value: Any) -> Address:
    text = need_text(value).strip()
    try:
        return ip_address(text if len(text) <= _LONGEST else "")
    except ValueError:
        raise Refusal(
            "NOT_IP", "The text is no IP address; take a port, brackets or a network length off first."
        ) from None


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip() if len(text) <= _LONGEST else "", strict=False)
    except ValueError:
        raise Refusal("NOT_CIDR", "The text is no network; write it like 10.0.0.0/8 or fd00::/8.") from None


@lru_cache(maxsize=1)
def _scopes() -> tuple[tuple[str, tuple[Network, ...]], ...]:
    return tuple((name, tuple(map(ip_network, networks.split()))) for name, networks in _SCOPES)


def scope_of(address: Address) -> str:
    """What an address is for; one of IPv4 inside IPv6 counts as that of IPv4."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for name, networks in _scopes():
        if any(address in network for network in networks):
            return name
    return "public"


@function(
    "is_ip",
    Param("version", "whole", None, low=4, high=6),
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isIp",
    example=("is_ip", "192.0.2.7", True),
    also=(({"is_ip": 6}, "192.0.2.7", False), ("is_ip", "192.0.2.700", False)),
)
def is_ip(version: int | None) -> Step:
    """Whether the text is an IP address, of version 4 or 6 where that is asked."""
    if version == 5:
        raise ValueError("The version is 4 or 6.")

    def step(value: Any) -> bool:
        try:
            found = _address(value)
        except Refusal:
            return False
        return version in (None, found.version)

    return step


@function(
    "ip_version",
    area=_AREA,
    takes="string",
    returns="integer",
    cel="net.ipVersion",
    example=("ip_version", "2001:db8::1", 6),
)
def ip_version() -> Step:
    """The version of an IP address: 4 or 6."""
    return lambda value: _address(value).version


@function(
    "normalize_ip",
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.normalizeIp",
    example=("normalize_ip", "2001:0DB8:0::0001", "2001:db8::1"),
    also=(("normalize_ip", "::ffff:192.0.2.7", "192.0.2.7"),),
)
def normalize_ip() -> Step:
    """Writes an IP address in its one short form; one of IPv4 inside IPv6 becomes that of IPv4."""

    def step(value: Any) -> str:
        address = _address(value)
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(inner or address)

    return step


@function(
    "ip_scope",
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.scope",
    example=("ip_scope", "172.20.1.1", "private"),
    also=(("ip_scope", "2600::1", "public"), ("ip_scope", "100.64.0.1", "shared")),
)
def ip_scope() -> Step:
    """What an address is for: public, private, shared, loopback, link_local, multicast or reserved."""
    return lambda value: scope_of(_address(value))


@function(
    "is_private_ip",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isPrivate",
    example=("is_private_ip", "192.168.1.20", True),
)
def is_private_ip() -> Step:
    """Whether an address is of a private network (RFC 1918, RFC 4193)."""
    return lambda value: scope_of(_address(value)) == "private"


@function(
    "is_public_ip",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isPublic",
    example=("is_public_ip", "8.8.8.8", True),
)
def is_public_ip() -> Step:
    """Whether an address can be reached over the internet, as far as its number tells."""
    return lambda value: scope_of(_address(value)) == "public"


@function(
    "in_cidr",
    Param("networks", "texts"),
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.inCidr",
    example=({"in_cidr": "10.0.0.0/8"}, "10.20.30.40", True),
    also=(({"in_cidr": ["10.0.0.0/8", "fd00::/8"]}, "192.0.2.7", False),),
)
def in_cidr(networks: list[str]) -> Step:
    """Whether an address lies in a network, or in one of several."""
    held = [_argument(network) for network in networks]
    return lambda value: _is_in(_address(value), held)


def _argument(text: str) -> Network:
    try:
        return _network(text)
    except Refusal as refusal:
        raise ValueError(f"{text[:50]!r}: {refusal.message}") from None


def _is_in(address: Address, networks: list[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


@function(
    "is_cidr",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isCidr",
    example=("is_cidr", "10.0.0.0/8", True),
    also=(("is_cidr", "10.0.0.1", False),),
)
def is_cidr() -> Step:
    """Whether the text is a network, written with its length."""

    def step(value: Any) -> bool:
        try:
            return "/" in need_text(value) and bool(_network(value))
        except Refusal:
            return False

    return step


@function(
    "normalize_cidr",
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.normalizeCidr",
    example=("normalize_cidr", "10.1.2.3/255.255.0.0", "10.1.0.0/16"),
    also=(("normalize_cidr", "192.0.2.7", "192.0.2.7/32"),),
)
def normalize_cidr() -> Step:
    """Writes a network in its one form: its first address and its length."""
    return lambda value: str(_network(need_text(value)))


@function(
    "cidr_range",
    area=_AREA,
    takes="string",
    returns="object",
    cel="net.range",
    example=(
        "cidr_range",
        "192.0.2.0/30",
        {"first": "192.0.2.0", "last": "192.0.2.3", "version": 4, "length": 30},
    ),
)
def cidr_range() -> Step:
    """The first and last address of a network, its version and its length."""

    def step(value: Any) -> dict[str, Any]:
        network = _network(need_text(value))
        return {
            "first": str(network.network_address),
            "last": str(network.broadcast_address),
            "version": network.version,
            "length": network.prefixlen,
        }

    return step


@function(
    "network_of",
    Param("length", "whole", low=0, high=128),
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.networkOf",
    example=({"network_of": 24}, "192.0.2.77", "192.0.2.0/24"),
)
def network_of(length: int) -> Step:
    """The network of that length in which an address lies."""

    def step(value: Any) -> str:
        address = _address(value)
        if length > address.max_prefixlen:
            raise Refusal(
                "NOT_CIDR", "An IPv4 network has a length of at most 32; ask for the version first."
            )
        return str(_network(f"{address}/{length}"))

    return step


def _mac(value: Any) -> str | None:
    text = need_text(value).strip()
    if len(text) <= _LONGEST and (_MAC.fullmatch(text) or _MAC_DOTS.fullmatch(text)):
        return re.sub("[^0-9a-f]", "", text.lower())
    return None


@function(
    "is_mac",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isMac",
    example=("is_mac", "00:1A:2b:3c:4d:5e", True),
)
def is_mac() -> Step:
    """Whether the text is a hardware address, with colons, hyphens, dots or nothing between."""
    return lambda value: _mac(value) is not None


@function(
    "normalize_mac",
    Param("separator", "text", ":"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.normalizeMac",
    example=("normalize_mac", "001A.2b3c.4d5e", "00:1a:2b:3c:4d:5e"),
    also=(({"normalize_mac": ""}, "00-1A-2B-3C-4D-5E", "001a2b3c4d5e"),),
)
def normalize_mac(separator: str) -> Step:
    """Writes a hardware address in small letters, with the separator between its six parts."""
    if len(separator) > 1:
        raise ValueError("The separator has at most one character.")

    def step(value: Any) -> str:
        digits = _mac(value)
        if digits is None:
            raise Refusal("NOT_MAC", "The text is no hardware address of six bytes; mend the source.")
        return separator.join(digits[at : at + 2] for at in range(0, 12, 2))

    return step


def host_of(value: Any) -> str | None:
    """The name of a host in its one form; `None` where the text is none."""
    text = need_text(value).strip().lower().removesuffix(".")
    if not 0 < len(text) <= _LONGEST_HOST or not text.isascii():
        return None
    labels = text.split(".")
    if labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        return None
    return text


@function(
    "is_hostname",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="net.isHostname",
    example=("is_hostname", "web-01.example.org", True),
    also=(("is_hostname", "192.0.2.7", False), ("is_hostname", "-a.example", False)),
)
def is_hostname() -> Step:
    """Whether the text is a name of a host in ASCII; an IP address is none."""
    return lambda value: host_of(value) is not None


@function(
    "normalize_hostname",
    area=_AREA,
    takes="string",
    returns="string",
    cel="net.normalizeHostname",
    example=("normalize_hostname", " WEB-01.Example.org.", "web-01.example.org"),
)
def normalize_hostname() -> Step:
    """Writes the name of a host in small letters and without the dot at its end."""

    def step(value: Any) -> str:
        host = host_of(value)
        if host is None:
            raise Refusal(
                "NOT_HOSTNAME", "The text is no name of a host; write other alphabets as xn--…, in ASCII."
            )
        return host

    return step
