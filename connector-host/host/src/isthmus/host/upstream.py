"""A connector in another process and any language, behind the contract; the hub is one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio
import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.host.backend import Bound, SourcePage, Wanted
from isthmus.host.control import call, fault_from, passes
from isthmus.kit.logs import logger
from isthmus.resilience import Backoff, Fault, Precondition, RetryLater, Unsupported
from isthmus.type.v1 import batch_pb2 as batch

if TYPE_CHECKING:
    from isthmus.sdk.runtime import Ledger

    MakeLedger = Callable[[str, connector.WriteOpen], Ledger]

CONTRACT_VERSION = 1
# A batch that comes twice may have its effect twice, as far as is known.
_DOUBTFUL = frozenset({connector.GUARANTEE_UNSPECIFIED, connector.GUARANTEE_AT_LEAST_ONCE})
T = TypeVar("T")
A = TypeVar("A")
_STREAM_SECONDS = 24 * 3600.0
_FINISH_SECONDS = 3600.0
_log = logger(__name__)


class UpstreamBackend:
    """Stands in front of a connector.

    Args:
        channel: To the connector. For one that is no part of the mesh it must not carry the host's identity.
        spec: What the connector says it is.
        ledger: Gives the place where writes of a flow are announced; None announces nothing.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        spec: connector.ConnectorSpec,
        ledger: "MakeLedger | None" = None,
    ) -> None:
        self._stub: Any = ConnectorServiceStub(channel)
        self._spec = spec
        self._ledger = ledger

    @classmethod
    async def open(
        cls, channel: grpc.aio.Channel, connector_id: str, ledger: "MakeLedger | None" = None
    ) -> "UpstreamBackend":
        """Wait until the connector answers and agree on a version of the contract.

        Raises:
            Precondition: It is another connector, or it speaks no version that this host speaks.
        """
        stub: Any = ConnectorServiceStub(channel)
        spec = await _described(stub)
        if connector_id and spec.connector_id != connector_id:
            message = f"The upstream is connector {spec.connector_id!r}, not {connector_id!r}; correct one."
            raise Precondition("CONNECTOR_MISMATCH", message)
        oldest = spec.contract_version_min or spec.contract_version
        if not oldest <= CONTRACT_VERSION <= max(spec.contract_version, oldest):
            message = (
                f"The connector speaks contract versions {oldest} to {spec.contract_version}, "
                f"this host speaks {CONTRACT_VERSION}; upgrade the older one."
            )
            raise Precondition("CONTRACT_VERSION_UNSUPPORTED", message)
        return cls(channel, spec, ledger)

    @property
    def spec(self) -> connector.ConnectorSpec:
        """Identity and abilities."""
        return self._spec

    @asynccontextmanager
    async def connect(self, bound: Bound) -> "AsyncIterator[UpstreamConnection]":
        """Return a connection; opening it costs nothing."""
        make = partial(self._ledger, bound.tenant_id) if self._ledger is not None else None
        yield UpstreamConnection(self._stub, binding_message(bound), make)

    async def check(self, bound: Bound) -> AsyncIterator[connector.CheckStep]:
        """Let the connector try a configuration."""
        request = connector.CheckRequest(binding=binding_message(bound))
        async for answer in _answers(self._stub.Check(request, timeout=120.0)):
            yield answer.step

    async def close(self) -> None:
        """Leave the channel to its owner."""


