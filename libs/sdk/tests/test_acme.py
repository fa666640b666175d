"""The connector of the style guide, run as written."""

from collections.abc import AsyncIterator
from datetime import datetime

from isthmus.sdk import Batch, Connector, Page, Secret, destination, source
from isthmus.sdk.runtime import Session
from pydantic import BaseModel, Field, HttpUrl


class Settings(BaseModel):
    url: HttpUrl
    token: Secret = Field(description="t")


class Incident(BaseModel):
    id: str
    updated_at: datetime


class Acme(Connector[Settings]):
    """Acme."""

    @source(key="id", cursor="updated_at")
    async def incidents(self, since: datetime | None) -> AsyncIterator[Page[Incident]]:
        """Incidents."""
        for n in range(3):
            yield Page([Incident(id=str(n), updated_at=f"2026-01-0{n + 1}T00:00:00Z")])

    @destination(key="id")
    async def follow_ups(self, batch: Batch[Incident]) -> None:
        """Follow."""
        for i in batch:
            if i.id == "2":
                batch.reject(i, "no")


async def test_pages_carry_positions():
    """
    Every page has the position after it, and the end one of its own.
    """
    async with Session(Acme, {"url": "http://x/", "token": "abc"}) as session:
        positions = [page.position.state["cursor"] async for page in await session.read("incidents")]

    assert positions == [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3, 3)]
