"""What surrounds every RPC: who calls, whether they may, by when, and how a failure is told."""

import asyncio
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from isthmus.kit import deadline
from isthmus.kit.admission import Admission, Line
from isthmus.kit.authentication import Authenticator
from isthmus.kit.deed import Deed, Kind, current_deed, done_from_here
from isthmus.kit.errors import answer_of, code_of, fault_of
from isthmus.kit.ids import new_id
from isthmus.kit.logs import logger
from isthmus.kit.metrics import counter, histogram
from isthmus.kit.permissions import PUBLIC, require
from isthmus.kit.principal import (
    Principal,
    acting_from_here,
    called_from,
    correlated_from_here,
    current_correlation_id,
    peek_principal,
)
from isthmus.kit.tickets import Inspector, carry_from_here
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import continue_trace
from isthmus.resilience.faults import Broken, Fault, FixRequest, NotAllowed, OutOfTime, RetryLater

if TYPE_CHECKING:
    from isthmus.kit.auditing import Recorder

CORRELATION_HEADER = "isthmus-correlation-id"
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_UNARY_LIMIT = 30.0
_IDLE_LIMIT = 300.0
# Whoever looks after a process has to get an answer when it has too much to do.
_UNCOUNTED = "/grpc."

_log = logger(__name__)
_calls = counter("isthmus.rpc.calls", "RPCs answered, by method and status")
_seconds = histogram("isthmus.rpc.duration", "Time from request to answer")


class Undecodable:
    """Stands for request bytes that are not the message they should be."""


def lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Make a decoder that returns `Undecodable` where gRPC would answer with a meaningless status."""

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except (DecodeError, ValueError):
            return Undecodable()

    return decode


class Guard:
    """Admits calls, measures them and answers their failures.

    Args:
        authenticator: Verifies credentials.
        admission: Gives calls their places.
        unary_limit: Seconds a call without a deadline of its own may take; streams are exempt.
        idle_limit: Seconds for which a stream of a user may stand still.
        proof: Insists that the connection of a call belongs to the process whose token it carries.
        tickets: Judges by which right hosts act for a tenant; by default they have none.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        admission: Admission,
        *,
        unary_limit: float = _UNARY_LIMIT,
        idle_limit: float = _IDLE_LIMIT,
        proof: Callable[[Any, str], None] | None = None,
        tickets: Inspector | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._admission = admission
        self._proof = proof
        self._tickets = tickets or Inspector(None)
        self._unary_limit = unary_limit
        self._idle_limit = idle_limit
        self._streams: dict[asyncio.Task[Any], str] = {}
        self._draining = False
        self.recorder: Recorder | None = None
        """Keeps what callers change, once there is somewhere to keep it."""

    def cancel_streams(self, prefix: str = "/") -> None:
        """End the streams still open whose method begins like that; each caller is told to come back."""
        self._draining = True
        for task in [task for task, method in self._streams.items() if method.startswith(prefix)]:
            task.cancel()

    def wrap(self, method: str, permission: str, handler: Any, kind: Kind | None = None) -> Any:
        """Surround one method's handler; its calls are deeds of that kind to the audit trail."""
        inner = handler.stream_stream or handler.unary_stream or handler.stream_unary or handler.unary_unary
        make, surround = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary),
            (True, False): (grpc.stream_unary_rpc_method_handler, self._unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream),
        }[handler.request_streaming, handler.response_streaming]
        rules = _Rules(permission, kind, is_counted=not method.startswith(_UNCOUNTED))
        behaviour: Any = surround(method, rules, inner)
        return make(behaviour, lenient(handler.request_deserializer), handler.response_serializer)

    def _unary(self, method: str, rules: "_Rules", inner: Any) -> Callable[..., Awaitable[Any]]:
        async def behaviour(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            place = None
            try:
                limit = None if context.time_remaining() is not None else self._unary_limit
                async with asyncio.timeout(limit):
                    caller = await self._identify(rules, context, limit)
                    if rules.is_counted:
                        place = self._admission.enter(caller.principal)
                        place = place or await self._wait(caller, request, context)
                    self._admit(method, rules, request, context, caller)
                    answer = await inner(_checked(request, self._idle(caller)), context)
                    await self._keep_record()
            except Exception as error:
                await self._refuse(method, context, error, started)
            finally:
                if place is not None:
                    place.leave()
            _measure(method, "OK", started)
            return answer

        return behaviour

    def _stream(self, method: str, rules: "_Rules", inner: Any) -> Callable[..., AsyncIterator[Any]]:
        async def behaviour(request: Any, context: Any) -> AsyncIterator[Any]:
            started = time.perf_counter()
            task = asyncio.current_task()
            assert task is not None
            self._streams[task] = method
            place = None
            try:
                caller = await self._identify(rules, context, None)
                place = self._admission.hold(caller.principal) if rules.is_counted else None
                self._admit(method, rules, request, context, caller)
                await self._keep_record()  # before anything is shown
                idle = self._idle(caller)
                answers = inner(_checked(request, idle), context)
                if inspect.isawaitable(answers):
                    await answers  # a handler that writes by itself
                else:
                    async with aclosing(answers):
                        async for answer in answers:
                            with _read_within(idle, task):
                                yield answer
            except asyncio.CancelledError:
                if not self._draining or context.cancelled():
                    raise
                task.uncancel()
                await self._refuse(method, context, _draining(), started)
            except Exception as error:
                await self._refuse(method, context, error, started)
            finally:
                self._streams.pop(task, None)
                if place is not None:
                    place.leave()
            _measure(method, "OK", started)

        return behaviour

    async def _identify(self, rules: "_Rules", context: Any, limit: float | None) -> "_Caller":
        metadata = dict(context.invocation_metadata() or ())
        asked = metadata.get(CORRELATION_HEADER, "")
        correlated_from_here(asked if _CORRELATION.fullmatch(asked) else new_id("cor"))
        continue_trace(metadata.get(TRACE_HEADER, ""))
        remaining = context.time_remaining()
        deadline.start(limit if remaining is None else remaining)
        prove = None if self._proof is None else partial(self._proof, context)
        forwarded_for = self._authenticator.forwarded_for(metadata, prove)
        called_from(_address(context.peer()) if forwarded_for is None else forwarded_for)
        principal = None
        if rules.permission != PUBLIC:
            principal = await self._authenticator.authenticate(metadata)
            if prove is not None and principal is not None and principal.kind == "mesh":
                prove(principal.subject)
        acting_from_here(principal)
        return _Caller(principal, forwarded_for, metadata)

    async def _wait(self, caller: "_Caller", request: Any, context: Any) -> Line:
        size = request.ByteSize() if isinstance(request, Message) else 0
        return await self._admission.wait(caller.principal, size, context.time_remaining())

    def _idle(self, caller: "_Caller") -> float | None:
        """Processes of the mesh may wait for a vendor or a destination for as long as it takes."""
        return None if caller.principal is not None and caller.principal.kind == "mesh" else self._idle_limit

    def _admit(self, method: str, rules: "_Rules", request: Any, context: Any, caller: "_Caller") -> None:
        principal, forwarded_for, metadata = caller
        kind = rules.kind
        if kind is None and principal is not None and principal.support_access_id:
            kind = "access"  # who is here as a guest leaves a trace by looking, too

        def note(kind: Kind) -> None:
            if self.recorder is not None:
                peer = forwarded_for or unquote(str(context.peer() or "")).partition(":")[2]
                done_from_here(_deed(method, kind, request, peer, self.recorder))

        if kind is not None and (principal or rules.permission == PUBLIC):
            note(kind)
        require(rules.permission, principal)
        if principal is None or principal.kind != "mesh":
            return
        try:
            carry_from_here(self._tickets.inspect(metadata, principal, rules.permission))
        except NotAllowed:
            if kind is None:
                note("access")  # that a host reaches too far is kept in any case
            raise

    async def _keep_record(self) -> None:
        deed = current_deed()
        if deed is not None and self.recorder is not None:
            await self.recorder.finish(deed)

    async def _refuse(self, method: str, context: Any, error: Exception, started: float) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        fault = fault_of(error)
        if fault is None:
            _log.error("call failed unexpectedly", error, method=method)
            fault = _unexpected()
        else:
            _report(method, fault)
        deed = current_deed()
        if deed is not None and self.recorder is not None:
            await self.recorder.refuse(deed, fault)
        _measure(method, code_of(fault).name, started)
        code, message, trailers = answer_of(fault, current_correlation_id())
        await context.abort(code, message, trailers)
        raise AssertionError("abort always raises")


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one RPC demands of its caller, and what its calls are to the audit trail."""

    permission: str
    kind: Kind | None
    is_counted: bool


class _Caller(NamedTuple):
    """Who calls, and the address that a peer calls on behalf of."""

    principal: Principal | None
    forwarded_for: str | None
    metadata: Mapping[str, Any]


def _deed(method: str, kind: Kind, request: Any, peer: str, recorder: "Recorder") -> Deed:
    asked = request if isinstance(request, Message) else None
    return Deed(
        method.removeprefix("/"),
        kind,
        peek_principal(),
        asked,
        peer,
        current_correlation_id(),
        wake=recorder.added.set,
    )


def refusal(fault: Fault) -> Any:
    """Return a handler that answers any RPC, of whatever kind, with one fault."""

    async def behaviour(_request: Any, context: Any) -> AsyncIterator[bytes]:
        code, message, trailers = answer_of(fault)
        await context.abort(code, message, trailers)
        yield b""

    return grpc.stream_stream_rpc_method_handler(behaviour)


@lru_cache(maxsize=1024)
def _address(peer: str) -> str:
    """Return the address of a peer as gRPC names it, `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    kind, _, place = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return unquote(place).rpartition(":")[0].strip("[]")


def _checked(request: Any, idle: float | None) -> Any:
    if isinstance(request, Undecodable):
        raise _undecodable()
    if not hasattr(request, "__aiter__"):
        return request
    return _checked_each(request if idle is None else _coming(request, idle))


async def _checked_each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, Undecodable):
            raise _undecodable()
        yield request


async def _coming(requests: AsyncIterator[Any], idle: float) -> AsyncIterator[Any]:
    """Pass on what a caller sends, as long as no message takes too long to come."""
    messages = aiter(requests)
    while True:
        try:
            async with asyncio.timeout(idle):
                request = await anext(messages)
        except StopAsyncIteration:
            return
        except TimeoutError:
            message = (
                f"Nothing came on this stream for {idle:g} seconds; open it again when there is something."
            )
            raise OutOfTime("STREAM_IDLE", message) from None
        yield request


@contextmanager
def _read_within(idle: float | None, task: "asyncio.Task[Any]") -> Iterator[None]:
    """End a stream whose caller takes no answer any more; there is nobody left to be told why."""
    if idle is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(idle, task.cancel)
    try:
        yield
    finally:
        timer.cancel()


def _undecodable() -> FixRequest:
    message = "The request is not a message of this contract; generate your client from the same proto."
    return FixRequest("REQUEST_UNDECODABLE", message)


def _draining() -> RetryLater:
    message = "This process is shutting down; open the stream again."
    return RetryLater("DRAINING", message, retry_after=0.2)


def _unexpected() -> Broken:
    message = f"Something failed on our side; report it with the correlation id {current_correlation_id()}."
    return Broken("UNEXPECTED", message)


def _report(method: str, fault: Fault) -> None:
    if isinstance(fault, RetryLater | Broken):
        _log.warning("call failed", method=method, reason=fault.reason, why=fault.message)
    else:
        _log.info("call refused", method=method, reason=fault.reason)


def _measure(method: str, code: str, started: float) -> None:
    _calls.add(1, method=method, code=code)
    _seconds.record(time.perf_counter() - started, method=method)
    _log.debug("call answered", method=method, code=code)


__all__ = ["CORRELATION_HEADER", "Guard", "refusal"]
