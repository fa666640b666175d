"""Requests to servers of this machine, by steps, so that whoever waits for one starts others meanwhile."""

import io
import select
import socket
import ssl
from collections.abc import Generator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse

from isthmus.local.backends.ports import HOST

__all__ = ["HttpRequest", "ask"]

_ANSWER_SECONDS = 10.0
_CHUNK = 65_536
_MOMENT = 0.003


@dataclass(frozen=True)
class HttpRequest:
    """One request to a local server.

    Attributes:
        method: Of HTTP.
        port: Where the server listens.
        path: With its query.
        body: What is sent.
        token: Of the vault.
        trust: What checks the server's certificate; None speaks plain text.
    """

    method: str
    port: int
    path: str
    body: str | None = None
    token: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = None


def ask(request: HttpRequest) -> Generator[None, None, tuple[int, bytes]]:
    """Send one request to a local server by steps; returns status and body of the answer.

    Raises:
        OSError, HTTPException: the server is not there, is not believed, or talks nonsense.
    """
    connection = HTTPConnection(HOST, request.port, timeout=_ANSWER_SECONDS)
    try:
        connection.connect()
        if request.trust is not None:
            connection.sock = yield from _secured(connection.sock, request.trust)
        headers = {"Connection": "close", **({"X-Vault-Token": request.token} if request.token else {})}
        connection.request(request.method, request.path, request.body, headers)
        heard = yield from _all_of(connection.sock)
    finally:
        connection.close()
    with HTTPResponse(_Heard(heard)) as answer:  # type: ignore[arg-type] # it asks for no more
        answer.begin()
        return answer.status, answer.read()


class _Heard:
    """Bytes in the place of the socket that they came from."""

    def __init__(self, heard: bytes) -> None:
        self._heard = heard

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._heard)


def _secured(plain: socket.socket, trust: ssl.SSLContext) -> Generator[None, None, ssl.SSLSocket]:
    """Shake hands by steps: a server that has only begun to listen takes its time."""
    secured = trust.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False)
    secured.setblocking(False)
    try:
        while True:
            try:
                secured.do_handshake()
                break
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                # A server that works answers sooner than the next step comes.
                if not select.select([secured], [], [], _MOMENT)[0]:
                    yield
    except BaseException:
        secured.close()
        raise
    secured.settimeout(_ANSWER_SECONDS)
    return secured


def _all_of(connection: socket.socket) -> Generator[None, None, bytes]:
    """Read to the end by steps."""
    connection.setblocking(False)
    heard = bytearray()
    while True:
        try:
            part = connection.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            yield
            continue
        if not part:
            return bytes(heard)
        heard += part
