"""What events needs from others; the adapters live in `servicer` and `events`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from isthmus.services.events.domain import Subscription
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Notice:
    """An entry for the integration log.

    Attributes:
        log_id: The same for every repetition.
        instance_id: The instance it is about; empty when it is about none.
        time: When what it tells of happened.
        message: One sentence.
        details: More, for programs.
        is_warning: Whether it deserves attention.
        correlation_id: Ties it to what caused it.
    """

    log_id: str
    instance_id: str
    time: datetime
    message: str
    details: dict[str, str]
    is_warning: bool
    correlation_id: str


class FlowStarter(Protocol):
    """Starts flows of the acting tenant."""

    async def exists(self, flow_id: str) -> bool:
        """Whether there is such a flow."""

    async def start(self, flow_id: str, *, event_id: str, request_id: str) -> None:
        """Start a flow because of an event; repeating with the same request id starts it once.

        Raises:
            Fault: What scheduling answers, `EXECUTION_RUNNING` for example.
        """


class LogWriter(Protocol):
    """Writes the acting tenant's integration log."""

    async def write(self, notice: Notice) -> None:
        """Append an entry; repeating adds nothing.

        Raises:
            Fault: What monitoring answers.
        """


class Announcer(Protocol):
    """Says what happened, in the transaction that made it true."""

    async def subscription(
        self, conn: AsyncConnection, tenant_id: str, verb: str, subscription: Subscription, by: str
    ) -> None:
        """Say that a subscription was `created`, `updated` or `deleted`."""


__all__ = ["Announcer", "FlowStarter", "LogWriter", "Notice"]
