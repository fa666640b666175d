"""Subscribers: made, listed, ended."""

from isthmus.kit import Clock, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import AlreadyExists, LimitReached
from isthmus.services.events.domain import Subscriber, hashed, new_password
from isthmus.services.events.store import subscribers
from sqlalchemy.ext.asyncio import AsyncConnection

_MOST = 100


class Subscribers:
    """Keeps subscribers; every method is one transaction's work.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def create(
        self, conn: AsyncConnection, tenant_id: str, name: str, by: str
    ) -> tuple[Subscriber, str]:
        """Store a new subscriber, and return it with its password, which is not kept.

        Raises:
            AlreadyExists: `SUBSCRIBER_NAME_TAKEN`.
            LimitReached: `SUBSCRIBERS_LIMIT`.
        """
        if await subscribers.count_subscribers(conn, tenant_id) >= _MOST:
            message = f"Delete subscribers that nobody uses; a tenant has at most {_MOST}."
            raise LimitReached("SUBSCRIBERS_LIMIT", message)
        made, password = Subscriber(new_id("sbr"), tenant_id, name, by, self._clock.now()), new_password()
        if not await subscribers.insert_subscriber(conn, made, hashed(password)):
            message = f'There is a subscriber named "{name}" already; choose another name.'
            raise AlreadyExists("SUBSCRIBER_NAME_TAKEN", message, path="name")
        tell(target=made.subscriber_id)
        return made, password

    async def end(self, conn: AsyncConnection, tenant_id: str, subscriber_id: str) -> bool:
        """Let a subscriber connect no more, and tell whether there was one."""
        ended = await subscribers.end_subscriber(conn, tenant_id, subscriber_id, self._clock.now())
        if ended:
            tell(before={"subscriber_id": subscriber_id})
        return ended


__all__ = ["Subscribers"]
