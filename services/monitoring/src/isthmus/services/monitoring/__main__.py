"""Runs the monitoring service."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from isthmus.kit import Chassis, Database, Wiring
from isthmus.kit import serve as run_service
from isthmus.kit.quotas import QuotaBook
from isthmus.kit.seals import Seals
from isthmus.monitoring.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from isthmus.monitoring.v1.monitoring_pb2_grpc import add_MonitoringServiceServicer_to_server
from isthmus.resilience.faults import OutOfTime, RetryLater
from isthmus.services.monitoring.events import Anchors, ToldEnds, consumers
from isthmus.services.monitoring.sealing import Notary
from isthmus.services.monitoring.servicer import AuditServicer, MonitoringServicer
from isthmus.services.monitoring.settings import MonitoringSettings
from isthmus.services.monitoring.store import forget_old


async def wire(chassis: Chassis) -> Wiring:
    """Puts the service together."""
    settings = chassis.settings
    vault_key = chassis.secrets.signing_key("seals") if chassis.secrets else None
    seals = Seals(settings.service_key_file, settings.trust_file, vault_key)
    notary = Notary(seals, settings.audit_checkpoint_file)
    pace = settings.audit_checkpoint_seconds
    anchors = Anchors(chassis.db, chassis.outbox, chassis.clock, notary, pace=pace)
    told = ToldEnds(lambda: chassis.peer("events"))
    audit = AuditServicer(chassis.db, chassis.clock, anchors.grown, told, notary)
    book = QuotaBook(lambda: chassis.peer("identity"))
    servicers: list[tuple[Callable[[Any, Any], None], object]] = [
        (add_MonitoringServiceServicer_to_server, MonitoringServicer(chassis.db, chassis.clock, book)),
        (add_AuditServiceServicer_to_server, audit),
    ]

    async def forget() -> None:
        await _forget(chassis.db, chassis.settings)

    return Wiring(servicers=servicers, consumers=consumers(), tasks=[anchors.run, forget])


async def _forget(db: Database, settings: MonitoringSettings) -> None:
    """Remove lines of logs that are too old, for ever; an outage is waited out."""
    while True:
        with suppress(RetryLater, OutOfTime):
            more = True
            while more:
                async with db.system() as conn:
                    more = await forget_old(conn, settings.logs_days * 86_400) > 0
        await asyncio.sleep(settings.logs_prune_seconds)


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(MonitoringSettings(), wire, name="monitoring")


if __name__ == "__main__":
    serve()
