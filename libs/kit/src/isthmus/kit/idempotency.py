"""Creates and starts that may be repeated: the same request id gives the first answer again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from isthmus.kit.principal import current_principal
from isthmus.kit.redaction import without_secrets
from isthmus.resilience.faults import Conflict, FixRequest, Precondition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

R = TypeVar("R", bound=Message)

_LONGEST_ID = 128

_CLAIM = text(
    "INSERT INTO idempotency (tenant_id, rpc, request_id, fingerprint) "
    "VALUES (:tenant_id, :rpc, :request_id, :fingerprint) ON CONFLICT DO NOTHING"
)
_KEEP = text(
    "UPDATE idempotency SET response = :response "
    "WHERE tenant_id = :tenant_id AND rpc = :rpc AND request_id = :request_id"
)
_FIND = text(
    "SELECT fingerprint, response FROM idempotency "
    "WHERE tenant_id = :tenant_id AND rpc = :rpc AND request_id = :request_id"
)


async def once(
    conn: AsyncConnection,
    rpc: str,
    request: Message,
    produce: Callable[[], Awaitable[R]],
    response_type: type[R],
) -> R:
    """Run `produce` unless this request was answered before; then give that answer.

    Of two equal requests at the same moment the second waits for the first. Fields marked
    `debug_redact` are not remembered: a repeated answer comes without them.

    Args:
        conn: The transaction in which the effect happens; the answer is remembered in it.
        rpc: Name of the RPC; request ids are counted per RPC.
        request: The request; its field `request_id` identifies it, empty means never repeated.
        produce: Does the work and returns the response.
        response_type: The response's message class.

    Raises:
        Conflict: `REQUEST_ID_REUSED`, the id was used for a different request.
        Precondition: `ANSWER_ERASED`, the answer held data of a person that was erased.
    """
    request_id: str = request.request_id  # type: ignore[attr-defined]
    if not request_id:
        return await produce()
    check_request_id(request_id)
    key = {"tenant_id": current_principal().tenant_id, "rpc": rpc, "request_id": request_id}
    fingerprint = fingerprint_of(request)
    claimed = await conn.execute(_CLAIM, {**key, "fingerprint": fingerprint})
    if claimed.rowcount == 0:
        return await _first_answer(conn, key, fingerprint, response_type)
    response = await produce()
    await conn.execute(_KEEP, {**key, "response": without_secrets(response).SerializeToString()})
    return response


async def _first_answer(
    conn: AsyncConnection, key: dict[str, str], fingerprint: bytes, response_type: type[R]
) -> R:
    known = (await conn.execute(_FIND, key)).one()
    if bytes(known.fingerprint) != fingerprint:
        message = "Choose a new request id; this one was used for a different request."
        raise Conflict("REQUEST_ID_REUSED", message, path="request_id")
    if known.response is None:
        message = (
            "It was done; its answer was erased with a person's data. To do it again choose a new request id."
        )
        raise Precondition("ANSWER_ERASED", message, path="request_id")
    return response_type.FromString(bytes(known.response))


def check_request_id(request_id: str) -> None:
    """Refuse an id that is too long.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    if len(request_id) > _LONGEST_ID:
        message = f"Use at most {_LONGEST_ID} characters for the request id, a UUID for example."
        raise FixRequest("FIELD_INVALID", message, path="request_id")


def fingerprint_of(request: Message) -> bytes:
    """Return what a request is told apart by from another one with the same id."""
    return hashlib.sha256(without_secrets(request).SerializeToString(deterministic=True)).digest()


__all__ = ["check_request_id", "fingerprint_of", "once"]
