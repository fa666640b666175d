"""A simulation of a vendor's system: state, time, identity, limits and misbehaviour around its routes."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar

from isthmus.sdk.sandbox.clock import SandboxClock
from isthmus.sdk.sandbox.collection import Collection, Make
from isthmus.sdk.sandbox.faults import Faults, Misbehaviour
from isthmus.sdk.sandbox.web import Answer, Call, Refused, routes_of

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Push", "Sandbox"]

_REMEMBERED = 10_000
_LARGEST_BODY = 64 * 1024 * 1024
_RETRY_SECONDS = 1
_PROXY_PAGE = Answer("<html><body>Bad gateway</body></html>", 200, {"content-type": "text/html"})


@dataclass(frozen=True)
class Push:
    """A webhook as the system sends it.

    Attributes:
        kind: Which webhook of the connector it is for.
        body: As it is signed.
        headers: The signature and whatever else the system sends along.
        expired: Headers with which it would have been sent long ago; None where the system signs no time.
    """

    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    expired: Mapping[str, str] | None = None


class Sandbox:
    """Base of every sandbox. A subclass makes its collections in `build` and answers requests in routes.

    Args:
        seed: Other seeds make other data and other faults.
        size: How many records each collection has at first.
        faults: A level of `LEVELS`: how often requests go wrong.

    Attributes:
        connector: The connector that it is a system for.
        page_size: The most records that the system puts into one page, of which paging is tried at the edges.
        collections: What the system holds, by the name of the connector's stream.
        calls: The last requests that came.
        valid_for: How many more requests the credential is good for; None for ever.
    """

    connector: ClassVar[str]
    page_size: ClassVar[int] = 100

    def __init__(self, *, seed: int = 7, size: int = 100, faults: str = "none") -> None:
        self.seed = seed
        self.clock = SandboxClock()
        self.faults = Faults(faults, seed)
        self.collections: dict[str, Collection] = {}
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED)
        self.held: asyncio.Event | None = None
        self.waiting = 0
        self.valid_for: int | None = None
        self.build()
        for collection in self.collections.values():
            collection.fill(size)

    def build(self) -> None:
        """Make the collections."""

    def collection(self, stream: str, make: Make, **how: Any) -> Collection:
        """Make the collection of a stream; `how` is what `Collection` takes."""
        made = Collection(self.clock, make, seed=self.seed, **how)
        self.collections[stream] = made
        return made

    def configuration(self, url: str) -> dict[str, Any]:
        """The configuration of an instance for this sandbox."""
        return {"url": url}

    def credential(self) -> dict[str, str]:
        """The credential of an instance for this sandbox, as hosts get it; empty where it wants none."""
        return {}

    def authenticate(self, call: Call) -> None:
        """Refuse a request that does not prove who it is from.

        Raises:
            Refused: 401, or whatever the system says.
        """

    def refusal(self, refused: Refused) -> Any:
        """The body of an error, as the system writes it."""
        return {"error": {"code": refused.code or str(refused.status), "message": refused.message}}

    def pushes(self) -> Sequence[Push]:
        """One webhook of each kind that the system sends, about a record that it has."""
        return ()

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self.held = asyncio.Event()

    def release(self) -> None:
        """Answer what is held, and all that comes."""
        if self.held is not None:
            self.held.set()
            self.held = None

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Answer requests as long as the block lasts.

        Yields:
            The base address.
        """
        from aiohttp import web

        application = web.Application(client_max_size=_LARGEST_BODY)
        for one, method in routes_of(self):
            application.router.add_route(one.method, one.path, self._answering(method))
        application.router.add_route("*", "/{rest:.*}", self._answering(_missing))
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        try:
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            self.release()
            await runner.cleanup()

    def _answering(self, method: Callable[[Call], Any]) -> Any:
        async def answer(request: "web.Request") -> "web.StreamResponse":
            call = await _call_of(request)
            self.calls.append(call)
            await self._wait()
            wrong = self.faults.draw(changes=call.method not in {"GET", "HEAD"})
            if wrong is Misbehaviour.RESET:
                return _cut(request)
            early = self._instead(wrong)
            if early is not None:
                return _response(early)
            made = await self._made(method, call)
            if wrong is Misbehaviour.HALF_DONE:
                return _cut(request)
            if wrong is Misbehaviour.TRUNCATED:
                return await _half(request, made)
            return _response(made)

        return answer

    async def _wait(self) -> None:
        if self.held is not None:
            self.waiting += 1
            try:
                await self.held.wait()
            finally:
                self.waiting -= 1

    def _instead(self, wrong: Misbehaviour | None) -> Answer | None:
        """What comes in the place of an answer."""
        if wrong is Misbehaviour.NOT_JSON:
            return _PROXY_PAGE
        refused = (
            {
                Misbehaviour.ERROR: Refused(500, "Something has gone wrong."),
                Misbehaviour.UNAVAILABLE: Refused(503, "The service is being maintained."),
                Misbehaviour.RATE_LIMITED: Refused(
                    429, "Too many requests.", headers={"retry-after": str(_RETRY_SECONDS)}
                ),
                Misbehaviour.RATE_LIMITED_UNTIL: Refused(429, "Too many requests.", headers=_until()),
            }.get(wrong)
            if wrong is not None
            else None
        )
        return None if refused is None else self._refused(refused)

    def _refused(self, refused: Refused) -> Answer:
        return Answer(self.refusal(refused), refused.status, refused.headers)

    def _spend(self) -> None:
        if self.valid_for is None:
            return
        if self.valid_for <= 0:
            raise Refused(401, "The credential is not valid any more.")
        self.valid_for -= 1

    async def _made(self, method: Callable[[Call], Any], call: Call) -> Answer:
        try:
            self._spend()
            self.authenticate(call)
            made = method(call)
            made = await made if isawaitable(made) else made
        except Refused as refused:
            return self._refused(refused)
        return made if isinstance(made, Answer) else Answer(made)


def _missing(call: Call) -> Answer:
    raise Refused(404, f"There is nothing at {call.method} {call.path}.")


def _until() -> dict[str, str]:
    from datetime import UTC, datetime

    moment = datetime.now(UTC) + timedelta(seconds=_RETRY_SECONDS)
    return {"retry-after": format_datetime(moment, usegmt=True)}


async def _call_of(request: "web.Request") -> Call:
    return Call(
        request.method,
        request.path,
        dict(request.query),
        {name.lower(): value for name, value in request.headers.items()},
        await request.read(),
        dict(request.match_info),
    )


def _body(answer: Answer) -> bytes:
    if answer.body is None:
        return b""
    if isinstance(answer.body, bytes):
        return answer.body
    return answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()


def _response(answer: Answer) -> "web.StreamResponse":
    from aiohttp import web

    headers = {"content-type": "application/json", **answer.headers}
    return web.Response(body=_body(answer), status=answer.status, headers=headers)


def _cut(request: "web.Request") -> "web.StreamResponse":
    from aiohttp import web

    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: "web.Request", answer: Answer) -> "web.StreamResponse":
    from aiohttp import web

    body = _body(answer)
    headers = {"content-type": "application/json", "content-length": str(len(body) + 1)}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
