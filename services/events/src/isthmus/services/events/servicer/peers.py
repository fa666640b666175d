"""What events asks other services to do."""

import json

import grpc
from isthmus.kit import fault_from_rpc_error
from isthmus.monitoring.v1 import monitoring_pb2
from isthmus.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from isthmus.resilience.faults import Missing
from isthmus.scheduling.v1 import scheduling_pb2
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.services.events.engine import Notice


class RemoteFlows:
    """Knows and starts flows at scheduling.

    Args:
        channel: To scheduling.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = SchedulingServiceStub(channel)

    async def exists(self, flow_id: str) -> bool:
        """Whether the acting tenant has such a flow."""
        try:
            await self._stub.GetFlow(scheduling_pb2.GetFlowRequest(flow_id=flow_id))
        except grpc.RpcError as error:
            fault = fault_from_rpc_error(error)
            if isinstance(fault, Missing):
                return False
            raise fault from error
        return True

    async def start(self, flow_id: str, *, event_id: str, request_id: str) -> None:
        """Start a flow because of an event."""
        request = scheduling_pb2.StartExecutionRequest(
            flow_id=flow_id, event_id=event_id, request_id=request_id
        )
        try:
            await self._stub.StartExecution(request)
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error


class RemoteLog:
    """Writes the integration log at monitoring.

    Args:
        channel: To monitoring.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = MonitoringServiceStub(channel)

    async def write(self, notice: Notice) -> None:
        """Append an entry."""
        kinds = monitoring_pb2.IntegrationLog
        entry = monitoring_pb2.IntegrationLog(
            log_id=notice.log_id,
            instance_id=notice.instance_id,
            type=kinds.TYPE_WARNING if notice.is_warning else kinds.TYPE_INFO,
            message=notice.message,
            details=json.dumps(notice.details),
            user_id="service:events",
            operation="subscription",
            correlation_id=notice.correlation_id,
        )
        entry.time.FromDatetime(notice.time)
        try:
            await self._stub.AppendLogs(monitoring_pb2.AppendLogsRequest(logs=[entry]))
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error


__all__ = ["RemoteFlows", "RemoteLog"]
