"""Tells those who watch an execution at once that it has changed."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from functools import partial

from isthmus.kit.db.database import after_commit
from isthmus.services.scheduling.domain import Execution
from sqlalchemy.ext.asyncio import AsyncConnection

_Key = tuple[str, str]


class News:
    """What one watcher hears of an execution."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()
        self._turned = asyncio.Event()
        self._execution: Execution | None = None

    def tell(self, execution: Execution | None, *, is_progress: bool = False) -> None:
        """Let the watcher know; mere progress is not urgent."""
        self._execution = execution
        self._arrived.set()
        if not is_progress:
            self._turned.set()

    async def heard(self, seconds: float, pace: float = 0.0) -> Execution | None:
        """Wait until something is told, but not longer than some seconds.

        Args:
            seconds: The longest wait.
            pace: So long at least, where there is nothing but progress; what came meanwhile is told as one.

        Returns:
            The execution as it is now; None where it has to be read, because only others know.
        """
        await _within(pace, self._turned)
        if not self._arrived.is_set():
            await _within(seconds - pace, self._arrived)
        self._arrived.clear()
        self._turned.clear()
        execution, self._execution = self._execution, None
        return execution


class Changes:
    """Wakes watchers in this process; those of other replicas find out by looking."""

    def __init__(self) -> None:
        self._watching: defaultdict[_Key, set[News]] = defaultdict(set)

    def note(
        self, conn: AsyncConnection, tenant_id: str, execution_id: str, execution: Execution | None = None
    ) -> None:
        """Tell who watches an execution, once the transaction has been committed.

        Args:
            conn: The transaction.
            tenant_id: Whose execution it is.
            execution_id: Which one.
            execution: As the transaction leaves it, where that is at hand.
        """
        after_commit(conn, partial(self.tell, (tenant_id, execution_id), execution))

    def watch(self, tenant_id: str, execution_id: str) -> News:
        """Return what hears of each change from now on, until `leave`."""
        news = News()
        self._watching[tenant_id, execution_id].add(news)
        return news

    def leave(self, tenant_id: str, execution_id: str, news: News) -> None:
        """Watch no more."""
        watchers = self._watching[tenant_id, execution_id]
        watchers.discard(news)
        if not watchers:
            del self._watching[tenant_id, execution_id]

    def tell(self, key: tuple[str, str], execution: Execution | None, *, is_progress: bool = False) -> None:
        """Tell who watches an execution, by tenant and id, of a change that has been committed."""
        for news in self._watching.get(key, ()):
            news.tell(execution, is_progress=is_progress)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but not for long."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()


__all__ = ["Changes", "News"]
