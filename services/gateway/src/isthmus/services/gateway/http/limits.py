"""What a request may weigh, and how long it may take."""

import asyncio
import json
from typing import Any

from isthmus.resilience.faults import FixRequest
from isthmus.services.gateway.http.problem import problem
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 1024 * 1024
DEEPEST_JSON = 32
_ARRIVES_WITHIN = 10.0
_ANSWERED_WITHIN = 30.0
_LONGEST_TARGET = 8 * 1024
# A client that is cut off while it still sends never reads why; so much is read for that, and thrown away.
_READ_AND_FORGOTTEN = 8 * LARGEST_BODY


class Limits:
    """Reads the body before anybody else does, and refuses what is too large or too slow.

    Args:
        app: What answers requests within the limits.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        trouble = None
        try:
            async with asyncio.timeout(_ARRIVES_WITHIN):
                body = await _whole(receive)
        except TimeoutError:
            trouble = (408, f"Send the whole request within {_ARRIVES_WITHIN:.0f} seconds.")
        else:
            if body is None:
                trouble = (413, f"Send at most {LARGEST_BODY // 1024} KiB in one request.")
            elif len(scope["path"]) + len(scope["query_string"]) > _LONGEST_TARGET:
                trouble = (414, f"Shorten the address to {_LONGEST_TARGET // 1024} KiB.")
            else:
                await self._within_time(scope, _replay(body, receive), send)
        if trouble is not None:
            # Something of the body may be left, so the connection cannot be used for another request.
            answer = problem(*trouble, instance=scope["path"], headers={"Connection": "close"})
            await answer(scope, receive, send)

    async def _within_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                await self._app(scope, receive, sending)
        except TimeoutError:
            if has_begun:
                raise
            detail = f"There was no answer within {_ANSWERED_WITHIN:.0f} seconds; repeat the request later."
            await problem(504, detail, instance=scope["path"])(scope, receive, send)


def parse_json(body: bytes) -> Any:
    """Read a JSON body that nests no deeper than the house allows.

    Raises:
        FixRequest: `BODY_INVALID`.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
        # What no text in the database can hold is refused here, where there is a good message for it.
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        raise FixRequest("BODY_INVALID", "Send one JSON document in UTF-8 as the body.") from None
    if "\\u0000" in text or _depth(value) > DEEPEST_JSON:
        message = f"Send a document without the character U+0000 that nests at most {DEEPEST_JSON} deep."
        raise FixRequest("BODY_INVALID", message)
    return value


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        if deepest > DEEPEST_JSON:
            return deepest
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def _no_constant(name: str) -> None:
    raise ValueError(name)


async def _whole(receive: Receive) -> bytes | None:
    """Return the body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while size <= _READ_AND_FORGOTTEN:
        message = await receive()
        if message["type"] != "http.request":
            break
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts) if size <= LARGEST_BODY else None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already, and then whatever comes after it."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


__all__ = ["DEEPEST_JSON", "LARGEST_BODY", "Limits", "parse_json"]
