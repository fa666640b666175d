"""Hears of credentials that were changed or taken back, and stops using them."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from isthmus.host.binding import Leases, deaf
from isthmus.kit.bus import Bus
from isthmus.kit.bus_users import REVOCATIONS
from isthmus.kit.subscription import received
from nats import errors

_ENDED = ("revoked", "deleted")
Revoke = Callable[[str, str], Awaitable[None]]


class Revocations:
    """Listens to events as they pass, and says whether it does: while NATS is away leases are asked for anew.

    Args:
        bus: Where events pass.
        leases: Forgets what was borrowed.
        revoke: Stops sessions that work with a credential; None where this process has none.
    """

    def __init__(self, bus: Bus, leases: Leases, revoke: Revoke | None) -> None:
        self._bus = bus
        self._leases = leases
        self._revoke = revoke

    async def run(self) -> None:
        """Listen for ever; the connection subscribes again by itself after a loss."""
        while True:
            await self._bus.ready()
            client = self._bus.client
            subscriptions = [await client.subscribe(subject, cb=self._heard) for subject in REVOCATIONS]
            self._leases.hears = self._connection
            try:
                await self._bus.outlived()
            finally:
                self._leases.hears = deaf
                for subscription in subscriptions:
                    with suppress(errors.Error):
                        await subscription.unsubscribe()

    def _connection(self) -> object:
        """The number of the connection on which events come; another one may have missed some."""
        client = self._bus.client
        return client.stats["reconnects"] if client.is_connected else None

    async def _heard(self, message: Any) -> None:
        event = received(message.subject, message.data)
        if event is None:
            return
        self._leases.end(event.tenant_id, event.subject)
        if self._revoke is not None and message.subject.endswith(_ENDED):
            await self._revoke(event.tenant_id, event.subject)


__all__ = ["Revocations"]
