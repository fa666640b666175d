"""Finds a host that serves a connector, and has one started where none runs."""

import asyncio
from datetime import datetime, timedelta

from isthmus.kit import Clock
from isthmus.resilience.faults import RetryLater
from isthmus.services.registry.domain.model import EVERYBODY, HUB, Host
from isthmus.services.registry.launcher import Launcher
from isthmus.services.registry.settings import RegistrySettings
from isthmus.services.registry.store import Store

_LOOK_AGAIN = 0.05
_RETRY_AFTER = 2.0


class Hosts:
    """Chooses among the hosts that have called lately.

    Args:
        store: Where hosts are kept.
        launcher: Starts hosts on demand.
        clock: The time.
        settings: How long hosts are trusted and waited for, and where the hub is.
    """

    def __init__(self, store: Store, launcher: Launcher, clock: Clock, settings: RegistrySettings) -> None:
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._settings = settings
        self._starting: dict[str, asyncio.Task[Host | None]] = {}

    def alive_since(self) -> datetime:
        """Return the moment since which a host must have called to count as running."""
        return self._clock.now() - timedelta(seconds=self._settings.host_lifetime)

    def hub(self) -> Host:
        """Return the record store, which serves the connector contract itself.

        Raises:
            RetryLater: `HOST_UNAVAILABLE`, the registry was not told where it is.
        """
        if not self._settings.records_address:
            raise unavailable(HUB)
        now = self._clock.now()
        return Host(EVERYBODY, HUB, HUB, "", self._settings.records_address, now, now)

    async def resolve(self, owner: str, connector_id: str) -> Host:
        """Return a live host of a connector; where none runs, one that has just been started.

        Args:
            owner: Whose connector it is; hosts of others with an equal name do not serve it.
            connector_id: Which connector.

        Raises:
            RetryLater: `HOST_UNAVAILABLE`.
        """
        host = await self._live(owner, connector_id)
        if host is None and owner == EVERYBODY:
            host = await self._started(connector_id)
        if host is None:
            raise unavailable(connector_id)
        return host

    async def forget(self, host: Host) -> None:
        """Stop offering a host that could not be reached; one that lives calls again."""
        async with self._store.everything() as work:
            await work.hosts.forget(host.host_id)

    async def _live(self, owner: str, connector_id: str) -> Host | None:
        async with self._store.of(owner) as work:
            live = await work.hosts.live(owner, connector_id, self.alive_since())
        return live[0] if live else None

    async def _started(self, connector_id: str) -> Host | None:
        """Have a host started once, however many callers want the same connector."""
        task = self._starting.get(connector_id)
        if task is None:
            task = asyncio.ensure_future(self._start(connector_id))
            self._starting[connector_id] = task
            task.add_done_callback(lambda _: self._starting.pop(connector_id, None))
        return await asyncio.shield(task)

    async def _start(self, connector_id: str) -> Host | None:
        if not await self._launcher.start_host(connector_id):
            return None
        deadline = self._clock.monotonic() + self._settings.host_start_seconds
        while self._clock.monotonic() < deadline:
            host = await self._live(EVERYBODY, connector_id)
            if host is not None:
                return host
            await asyncio.sleep(_LOOK_AGAIN)
        return None


def unavailable(connector_id: str) -> RetryLater:
    """Build the answer for a connector that no process serves at the moment."""
    message = f"No host of `{connector_id}` runs at the moment; start one, or repeat the call in a moment."
    metadata = {"connector_id": connector_id}
    return RetryLater("HOST_UNAVAILABLE", message, retry_after=_RETRY_AFTER, metadata=metadata)


__all__ = ["Hosts", "unavailable"]
