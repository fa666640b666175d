"""Reads __title__'s incidents as they change, writes them back, and takes its webhooks."""

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from isthmus.sdk import (
    Api,
    AuthMethod,
    Batch,
    Connector,
    Event,
    Page,
    Secret,
    destination,
    signatures,
    source,
    webhook,
)
from pydantic import BaseModel, Field, HttpUrl


class Settings(BaseModel):
    """How to reach one tenant of __title__."""

    url: HttpUrl = Field(description="Base address, for example https://__name__.example/api.")
    signing_secret: Secret = Field(description="What __title__ signs its webhooks with, `whsec_…`.")


class Incident(BaseModel):
    """One incident, as __title__ shows it."""

    id: str
    title: str
    severity: int = Field(ge=1, le=5, description="1 is the most severe.")
    updated_at: datetime


class __Class__(Connector[Settings]):
    """__Title__: incidents, both ways."""

    version = "0.1.0"
    auth_methods = (AuthMethod.BEARER,)

    def open(self) -> None:
        """Makes the client; the credential is the leased one."""
        self.api = Api(self.settings.url, rate="10/s")
        self.signed = signatures.standard_webhooks(self.settings.signing_secret)

    async def check(self) -> None:
        """Asks for the cheapest thing that needs the credential."""
        await self.api.get("/me")

    @source(key="id", cursor="updated_at")
    async def incidents(self, since: datetime | None) -> AsyncIterator[Page[Incident]]:
        """Incidents, the oldest change first."""
        async for body in self.api.pages("/incidents", since=since, follow="next", records="items"):
            yield Page(Incident(**item) for item in body["items"])

    @destination(name="incidents", key="id")
    async def write_incidents(self, batch: Batch[dict[str, Any]]) -> None:
        """Creates or replaces incidents; the same one twice is the same one."""
        for incident in batch:
            reply = await self.api.put(f"/incidents/{incident['id']}", json=incident)
            if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                batch.reject(incident, reply.text)

    @webhook("incident.changed", feeds=incidents)
    async def changed(self, event: Event) -> Incident:
        """Turns a push into the record that `incidents` yields."""
        self.signed(event)
        return Incident(**event.body["incident"])
