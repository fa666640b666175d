"""Puts the areas of the HTTP face together.

An area is a module with a function `routes` that gives its routes; it may have errors in a form of its own.
Whatever it does not answer itself is RFC 9457 problem details.
"""

from collections.abc import Iterable

from isthmus.kit.logs import logger
from isthmus.resilience.faults import Fault
from isthmus.services.gateway.http.limits import Limits
from isthmus.services.gateway.http.problem import fault_answer, problem
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

_log = logger(__name__)


def application(areas: Iterable[Iterable[BaseRoute]]) -> ASGIApp:
    """Give the ASGI application that serves all areas within the limits of the house."""
    routes = [route for area in areas for route in area]
    handlers = {HTTPException: _refused, Fault: _failed, Exception: _broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    # A redirect would have clients repeat their requests, bodies and all, at an address made of a header.
    app.router.redirect_slashes = False
    return Limits(app)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code in {404, 405}:
        detail = f"{request.method} {request.url.path} is not offered; GET /health and GET /version are."
    return problem(error.status_code, detail, instance=request.url.path, headers=error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return fault_answer(error, instance=request.url.path)


async def _broken(request: Request, error: Exception) -> Response:
    _log.error("request failed unexpectedly", error, method=request.method, path=request.url.path)
    detail = "Something failed on our side; repeat the request, and report it if it fails again."
    return problem(500, detail, instance=request.url.path)


__all__ = ["application"]
