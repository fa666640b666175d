"""Acme ITSM: reads incidents as they change, writes follow-ups back."""

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus

from isthmus.sdk import Api, Batch, Connector, Event, Page, Secret, destination, source, webhook
from pydantic import BaseModel, Field, HttpUrl


class Settings(BaseModel):
    """How to reach one Acme tenant."""

    url: HttpUrl = Field(description="Base address, for example https://acme.example/api.")
    token: Secret = Field(description="API token that may read and write incidents.")


class Incident(BaseModel):
    """One incident as Acme reports it."""

    id: str
    title: str
    severity: int = Field(ge=1, le=5, description="1 is the most severe.")
    updated_at: datetime


class Acme(Connector[Settings]):
    """Acme ITSM."""

    def open(self) -> None:
        self.api = Api(self.settings.url, bearer=self.settings.token, rate="10/s")

    async def check(self) -> None:
        await self.api.get("/me")

    @source(key="id", cursor="updated_at")
    async def incidents(self, since: datetime | None) -> AsyncIterator[Page[Incident]]:
        """Incidents, oldest change first."""
        async for body in self.api.pages("/incidents", since=since, follow="next"):
            yield Page(Incident(**item) for item in body["items"])

    @destination(key="id")
    async def follow_ups(self, batch: Batch[Incident]) -> None:
        """Creates or updates one incident per record; safe to repeat."""
        for incident in batch:
            reply = await self.api.put(f"/incidents/{incident.id}", json=incident)
            if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                batch.reject(incident, reply.text)

    @webhook("incident.changed", feeds=incidents)
    async def changed(self, event: Event) -> Incident:
        """Turns Acme's push into the record that `incidents` yields."""
        return Incident(**event.body["incident"])
