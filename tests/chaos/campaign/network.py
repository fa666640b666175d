"""Ways from one place to another that can be cut, silenced and slowed down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from isthmus.testing.faults import TcpProxy

__all__ = ["Network"]


class Network:
    """One proxy before each place, all of them in a thread of their own."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        """Where each place is reached, by the link's name."""
        self._links: dict[str, TcpProxy] = {}
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._stack.aclose()).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def lead(self, places: Mapping[str, int]) -> None:
        """Lay a link to each place, given its port; nobody has to listen there yet."""
        for name, port in places.items():
            proxy = TcpProxy(port)
            self._do(self._stack.enter_async_context(proxy)).result(30)
            self._links[name], self.ports[name] = proxy, proxy.port

    def cut(self, link: str) -> None:
        """Reset what is open and what is opened."""
        self._loop.call_soon_threadsafe(self._links[link].cut)

    def silence(self, link: str) -> None:
        """Let nothing through, and keep connections open."""
        self._loop.call_soon_threadsafe(self._links[link].swallow)

    def delay(self, link: str, seconds: float) -> None:
        """Hold everything up."""
        self._links[link].delay = seconds

    def heal(self, link: str) -> None:
        """Let everything through as if nothing had been."""
        self._links[link].delay = 0.0
        self._loop.call_soon_threadsafe(self._links[link].heal)

    def _do(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
