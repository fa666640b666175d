"""Runs the gateway."""

from collections.abc import Callable, Sequence

from isthmus.gateway.v1 import gateway_pb2_grpc
from isthmus.kit import Chassis, Wiring
from isthmus.kit import serve as serve_chassis
from isthmus.services.gateway.http import Courier, HttpFace, application, health, oauth, scim, well_known
from isthmus.services.gateway.http.proxies import TrustedProxies, networks_of
from isthmus.services.gateway.servicer import GatewayServicer, Probe
from isthmus.services.gateway.settings import GatewaySettings
from starlette.routing import BaseRoute


async def wire(chassis: Chassis) -> Wiring:
    """Puts the gateway together."""
    settings: GatewaySettings = chassis.settings
    probe = Probe(chassis.peer, settings.health_timeout)
    peer, vouch = chassis.peer, chassis.caller.vouch
    areas: list[Sequence[BaseRoute]] = [
        health.routes(probe),
        oauth.routes(peer, vouch, settings.public_url or f"http://{settings.http_listen}"),
        scim.routes(peer("identity"), Courier(vouch), settings.public_url),
        well_known.routes(peer, vouch),
    ]
    proxies = networks_of(settings.trusted_proxies)
    app = TrustedProxies(application(areas), proxies, settings.forwarded_header)
    face = HttpFace(app, settings.http_listen)
    return Wiring(
        servicers=[(gateway_pb2_grpc.add_GatewayServiceServicer_to_server, GatewayServicer(probe))],
        tasks=[face.serve],
        closers=[face.close],
    )


def serve(settings: GatewaySettings | None = None, ready: Callable[[int], None] | None = None) -> None:
    """Serves until told to stop."""
    serve_chassis(settings or GatewaySettings(), wire, name="gateway", ready=ready)


if __name__ == "__main__":
    serve()
