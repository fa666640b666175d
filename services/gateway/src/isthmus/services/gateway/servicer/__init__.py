"""The gateway as the mesh sees it."""

from isthmus.services.gateway.servicer.probe import Probe
from isthmus.services.gateway.servicer.rpc import GatewayServicer

__all__ = ["GatewayServicer", "Probe"]