class UpstreamConnection:
    """A binding, the stub to send it to, and where writes are announced."""

    def __init__(
        self,
        stub: Any,
        binding: connector.Binding,
        ledger: "Callable[[connector.WriteOpen], Ledger] | None" = None,
    ) -> None:
        self._stub = stub
        self._binding = binding
        self._ledger = ledger

    async def streams(self, *, fresh: bool = False) -> list[connector.StreamSpec]:
        """Return the streams by name, as the connector knows them now."""
        del fresh
        found: list[connector.StreamSpec] = []
        token = ""
        while True:
            request = connector.DiscoverRequest(binding=self._binding, page_size=1000, page_token=token)
            answer = await call(self._stub.Discover, request, seconds=60.0)
            found.extend(answer.streams)
            token = answer.next_page_token
            if not token:
                return found

    async def partitions(self, stream: str, *, mode: int = 0, known: Sequence[str] = ()) -> list[str]:
        """Return the parts of a stream; one for connectors that know no parts."""
        found: list[str] = []
        token = ""
        while True:
            request = connector.ListPartitionsRequest(
                binding=self._binding,
                stream=stream,
                page_size=1000,
                page_token=token,
                mode=connector.ReadMode.ValueType(mode),
                known_partitions=known,
            )
            try:
                answer = await call(self._stub.ListPartitions, request, seconds=60.0)
            except Unsupported:
                return [""]
            found.extend(answer.partitions)
            token = answer.next_page_token
            if not token:
                return found or [""]

    @asynccontextmanager
    async def read(self, wanted: Wanted) -> "AsyncIterator[UpstreamReading]":
        """Start reading; leaving the block stops it."""
        request = connector.ReadRequest(
            binding=self._binding,
            stream=wanted.stream,
            partition=wanted.partition,
            mode=connector.ReadMode.ValueType(wanted.mode),
            position=wanted.position,
            max_batch_records=wanted.max_batch_records,
            limit=wanted.limit,
        )
        if wanted.between is not None:
            request.range_start.FromDatetime(wanted.between.start)
            request.range_end.FromDatetime(wanted.between.end)
        answers = self._stub.Read(request, timeout=_STREAM_SECONDS)
        try:
            yield UpstreamReading(answers)
        finally:
            answers.cancel()

    async def write(
        self, opening: connector.WriteOpen, batches: AsyncIterator[batch.Batch]
    ) -> AsyncIterator[connector.WriteResponse]:
        """Hand batches on and acknowledgements back; what may happen twice is announced before."""
        first = connector.WriteOpen()
        first.CopyFrom(opening)
        first.binding.CopyFrom(self._binding)
        chosen: asyncio.Future[AsyncIterator[batch.Batch]] = asyncio.get_running_loop().create_future()

        async def requests() -> AsyncIterator[connector.WriteRequest]:
            yield connector.WriteRequest(open=first)
            async for one in await chosen:
                yield connector.WriteRequest(batch=one)

        answers = _answers(self._stub.Write(requests(), timeout=_STREAM_SECONDS))
        try:
            ready = await anext(answers)
            if self._ledger is None or opening.is_preview or ready.ready.guarantee not in _DOUBTFUL:
                chosen.set_result(batches)
                yield ready
                async for answer in answers:
                    yield answer
                return
            from isthmus.host.announced import AnnouncedWriter

            writer = AnnouncedWriter(opening, ready.ready, answers, self._ledger(opening))
            chosen.set_result(writer.outgoing())
            ready.ready.ClearField("encodings")
            yield ready
            async for ack in writer.acknowledge(batches):
                yield connector.WriteResponse(ack=ack)
        finally:
            chosen.cancel()

    async def finish(self, request: connector.FinishGenerationRequest) -> connector.FinishGenerationResponse:
        """Hand the end of a complete refresh on.

        Raises:
            Unsupported: `GENERATIONS_UNSUPPORTED`, a connector of somebody else might remove what is only to
                be foreseen.
        """
        if request.open.is_preview:
            message = "A connector behind a host cannot be asked what the end of a refresh would remove."
            raise Unsupported("GENERATIONS_UNSUPPORTED", message)
        filled = connector.FinishGenerationRequest()
        filled.CopyFrom(request)
        filled.open.binding.CopyFrom(self._binding)
        answer: connector.FinishGenerationResponse = await call(
            self._stub.FinishGeneration, filled, seconds=_FINISH_SECONDS
        )
        return answer

    async def invoke(self, request: connector.InvokeRequest) -> connector.InvokeResponse:
        """Hand an action on."""
        return await self._handed_on(self._stub.Invoke, request, connector.InvokeResponse)

    async def receive(self, request: connector.ReceiveRequest) -> connector.ReceiveResponse:
        """Hand an inbound webhook on."""
        return await self._handed_on(self._stub.Receive, request, connector.ReceiveResponse)

    async def rotate(self, request: connector.RotateSecretRequest) -> connector.RotateSecretResponse:
        """Hand a change of secrets on."""
        return await self._handed_on(self._stub.RotateSecret, request, connector.RotateSecretResponse)

    async def notify(self, change: int) -> None:
        """Tell the connector what happened to its instance."""
        request = connector.NotifyInstanceRequest(
            binding=self._binding, change=connector.NotifyInstanceRequest.Change.ValueType(change)
        )
        await call(self._stub.NotifyInstance, request, seconds=60.0)

    async def _handed_on(self, method: Any, request: T, answer: type[A]) -> A:
        filled: Any = type(request)()
        filled.CopyFrom(request)
        filled.binding.CopyFrom(self._binding)
        given = await call(method, filled, seconds=60.0)
        assert isinstance(given, answer)
        return given


