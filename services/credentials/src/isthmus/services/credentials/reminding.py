"""Reminds of secrets that end soon."""

from datetime import timedelta

from isthmus.kit import Clock, Database
from isthmus.services.credentials.leasing import Tells
from isthmus.services.credentials.store import Rows

_AT_ONCE = 100


class Reminders:
    """Publishes `auth_config.expiring` once for each end of a secret, by whichever replica looks first.

    Args:
        db: Where configurations are kept.
        events: Tells the mesh.
        clock: The time.
        ahead: How long before the end.
    """

    def __init__(self, db: Database, events: Tells, *, clock: Clock, ahead: timedelta) -> None:
        self._db = db
        self._events = events
        self._clock = clock
        self._ahead = ahead

    async def sweep(self) -> None:
        """Remind of all that end soon."""
        while await self.remind() == _AT_ONCE:
            pass

    async def remind(self) -> int:
        """Remind of some; gives of how many."""
        async with self._db.system() as conn:
            found = await Rows(conn).expiring(self._clock.now() + self._ahead, _AT_ONCE)
            for config in found:
                await self._events.changed(conn, "expiring", config, "service:credentials")
        return len(found)


__all__ = ["Reminders"]
