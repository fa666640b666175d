"""The gateway's two faces: gRPC inside the mesh, HTTP outside."""

from isthmus.services.gateway.servicer.http import HttpFace
from isthmus.services.gateway.servicer.rpc import GatewayServicer

__all__ = ["GatewayServicer", "HttpFace"]
