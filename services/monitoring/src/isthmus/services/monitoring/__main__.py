"""Runs the monitoring service."""

from isthmus.kit import Chassis, Wiring
from isthmus.kit import serve as run_service
from isthmus.monitoring.v1 import monitoring_pb2_grpc
from isthmus.services.monitoring.events import consumers
from isthmus.services.monitoring.servicer import MonitoringServicer
from isthmus.services.monitoring.settings import MonitoringSettings


async def wire(chassis: Chassis) -> Wiring:
    """Puts the service together."""
    servicer = MonitoringServicer(chassis.db, chassis.clock)
    add = monitoring_pb2_grpc.add_MonitoringServiceServicer_to_server
    return Wiring(servicers=[(add, servicer)], consumers=consumers())


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(MonitoringSettings(), wire, name="monitoring")


if __name__ == "__main__":
    serve()
