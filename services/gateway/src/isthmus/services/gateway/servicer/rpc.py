"""The gateway as the mesh sees it."""

import grpc.aio
from isthmus.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from isthmus.services.gateway.domain import State
from isthmus.services.gateway.servicer.probe import Probe

_STATES = {
    State.SERVING: gateway_pb2.ServiceHealth.STATE_SERVING,
    State.STARTING: gateway_pb2.ServiceHealth.STATE_STARTING,
    State.BROKEN: gateway_pb2.ServiceHealth.STATE_BROKEN,
    State.UNREACHABLE: gateway_pb2.ServiceHealth.STATE_UNREACHABLE,
}


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Tells what the gateway knows about the mesh."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def GetMeshHealth(
        self,
        request: gateway_pb2.GetMeshHealthRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.GetMeshHealthRequest, gateway_pb2.GetMeshHealthResponse
        ],
    ) -> gateway_pb2.GetMeshHealthResponse:
        """Tells the version and the state of every service."""
        mesh = await self._probe.mesh()
        return gateway_pb2.GetMeshHealthResponse(
            version=mesh.version,
            services=[
                gateway_pb2.ServiceHealth(
                    service=item.service, state=_STATES[item.state], message=item.message
                )
                for item in mesh.services
            ],
        )


__all__ = ["GatewayServicer"]
