"""Runs the monitoring service."""

from collections.abc import Callable
from typing import Any

from isthmus.kit import Chassis, Wiring
from isthmus.kit import serve as run_service
from isthmus.monitoring.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from isthmus.monitoring.v1.monitoring_pb2_grpc import add_MonitoringServiceServicer_to_server
from isthmus.services.monitoring.events import Anchors, ToldEnds, consumers
from isthmus.services.monitoring.servicer import AuditServicer, MonitoringServicer
from isthmus.services.monitoring.settings import MonitoringSettings


async def wire(chassis: Chassis) -> Wiring:
    """Puts the service together."""
    pace = chassis.settings.audit_checkpoint_seconds
    anchors = Anchors(chassis.db, chassis.outbox, chassis.clock, pace=pace)
    told = ToldEnds(lambda: chassis.peer("events"))
    audit = AuditServicer(chassis.db, chassis.clock, anchors.grown, told)
    servicers: list[tuple[Callable[[Any, Any], None], object]] = [
        (add_MonitoringServiceServicer_to_server, MonitoringServicer(chassis.db, chassis.clock)),
        (add_AuditServiceServicer_to_server, audit),
    ]
    return Wiring(servicers=servicers, consumers=consumers(), tasks=[anchors.run])


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(MonitoringSettings(), wire, name="monitoring")


if __name__ == "__main__":
    serve()
