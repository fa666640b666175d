import asyncio

import pytest
from isthmus.kit import Bus
from isthmus.resilience import faults


async def test_publishing_without_nats_says_retry_later(free_port):
    """
    A bus that was never reachable fails within its time, with a fault the caller can act on.
    """
    bus = Bus(f"nats://127.0.0.1:{free_port}", "notes")
    task = asyncio.create_task(bus.run())
    with pytest.raises(faults.RetryLater, match="NATS"):
        await bus.ready(0.2)
    task.cancel()
    await bus.close()
