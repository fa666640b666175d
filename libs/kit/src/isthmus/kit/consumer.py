"""Durable consumers: each event has its effect once, or is set aside after a bounded number of tries."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.kit.event import ReceivedEvent

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Handler = Callable[["AsyncConnection", ReceivedEvent], Awaitable[None]]
Together = Callable[["AsyncConnection", Sequence[ReceivedEvent]], Awaitable[None]]
Awaited = Callable[["AsyncConnection", Sequence[ReceivedEvent]], Awaitable[Collection[ReceivedEvent]]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Interest of a service in events.

    Attributes:
        durable: Name of the consumer, shared by all replicas, for example `monitoring-executions`.
        subjects: Subjects wanted, with NATS wildcards.
        handle: Called in one tenant transaction per event; its writes and the memory of the event's id
            commit together, so an event that comes twice has its effect once.
        together: Does the same for several events of one tenant that came together, in one transaction.
        wanted: Tells by an event alone whether it can have an effect here; one that cannot is not remembered.
        awaited: Tells of several events of one tenant, by what is stored, which of them have an effect now;
            the others are not remembered.
        is_repeatable: The handler itself sees to it that an event that comes twice has its effect once, so no
            event has to be remembered for it.
        max_deliver: Tries before the event goes to `isthmus.dead.<durable>`.
        ack_wait: Seconds one try may take before another replica gets the event.
        backoff: First pause between tries in seconds; doubles up to 60.
        system: Run the handler with access to all tenants instead of the event's own.
    """

    durable: str
    subjects: Sequence[str]
    handle: Handler
    together: Together | None = None
    wanted: Callable[[ReceivedEvent], bool] | None = None
    awaited: Awaited | None = None
    is_repeatable: bool = False
    max_deliver: int = 8
    ack_wait: float = 30.0
    backoff: float = 0.5
    system: bool = False


__all__ = ["Awaited", "Consumer", "Handler", "Together"]
