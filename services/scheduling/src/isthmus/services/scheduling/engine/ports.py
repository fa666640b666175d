"""What scheduling needs from others; the adapters live in `servicer` and `events`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from isthmus.services.scheduling.domain import Execution, Flow, Plan, PlanRun, Schedule
from isthmus.services.scheduling.store.executions import JobToSend
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What scheduling has to know of an instance.

    Attributes:
        executions: Most at work with it at a time; 0 means any number.
    """

    instance_id: str
    connector_id: str
    is_active: bool
    update_time: datetime
    etag: str = ""
    executions: int = 0


class Instances(Protocol):
    """Knows the acting tenant's instances."""

    async def facts(self, instance_id: str) -> InstanceFacts:
        """Read an instance.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """


class Mappings(Protocol):
    """Knows the acting tenant's mappings."""

    async def version(self, mapping_id: str, version: int) -> int:
        """Give the version that is meant, which is the newest when `version` is 0.

        Raises:
            Missing: `MAPPING_UNKNOWN`.
        """


class Announcer(Protocol):
    """Says what happened, in the transaction that made it true."""

    async def flow(self, conn: AsyncConnection, tenant_id: str, verb: str, flow: Flow, by: str) -> None:
        """Say that a flow was `created`, `updated`, `paused`, `resumed` or `deleted`."""

    async def schedule(
        self, conn: AsyncConnection, tenant_id: str, verb: str, schedule: Schedule, by: str
    ) -> None:
        """Say that a schedule was `created`, `updated` or `deleted`."""

    async def plan(self, conn: AsyncConnection, tenant_id: str, verb: str, plan: Plan, by: str) -> None:
        """Say that a plan was `created`, `updated` or `deleted`."""

    async def plan_run(self, conn: AsyncConnection, tenant_id: str, verb: str, run: PlanRun) -> None:
        """Say that a run of a plan `started`, or how it ended."""

    async def sync(self, conn: AsyncConnection, tenant_id: str, verb: str, execution: Execution) -> None:
        """Say that an execution `started`, `completed`, `failed` or was `cancelled`."""


class Jobs(Protocol):
    """Hands executions to the hosts of a connector."""

    async def send(self, job: JobToSend) -> None:
        """Put a job into the connector's queue.

        Raises:
            RetryLater: The queue cannot be reached.
        """


class HostFinder(Protocol):
    """Sees to it that somebody serves the queue."""

    async def ensure(self, tenant_id: str, connector_id: str) -> None:
        """Have a host of the connector started where none runs; failing is no error."""


__all__ = ["Announcer", "HostFinder", "InstanceFacts", "Instances", "Jobs", "Mappings"]
