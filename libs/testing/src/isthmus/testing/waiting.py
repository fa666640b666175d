"""Waits for what other tasks and processes bring about: patiently, and by name when it was in vain."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

__all__ = ["PATIENCE_SECONDS", "eventually", "until", "waiting_for"]

PATIENCE_SECONDS = 150.0
"""How long tests wait at most; a busy machine may take minutes where another takes a moment."""

_NOTHING_YET = object()
_SHOWN_CHARACTERS = 2000

Answer = TypeVar("Answer")


def until(
    ask: Callable[[], Answer], what: str, *, such: Callable[[Answer], Any] = bool, pause: float = 0.1
) -> Answer:
    """Ask again until the answer is as it should be.

    Args:
        ask: Asked as often as it takes.
        what: What the wait is for.
        such: Tells whether an answer ends the wait; by default anything true does.
        pause: Seconds between two questions.

    Returns:
        The answer.

    Raises:
        TimeoutError: it did not happen in time; tells what, and the last answer.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not such(answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(_in_vain(what, answer))
        time.sleep(pause)
    return answer


async def eventually(
    ask: Callable[[], Awaitable[Answer] | Answer],
    what: str,
    *,
    such: Callable[[Answer], Any] = bool,
    pause: float = 0.02,
) -> Answer:
    """Ask again until the answer is as it should be, and let other tasks do their work meanwhile.

    Args:
        ask: Asked, and awaited where it has to be, as often as it takes.
        what: What the wait is for.
        such: Tells whether an answer ends the wait; by default anything true does.
        pause: Seconds between two questions.

    Returns:
        The answer.

    Raises:
        TimeoutError: it did not happen in time; tells what, and the last answer.
    """
    last: Any = _NOTHING_YET
    limit = asyncio.timeout(PATIENCE_SECONDS)
    try:
        async with limit:
            while True:
                found = ask()
                answer = await found if inspect.isawaitable(found) else found
                if such(answer):
                    return answer
                last = answer
                await asyncio.sleep(pause)
    except TimeoutError as late:
        if limit.expired():
            raise TimeoutError(_in_vain(what, last)) from late
        raise


@asynccontextmanager
async def waiting_for(what: str) -> AsyncIterator[asyncio.Timeout]:
    """Limit how long the block may take.

    Args:
        what: What the block waits for.

    Yields:
        The limit; somebody who sees that things get on may move it.

    Raises:
        TimeoutError: the block has not ended in time.
    """
    limit = asyncio.timeout(PATIENCE_SECONDS)
    try:
        async with limit:
            yield limit
    except TimeoutError as late:
        if limit.expired():
            raise TimeoutError(_in_vain(what)) from late
        raise


def _in_vain(what: str, last: object = _NOTHING_YET) -> str:
    said = "" if last is _NOTHING_YET else f"; the last answer was {str(last)[:_SHOWN_CHARACTERS]}"
    return f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}{said}"
