"""How statements are run, and how values become rows."""

from typing import Any

from isthmus.kit import PageRequest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Statements:
    """Runs statements in one transaction.

    Args:
        conn: The transaction; what it is bound to decides which tenants' rows are seen.
    """

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn

    async def _all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        return [row._asdict() for row in await self.conn.execute(text(sql), values)]

    async def _run(self, sql: str, **values: Any) -> None:
        await self.conn.execute(text(sql), values)


def window(page: PageRequest) -> dict[str, Any]:
    """Return where a page by id begins and how many rows to fetch for it."""
    return {"after": (page.after or {}).get("id", ""), "limit": page.size + 1}


def fields(row: Any) -> dict[str, Any]:
    """Return a value's fields as PostgreSQL takes them."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


__all__ = ["Statements", "fields", "window"]
