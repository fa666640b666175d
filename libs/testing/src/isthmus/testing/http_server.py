"""A local HTTP server that answers as a test wants, also badly."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer.

    Attributes:
        body: Bytes and texts go out as they are, an iterator piece by piece, anything else as JSON.
        cut: Close the connection after this many bytes of the body, whatever was announced.
        until: Wait for this before answering.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    until: asyncio.Event | None = None


Handler = Callable[[Request], Any]


class HttpServer:
    """Serves handlers by method and path on a free port of the loopback interface; counts what came.

    A handler gets the `Request` and gives an `Answer`, a status, or anything
    that JSON can hold. What has no handler is answered with 404.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("enter the server before asking for its port")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, handler: Handler | Any, method: str = "GET") -> None:
        """Answers requests for a path, or with `*` at its end for all that begin so.

        A handler that is no function is the answer itself.
        """
        self._handlers[method, path] = handler if callable(handler) else lambda _: handler

    def in_turn(self, path: str, *answers: Any, method: str = "GET") -> None:
        """Gives one answer after another; the last one stays."""
        left = list(answers)
        self.on(path, lambda _: left.pop(0) if len(left) > 1 else left[0], method)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Sends the answer; False closes the connection."""
        handler = self._handlers.get((request.method, request.path)) or self._below(request)
        given = handler(request) if handler else Answer(404, {"error": "not found"})
        if inspect.isawaitable(given):
            given = await _awaited(given)
        answer = (
            given
            if isinstance(given, Answer)
            else Answer(given)
            if isinstance(given, int)
            else Answer(body=given)
        )
        if answer.until is not None:
            await answer.until.wait()
        pieces, headers = _pieces(answer)
        head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        writer.write(head.encode() + b"\r\n")
        left = answer.cut
        for piece in pieces if request.method != "HEAD" else ():
            writer.write(piece if left is None else piece[:left])
            await writer.drain()
            left = None if left is None else max(0, left - len(piece))
        return left is None and "content-length" in headers

    def _below(self, request: Request) -> Handler | None:
        """Finds the handler of the longest beginning of a path."""
        known = (path for method, path in self._handlers if method == request.method and path.endswith("*"))
        found = max((path for path in known if request.path.startswith(path[:-1])), key=len, default="")
        return self._handlers.get((request.method, found))


async def _awaited(given: Awaitable[Any]) -> Any:
    return await given


def _pieces(answer: Answer) -> tuple[Iterable[bytes], dict[str, str]]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = answer.body
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        headers.setdefault("content-length", str(len(body)))
        return [body], headers
    if hasattr(body, "__next__"):
        headers.setdefault("connection", "close")
        return body, headers
    raw = json.dumps(body).encode()
    headers.setdefault("content-type", "application/json")
    headers.setdefault("content-length", str(len(raw)))
    return [raw], headers


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)


__all__ = ["Answer", "HttpServer", "Request"]