class UpstreamReading:
    """Pages out of a `Read` stream."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers
        self._end: connector.ReadEnd | None = None
        self._last = connector.ReadEnd()
        self._notices: list[connector.Notice] = []

    async def __aiter__(self) -> AsyncIterator[SourcePage]:
        async for answer in _answers(self._answers):
            kind = answer.WhichOneof("item")
            if kind == "batch":
                yield self._page(answer.batch)
            elif kind == "notice":
                self._notices.append(answer.notice)
            elif kind == "end":
                self._end = answer.end
        if self._end is None:
            message = (
                "The connector closed the stream before its end; reading goes on from the last position."
            )
            raise RetryLater("READ_INCOMPLETE", message)

    def end(self) -> connector.ReadEnd:
        """Return what the connector said at its end; before that, what has been seen."""
        return self._end or self._last

    def notices(self) -> list[connector.Notice]:
        """Return what was noticed since the last call."""
        taken, self._notices = self._notices, []
        return taken

    def _page(self, one: batch.Batch) -> SourcePage:
        if one.encoding not in {batch.ENCODING_UNSPECIFIED, batch.ENCODING_JSON}:
            message = "The connector sends something else than JSON, which this host does not take."
            raise Unsupported("ENCODING_UNSUPPORTED", message)
        self._last.records += len(one.records)
        position = one.position if one.HasField("position") else None
        if position is not None:
            self._last.position.CopyFrom(position)
        return SourcePage(
            list(one.records), list(one.keys), list(one.operations) or None, position, barrier=one.barrier
        )


def binding_message(bound: Bound) -> connector.Binding:
    """Return all that a connector behind a host is told about an instance."""
    return connector.Binding(
        instance_id=bound.instance_id,
        configuration=msgspec.json.encode(bound.configuration).decode(),
        credential=msgspec.json.encode(bound.material).decode() if bound.material else "",
        limits=msgspec.json.encode(bound.limits).decode() if bound.limits else "",
    )


async def _described(stub: Any) -> connector.ConnectorSpec:
    """What the connector says it is, as soon as it answers."""
    pauses, tries = Backoff(first=0.1, longest=2.0), 0
    while True:
        try:
            answer = await call(stub.Describe, connector.DescribeRequest(), seconds=5.0)
        except Fault as fault:
            if not passes(fault):
                raise
            tries += 1
            if tries % 20 == 1:
                _log.info("waiting for the connector", reason=fault.reason)
            await asyncio.sleep(pauses.wait(tries))
        else:
            spec: connector.ConnectorSpec = answer.spec
            return spec


async def _answers(answers: Any) -> AsyncIterator[Any]:
    """The messages of a stream; its end in failure becomes a fault."""
    try:
        async for answer in answers:
            yield answer
    except grpc.RpcError as error:
        raise fault_from(error) from error


__all__ = ["CONTRACT_VERSION", "UpstreamBackend", "UpstreamConnection", "binding_message"]
