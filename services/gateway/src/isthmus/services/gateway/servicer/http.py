"""The gateway as the world outside sees it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from isthmus.services.gateway.domain import State
from isthmus.services.gateway.servicer.probe import Probe
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_PROBLEM = "application/problem+json"
_TITLES = {404: "There is nothing here", 405: "This method is not offered here"}


class _Server(uvicorn.Server):
    """Leaves signals to the chassis, which drains everything together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes over no signal."""
        yield


class HttpFace:
    """Serves `GET /health`, `/live` and `/version`; every other answer is RFC 9457 problem details."""

    def __init__(self, probe: Probe, listen: str) -> None:
        self._probe = probe
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
            self.application(), lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=5
        )
        self._server = _Server(config)
        await self._server.serve(sockets=[bound])

    async def close(self) -> None:
        """Lets requests in flight finish and stops."""
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.sleep(0)

    def application(self) -> Starlette:
        """Gives the ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/api/integration/health", self._health),
                Route("/live", self._live),
                Route("/version", self._version),
            ],
            exception_handlers={HTTPException: _problem},
        )

    async def _health(self, request: Request) -> JSONResponse:
        mesh = await self._probe.mesh()
        body = {
            "status": mesh.state,
            "version": mesh.version,
            "services": [
                {"service": item.service, "status": item.state, "message": item.message}
                for item in mesh.services
            ],
        }
        return JSONResponse(body, status_code=200 if mesh.state is State.SERVING else 503)

    async def _live(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"})

    async def _version(self, request: Request) -> JSONResponse:
        return JSONResponse({"version": (await self._probe.mesh()).version})


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host.strip("[]"), int(port)))
    return bound


async def _problem(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "The request cannot be answered"),
        "status": status,
        "detail": f"{request.method} {request.url.path} is not offered; GET /health and GET /version are.",
        "instance": request.url.path,
    }
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse(body, status_code=status, media_type=_PROBLEM, headers=headers)


__all__ = ["HttpFace"]
