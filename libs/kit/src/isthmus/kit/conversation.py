"""Streams in both directions that end with what the peer said, even in the middle of a write."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

_OVERWRITTEN = "Internal error from Core"
_LATE_SECONDS = 2.0


class Conversation:
    """A call that streams both ways and keeps the status that its peer ended it with.

    A write that meets a stream which the peer has ended makes grpc.aio put an INTERNAL of its own in
    the place of the peer's status, whether that has arrived already or is about to. Each status is
    noted here at the moment it is set; what the peer said is what reading and writing raise.

    Args:
        call: What a stream-stream stub returned.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._said: grpc.aio.AioRpcError | None = None
        self._heard = asyncio.Event()
        self._messages: AsyncIterator[Any] | None = None
        call.add_done_callback(self._note)

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the call."""
        return getattr(self._call, name)

    async def write(self, message: Any) -> None:
        """Send a message.

        Raises:
            InvalidStateError: The peer has ended the stream; reading tells how.
            AioRpcError: The same, where that is known already.
        """
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            if error.details() != _OVERWRITTEN:
                raise
            raise asyncio.InvalidStateError("The peer has ended the stream; reading tells how.") from None

    async def done_writing(self) -> None:
        """Say that no more messages come; a stream that the peer has ended needs no such word."""
        with suppress(grpc.aio.InternalError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def read(self) -> Any:
        """Return the next message, or `grpc.aio.EOF` when the peer has ended the stream well.

        Raises:
            AioRpcError: What the peer ended the stream with.
        """
        # The iterator gives messages that came before the end, where the call's own `read` gives up.
        self._messages = self._messages or aiter(self._call)
        try:
            message = await anext(self._messages, grpc.aio.EOF)
        except grpc.aio.AioRpcError as error:
            return self._end(await self._meant(error))
        return self._end(self._said) if message is grpc.aio.EOF and self._said else message

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    def _end(self, error: grpc.aio.AioRpcError) -> Any:
        if error.code() is not grpc.StatusCode.OK:
            raise error from None
        return grpc.aio.EOF

    async def _meant(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """What the peer said, where an error stands in front of that."""
        if error.details() != _OVERWRITTEN:
            return error
        try:
            async with asyncio.timeout(_LATE_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            return error  # nothing came: the connection broke
        return self._said or error

    def _note(self, _call: Any) -> None:
        """Keep the status that was set this moment; a later one may take its place."""
        if self._heard.is_set():
            return
        details = _now(self._call.details())
        if details == _OVERWRITTEN:
            return
        code, trailers = _now(self._call.code()), _now(self._call.trailing_metadata())
        if code is not None:
            none = grpc.aio.Metadata()
            self._said = grpc.aio.AioRpcError(code, none, trailers or none, details)
        self._heard.set()


def _now(known: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that has nothing to wait for; None of one that waits."""
    try:
        known.send(None)
    except StopIteration as end:
        return end.value
    known.close()
    return None


__all__ = ["Conversation"]
