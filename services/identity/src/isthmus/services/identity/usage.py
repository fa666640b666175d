"""Keeps count of how API keys are used, in memory first and in PostgreSQL every few seconds."""

import asyncio
from dataclasses import dataclass

from isthmus.kit import Clock
from isthmus.services.identity.domain import Use, network_of
from isthmus.services.identity.store import Keys, Store
from isthmus.services.identity.tells import Tells


@dataclass(frozen=True, slots=True)
class Sighting:
    """One question about a key: where it was used, and how often since the question before."""

    api_key_id: str
    client_address: str
    calls: int


class Usage:
    """Gathers uses and writes them down together; who is let in does not wait for it.

    Args:
        store: Where uses are written down.
        events: Tells the mesh what is unusual.
        clock: The time.
        every: Seconds between two notes.
    """

    def __init__(self, store: Store, events: Tells, clock: Clock, *, every: float) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._every = every
        self._uses: dict[str, Use] = {}

    def note(self, sighting: Sighting) -> None:
        """Remember a use until the next note."""
        now = self._clock.now()
        use = self._uses.setdefault(sighting.api_key_id, Use(now))
        use.last_time = now
        use.calls += max(0, sighting.calls)
        if network := network_of(sighting.client_address):
            use.networks.add(network)

    async def run(self) -> None:
        """Write uses down for ever."""
        while True:
            await asyncio.sleep(self._every)
            await self.flush()

    async def flush(self) -> None:
        """Write down what was gathered, and tell what is unusual about it."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        async with self._store.everything() as rows:
            for oddity in await Keys(rows.conn).note_uses(uses, self._every, self._clock.now()):
                await self._events.key(
                    rows.conn, "used_unusually", oddity.key, "", oddity=oddity.kind, network=oddity.network
                )


__all__ = ["Sighting", "Usage"]
