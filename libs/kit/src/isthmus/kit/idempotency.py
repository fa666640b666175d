"""Creates and starts that may be repeated: the same request id gives the first answer again."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

R = TypeVar("R", bound=Message)


class Repeatable(Protocol):
    """A request message with a `request_id`."""

    request_id: str


async def once(
    conn: AsyncConnection,
    rpc: str,
    request: Message,
    produce: Callable[[], Awaitable[R]],
    response_type: type[R],
) -> R:
    """Run `produce` unless this request was answered before; then give that answer.

    Args:
        conn: The transaction in which the effect happens; the answer is remembered in it.
        rpc: Name of the RPC; request ids are counted per RPC.
        request: The request; its field `request_id` identifies it, empty means never repeated.
        produce: Does the work and returns the response.
        response_type: The response's message class.

    Raises:
        Conflict: `REQUEST_ID_REUSED`, the id was used for a different request.
    """
    raise NotImplementedError


__all__ = ["once"]
