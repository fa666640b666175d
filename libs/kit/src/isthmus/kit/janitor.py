"""Forgets what the chassis' own tables need not remember any longer."""

import asyncio
import random
from datetime import timedelta

from isthmus.kit.db.database import Database
from sqlalchemy import TextClause, text

_EVERY_SECONDS = 600.0

INBOX_REMEMBERS = timedelta(days=9)
"""The inbox remembers longer than the event stream keeps, so that no event is ever handled twice."""
_RULES = {
    "outbox": "sent_at < now() - interval '1 day'",
    "inbox": f"handled_at < now() - interval '{INBOX_REMEMBERS.days} days'",
    "idempotency": "created_at < now() - interval '7 days'",
}
_LIMIT = 10_000


class Janitor:
    """Removes old rows in small portions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> None:
        """Sweep for ever, at times that replicas do not share."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads load only
            await self.sweep()

    async def sweep(self) -> None:
        """Remove what is old enough now."""
        for table, condition in _RULES.items():
            async with self._db.system() as conn:
                found = await conn.execute(text("SELECT to_regclass(:table)"), {"table": table})
                if found.scalar() is not None:
                    await conn.execute(_removal(table, condition))


def _removal(table: str, condition: str) -> TextClause:
    """Both arguments are the constants above."""
    old = f"SELECT ctid FROM {table} WHERE {condition} LIMIT {_LIMIT}"  # noqa: S608
    return text(f"DELETE FROM {table} WHERE ctid IN ({old})")  # noqa: S608


__all__ = ["INBOX_REMEMBERS", "Janitor"]
