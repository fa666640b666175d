"""What monitoring learns from the events of others."""

from isthmus.kit import Consumer, ReceivedEvent
from isthmus.services.monitoring.domain import run_of
from isthmus.services.monitoring.store import Runs
from sqlalchemy.ext.asyncio import AsyncConnection


async def remember_run(conn: AsyncConnection, event: ReceivedEvent) -> None:
    """Remembers how an execution ended."""
    verb = event.type.split(".")[-2]
    run = run_of(verb, event.data, event.time)
    if run is not None:
        await Runs(conn, event.tenant_id).add(run)


def consumers() -> list[Consumer]:
    """Gives the interest of monitoring in events."""
    return [Consumer("monitoring-executions", ["isthmus.v1.*.scheduling.sync.*"], remember_run)]


__all__ = ["consumers", "remember_run"]
