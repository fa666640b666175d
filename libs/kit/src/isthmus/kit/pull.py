"""Takes messages of a durable consumer as soon as they come, as many as lie ready.

nats-py's own `fetch` of several messages takes a status that answers an earlier question for one of its
own, and then waits for the last message that it asked for; a lone one lies for seconds.
"""

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from typing import Any

from nats import errors
from nats.js import api

_GRACE_SECONDS = 1.0
_OVER = frozenset({api.StatusCode.NO_MESSAGES.value, api.StatusCode.REQUEST_TIMEOUT.value})


class ConsumerGone(errors.Error):
    """The consumer, or its stream, is no longer there."""


class Pull:
    """One question at a time lies at the server, and what comes is given at once.

    Args:
        client: The connection.
        stream: The stream's name.
        durable: The consumer's name.
    """

    def __init__(self, client: Any, stream: str, durable: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = client.new_inbox()
        self._ready: deque[Any] = deque()
        self._news = asyncio.Event()
        self._subscription: Any = None
        self._questions = 0
        self._open = 0
        self._ends_at = 0.0
        self._refused = ""

    async def some(self, most: int, seconds: float) -> list[Any]:
        """Give the messages that lie ready, or wait for the first one.

        A question that was answered in part stays open for the rest, and no other one is asked beside it.

        Args:
            most: No more than so many.
            seconds: How long to wait.

        Returns:
            Nothing where none has come in time.

        Raises:
            ConsumerGone: Whoever asks has to make it again.
            TimeoutError: The server says nothing at all.
        """
        if self._subscription is None:
            self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._heard)
        if not self._ready and not self._open:
            await self._ask(most, seconds)
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                while not self._ready and self._open:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            if time.monotonic() < self._ends_at:
                return []
            self._open = 0
            raise
        if self._refused:
            raise ConsumerGone(f"the consumer answers {self._refused}")
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    async def close(self) -> None:
        """Let the server forget the question, and give back what nobody has taken."""
        with suppress(errors.Error, OSError):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            while self._ready:
                await self._ready.popleft().nak()

    async def _ask(self, most: int, seconds: float) -> None:
        self._questions += 1
        self._open, self._refused = most, ""
        self._ends_at = time.monotonic() + seconds + _GRACE_SECONDS
        body = json.dumps({"batch": most, "expires": int(seconds * 1e9)}).encode()
        await self._client.publish(self._subject, body, reply=f"{self._inbox}.{self._questions}")

    async def _heard(self, message: Any) -> None:
        status = "" if message.data else (message.headers or {}).get(api.Header.STATUS.value, "")
        if not status:
            self._ready.append(message)
            self._open = max(0, self._open - 1)
        elif message.subject == f"{self._inbox}.{self._questions}":
            self._open = 0
            self._refused = "" if status in _OVER else status
        self._news.set()


__all__ = ["ConsumerGone", "Pull"]
