"""What all rows of one transaction share."""

from functools import lru_cache
from typing import Any

from isthmus.kit import PageRequest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection


@lru_cache(maxsize=500)
def _statement(sql: str) -> TextClause:
    return text(sql)


class Rows:
    """Runs SQL on one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def _all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        return [row._asdict() for row in await self._conn.execute(_statement(sql), values)]

    async def _first(self, sql: str, **values: Any) -> dict[str, Any] | None:
        rows = await self._all(sql, **values)
        return rows[0] if rows else None

    async def _run(self, sql: str, **values: Any) -> None:
        await self._conn.execute(_statement(sql), values)


def window(page: PageRequest) -> dict[str, Any]:
    """Return where a page of a list by id begins, and how many rows tell whether another follows."""
    return {"after": str((page.after or {}).get("id", "")), "limit": page.size + 1}


def fields(row: Any) -> dict[str, Any]:
    """Return a value's fields as SQL takes them."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


__all__ = ["Rows", "fields", "window"]
