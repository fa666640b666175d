"""How the mesh is doing, for load balancers and people."""

from isthmus.services.gateway.domain import State
from isthmus.services.gateway.servicer.probe import Probe
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def routes(probe: Probe) -> list[Route]:
    """Give `/health`, `/live` and `/version`, which need no credential."""

    async def health(_: Request) -> JSONResponse:
        mesh = await probe.mesh()
        body = {
            "status": mesh.state,
            "version": mesh.version,
            "services": [
                {"service": item.service, "status": item.state, "message": item.message}
                for item in mesh.services
            ],
        }
        return JSONResponse(body, status_code=200 if mesh.state is State.SERVING else 503)

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "live"})

    async def version(_: Request) -> JSONResponse:
        return JSONResponse({"version": (await probe.mesh()).version})

    return [
        Route("/health", health),
        Route("/api/integration/health", health),
        Route("/live", live),
        Route("/version", version),
    ]


__all__ = ["routes"]
