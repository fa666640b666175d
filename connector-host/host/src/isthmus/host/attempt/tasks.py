"""Tasks side by side: how they are ended, and which of their failures counts."""

import asyncio
from typing import Any

from isthmus.kit.logs import logger
from isthmus.resilience import Broken

_log = logger(__name__)
_CANCELLATIONS = 5
_CANCEL_AGAIN = 1.0


def first_cause(undelivered: BaseException | None, failed: BaseException | None) -> BaseException:
    """The failure that came first: a task that was merely cancelled is a consequence."""
    causes = [one for one in (undelivered, failed) if one and not isinstance(one, asyncio.CancelledError)]
    return causes[0] if causes else Broken("DELIVERY_INCOMPLETE", "Batches in flight were not acknowledged.")


async def ended(task: "asyncio.Task[Any]") -> BaseException | None:
    """Cancel a task that still runs, wait for it, and return what it ended with.

    It is cancelled several times, because libraries swallow cancellations; one that does not end
    at all is left behind, so that it cannot hold the execution.
    """
    for _ in range(_CANCELLATIONS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN)
    if not task.done():
        _log.warning("a task does not end", task=task.get_name())
        return asyncio.CancelledError()
    return asyncio.CancelledError() if task.cancelled() else task.exception()


__all__ = ["ended", "first_cause"]
