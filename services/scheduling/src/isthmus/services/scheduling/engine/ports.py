"""What scheduling needs from others; the adapters live in `servicer` and `events`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from isthmus.services.scheduling.domain import Execution, Flow, Plan, PlanAction, PlanRun, Schedule
from isthmus.services.scheduling.store.endings import OutboxRow
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


@dataclass(frozen=True, slots=True)
class Origin:
    """What ties together all that belongs to an execution: a correlation id, and who started its trace."""

    correlation_id: str
    traceparent: str


class Instances(Protocol):
    """Knows the acting tenant's instances."""

    async def facts(self, instance_id: str) -> InstanceFacts:
        """Read an instance.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """

    async def connector(self, instance_id: str) -> str:
        """Give the connector of an instance, which never changes.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """


class Mappings(Protocol):
    """Knows the acting tenant's mappings."""

    async def version(self, mapping_id: str, version: int) -> int:
        """Give the version that is meant, which is the active one when `version` is 0.

        Raises:
            Missing: `MAPPING_UNKNOWN`, `MAPPING_NOT_USABLE`, or `MAPPING_NOT_INVERTIBLE`.
        """

    async def splits(self, mapping_id: str, version: int) -> bool:
        """Tell whether a version makes several records of one.

        Raises:
            Missing: as for `version`.
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

    def sync_row(self, tenant_id: str, verb: str, execution: Execution, origin: Origin) -> OutboxRow:
        """Give what says so as a row, for a statement that stores several."""

    def relay(self) -> None:
        """Have rows sent that were stored so; called after the commit."""


class Jobs(Protocol):
    """Hands executions to the hosts of a connector."""

    async def send(self, job: JobToSend) -> None:
        """Put a job into the connector's queue.

        Raises:
            RetryLater: The queue cannot be reached.
        """


class HostAway(Exception):
    """Nobody could be asked, so nothing has happened; it passes by itself.

    Args:
        reason: For programs.
        message: The same in a sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Actions(Protocol):
    """Calls actions of connectors for the acting tenant."""

    async def is_repeatable(self, action: PlanAction) -> bool:
        """Tell whether repeating a call under its id has no further effect.

        Raises:
            Missing: `INSTANCE_UNKNOWN`, `CONNECTOR_UNKNOWN` or `ACTION_UNKNOWN`.
            HostAway: Nobody can tell now.
        """

    async def invoke(self, action: PlanAction, call_id: str) -> str:
        """Call an action once, and give its output as a JSON object.

        Raises:
            Fault: What the connector answered.
            HostAway: No host serves the instance now.
        """


class HostFinder(Protocol):
    """Sees to it that somebody serves the queue."""

    async def ensure(self, tenant_id: str, connector_id: str) -> None:
        """Have a host of the connector started where none runs; failing is no error."""


__all__ = [
    "Actions",
    "Announcer",
    "HostAway",
    "HostFinder",
    "InstanceFacts",
    "Instances",
    "Jobs",
    "Mappings",
    "Origin",
]
