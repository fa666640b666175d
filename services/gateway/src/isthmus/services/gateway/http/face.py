"""Listens for HTTP."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

# Header lines of one request together; a bearer token and a trace need a small part of it.
_LONGEST_HEADERS = 32 * 1024
_MOST_CONNECTIONS = 512
_IDLE_SECONDS = 15


class _Server(uvicorn.Server):
    """Leaves signals to the chassis, which drains everything together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes over no signal."""
        yield


class HttpFace:
    """Serves an ASGI application on one address.

    Args:
        application: Answers requests.
        listen: `host:port`; port 0 takes a free one.
    """

    def __init__(self, application: ASGIApp, listen: str) -> None:
        self._application = application
        self._listen = listen
        self.port = 0
        self._server: _Server | None = None

    async def serve(self) -> None:
        """Answers until `close` is called.

        Raises:
            OSError: the address is taken or not of this machine.
        """
        bound = _bind(self._listen)
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._application,
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_LONGEST_HEADERS,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=5,
        )
        self._server = _Server(config)
        await self._server.serve(sockets=[bound])

    async def close(self) -> None:
        """Lets requests in flight finish and stops."""
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.sleep(0)


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The event loop sends answers at once only where it sees by the protocol that it may.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host.strip("[]"), int(port)))
    return bound


__all__ = ["HttpFace"]
