"""What monitoring learns from the events of others."""

from collections.abc import Sequence

from isthmus.kit import Consumer, ReceivedEvent
from isthmus.services.monitoring.domain import ENDS, run_of
from isthmus.services.monitoring.store import Runs
from sqlalchemy.ext.asyncio import AsyncConnection


async def remember_run(conn: AsyncConnection, event: ReceivedEvent) -> None:
    """Remembers how an execution ended."""
    await remember_runs(conn, [event])


async def remember_runs(conn: AsyncConnection, events: Sequence[ReceivedEvent]) -> None:
    """Remembers how executions of one tenant ended."""
    runs = [run_of(_verb(event), event.data, event.time) for event in events]
    await Runs(conn, events[0].tenant_id).add([run for run in runs if run is not None])


def consumers() -> list[Consumer]:
    """Gives the interest of monitoring in events."""
    subjects = [f"isthmus.v1.*.scheduling.sync.{end}" for end in sorted(ENDS)]
    return [Consumer("monitoring-executions", subjects, remember_run, remember_runs)]


def _verb(event: ReceivedEvent) -> str:
    return event.type.split(".")[-2]


__all__ = ["consumers", "remember_run", "remember_runs"]
