"""Looks now and then for what nobody asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from isthmus.kit import Clock
from isthmus.services.credentials.reminding import Reminders
from isthmus.services.credentials.rotating import Rotating

_FIRST_SECONDS, _LOOK_SECONDS, _LEAST_SECONDS = 300.0, 3600.0, 10.0


class Sweep:
    """Reminds of secrets that end and goes on with rotations, over all tenants.

    Args:
        reminders: Reminds.
        rotating: Rotates.
        clock: The time.
    """

    def __init__(self, reminders: Reminders, rotating: Rotating, *, clock: Clock) -> None:
        self._jobs: tuple[Callable[[], Awaitable[None]], ...] = (reminders.sweep, rotating.sweep)
        self._rotating = rotating
        self._clock = clock

    async def run(self) -> None:
        """Look for ever, once an hour, and when a rotation goes on; starting is no time for it."""
        pause = _FIRST_SECONDS
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rotating.woken.wait(), pause)
            if self._rotating.woken.is_set():
                self._rotating.woken.clear()
            else:
                for job in self._jobs:
                    await job()
            pause = await self._pause()

    async def _pause(self) -> float:
        ahead = await self._rotating.next_time()
        if ahead is None:
            return _LOOK_SECONDS
        seconds = (ahead - self._clock.now()).total_seconds()
        return min(max(seconds, _LEAST_SECONDS), _LOOK_SECONDS)


__all__ = ["Sweep"]
