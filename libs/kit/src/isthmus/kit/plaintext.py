"""What is said in plain text stays on this machine, unless somebody says that the network is protected."""

import ipaddress
from contextlib import suppress
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from isthmus.resilience.faults import Precondition

_ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
_REMEDY = "or set ISTHMUS_ALLOW_PLAINTEXT where the network itself is protected."


def is_near(host: str) -> bool:
    """Tell whether a host is this machine: a loopback address, a Unix socket, or `localhost`."""
    if not host or host.startswith(("/", "@", "unix:")):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


def secured_database(url: str, *, allow_plaintext: bool) -> str:
    """Return the URL of a database, with the check of its certificate when it is elsewhere.

    Args:
        url: For PostgreSQL; what it says of `sslmode` counts.
        allow_plaintext: Whether the network is protected.

    Raises:
        Precondition: `PLAINTEXT_EXPOSED`, it asks for plain text, or puts up with it, beyond this machine.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    places = parts.netloc.rpartition("@")[2]
    hosts = query.get("host") or unquote(
        ",".join(place.rpartition(":")[0] or place for place in places.split(","))
    )
    mode = query.get("sslmode", "")
    if all(map(is_near, hosts.split(","))) or mode in _ENCRYPTED or (mode and allow_plaintext):
        return url
    if mode:
        raise _exposed(f"the database at {hosts}", "Say sslmode=verify-full in its URL")
    if allow_plaintext:
        return url
    return urlunsplit(parts._replace(query=urlencode({**query, "sslmode": "verify-full"}, safe="/,:")))


def check_bus(url: str, *, is_secure: bool, allow_plaintext: bool) -> None:
    """Refuse a bus elsewhere that would be spoken to in plain text.

    Raises:
        Precondition: `PLAINTEXT_EXPOSED`.
    """
    host = urlsplit(url).hostname or ""
    if not (is_secure or allow_plaintext or is_near(host)):
        raise _exposed(
            f"NATS at {host}",
            "Begin its address with tls://, or name its authorities in ISTHMUS_NATS_CA_FILE",
        )


def check_vault(address: str, *, allow_plaintext: bool) -> None:
    """Refuse a vault elsewhere that would be spoken to in plain text.

    Raises:
        Precondition: `PLAINTEXT_EXPOSED`.
    """
    parts = urlsplit(address)
    if parts.scheme == "http" and not (allow_plaintext or is_near(parts.hostname or "")):
        raise _exposed(f"the vault at {parts.hostname}", "Begin its address with https://")


def _exposed(what: str, how: str) -> Precondition:
    message = f"Passwords and secrets would go to {what} in plain text. {how}, {_REMEDY}"
    return Precondition("PLAINTEXT_EXPOSED", message)


__all__ = ["check_bus", "check_vault", "is_near", "secured_database"]
