"""Ports on the loopback address that stay the same from one start to the next."""

import json
import random
import socket
from contextlib import suppress
from pathlib import Path

from isthmus.local.private import read_json, write_private

__all__ = ["HOST", "PortBook", "free_port", "hold", "is_free"]

HOST = "127.0.0.1"
_CHOICE = random.SystemRandom()
# Below the range from which Linux takes the ports of outgoing connections, so that a back end
# that is down for a moment finds its port again.
_RANGE = range(20_000, 32_000)
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with suppress(OSError), hold(port):
        return True
    return False


def hold(port: int) -> socket.socket:
    """Keep others from choosing a port until the socket is closed; its owner's server may listen on it.

    Raises:
        OSError: somebody listens there.
    """
    held = socket.socket()
    # Servers set this, too: it lets them in beside a socket that does not listen.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        raise
    return held


def free_port() -> int:
    """Choose a port that nobody listens on or holds.

    Raises:
        OSError: all ports tried are taken.
    """
    for _ in range(_ATTEMPTS):
        port = _CHOICE.choice(_RANGE)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port on {HOST}: stop some servers and try again.")


class PortBook:
    """Remembers in a file which port belongs to whom."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def port(self, owner: str) -> int:
        """Give the owner's port, another one only when a stranger has taken it meanwhile."""
        book = read_json(self._path)
        known = book.get(owner)
        if isinstance(known, int) and is_free(known):
            return known
        taken = set(book.values())
        chosen = next(port for port in iter(free_port, None) if port not in taken)
        write_private(self._path, json.dumps({**book, owner: chosen}, indent=2, sort_keys=True))
        return chosen

    def held(self, owner: str) -> tuple[int, socket.socket]:
        """Give the owner's port and what keeps others from choosing it before the owner listens."""
        port = self.port(owner)
        return port, hold(port)
