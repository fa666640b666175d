"""Makes the hub known as a connector, which no host does."""

import asyncio

from isthmus.resilience.faults import Fault
from isthmus.services.registry import convert
from isthmus.services.registry.domain.model import EVERYBODY
from isthmus.services.registry.domain.specs import read_spec
from isthmus.services.registry.servicer import Desk, register

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


async def introduce_hub(desk: Desk) -> None:
    """Ask the record store what it is until it answers, and register it; then there is nothing more to do."""
    pause = _FIRST_PAUSE
    while True:
        try:
            described = await desk.prober.describe_hub()
            await register(desk, read_spec(convert.document(described), may_be_built_in=True), EVERYBODY)
            break
        except Fault:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    await asyncio.Event().wait()


__all__ = ["introduce_hub"]
