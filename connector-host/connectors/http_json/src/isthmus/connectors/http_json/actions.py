"""Single requests outside of streams: acknowledge an alert, close a month, start a job."""

from typing import Any, Literal

from isthmus.sdk import Api, DataFailure, Reply
from pydantic import BaseModel, ConfigDict, Field

_SHOWN = 4000


class Send(BaseModel):
    """One request."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=r"^/([^/].*)?$", max_length=2000, description="Below the base address.")
    method: Literal["POST", "PATCH"] = "POST"
    body: Any = Field(None, description="Sent as JSON; without one the request has no body.")


class SendOnce(Send):
    """One request that the system knows again by a key."""

    header: str = Field(
        "Idempotency-Key", pattern=r"^[A-Za-z0-9-]{1,100}$", description="Where the system looks for the key."
    )


class Put(BaseModel):
    """One request that may be repeated."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=r"^/([^/].*)?$", max_length=2000, description="Below the base address.")
    method: Literal["PUT", "DELETE"] = "PUT"
    body: Any = Field(None, description="Sent as JSON; without one the request has no body.")


async def send(api: Api, given: Send) -> dict[str, Any]:
    """Sends a request at most once."""
    return _told(await api.request(given.method, given.path, json=given.body, idempotent=False))


async def send_once(api: Api, given: SendOnce, request_id: str) -> dict[str, Any]:
    """Sends a request until there is an answer, always with the same key."""
    headers = {given.header: request_id}
    reply = await api.request(given.method, given.path, json=given.body, headers=headers, idempotent=True)
    return _told(reply)


async def put(api: Api, given: Put) -> dict[str, Any]:
    """Sends a request that does the same however often it arrives."""
    return _told(await api.request(given.method, given.path, json=given.body, idempotent=True))


def _told(reply: Reply) -> dict[str, Any]:
    """What the system answered; what is no JSON as the beginning of its text."""
    if not reply.text.strip():
        return {"status": reply.status}
    try:
        return {"status": reply.status, "body": reply.body}
    except DataFailure:
        return {"status": reply.status, "text": reply.text[:_SHOWN]}


__all__ = ["Put", "Send", "SendOnce", "put", "send", "send_once"]
