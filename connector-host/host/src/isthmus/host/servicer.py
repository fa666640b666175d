"""Speaks the connector contract; what it says comes from the backend."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceServicer
from isthmus.host.attempt.privacy import cut_of, told
from isthmus.host.backend import Backend, Bound, Connection, SourcePage, Wanted
from isthmus.host.control import passes
from isthmus.host.failures import is_authentication, marked
from isthmus.host.modes import best_read_mode, find_stream
from isthmus.host.rotating import RENEW, RETIRE, prove, with_secret
from isthmus.host.steps import granted, needed, without_credential
from isthmus.host.translate import between_of
from isthmus.kit import PageRequest, current_principal
from isthmus.kit.host_rights import require_flow, require_stream
from isthmus.kit.paging import encode_token
from isthmus.kit.tickets import renew_carried
from isthmus.resilience import Fault, FixRequest, NotAllowed, Unsupported
from isthmus.type.v1 import batch_pb2 as batch

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_MOST_RECORDS = 1000
_MOST_BYTES = 1024 * 1024


class Bindings(Protocol):
    """Completes bindings with configuration and secret."""

    async def configuration(self, tenant_id: str, binding: connector.Binding) -> Bound:
        """Return the connection without its secret."""
        ...

    async def resolve(self, tenant_id: str, binding: connector.Binding) -> Bound:
        """Return the connection with its secret."""
        ...

    async def authenticated(self, bound: Bound) -> Bound:
        """Add the secret to a connection."""
        ...

    async def renewed(self, bound: Bound) -> Bound:
        """Return the connection with another secret, where there is one, in place of a refused one."""
        ...

    def refuse(self, bound: Bound) -> None:
        """Note that the system has refused the secret."""
        ...


class Journal(Protocol):
    """Keeps what was done."""

    def operation(self, bound: Bound, name: str, failure: str = "") -> None:
        """Keep what became of a check or an action."""
        ...


class ConnectorServicer(ConnectorServiceServicer):
    """Serves one connector.

    Args:
        backend: The connector.
        resolver: Completes bindings.
        reports: Told about checks and actions.
    """

    def __init__(self, backend: Backend, resolver: Bindings, reports: Journal) -> None:
        self._backend = backend
        self._resolver = resolver
        self._reports = reports

    async def Describe(self, request: Any, context: Any) -> connector.DescribeResponse:
        """Tell what the connector is."""
        return connector.DescribeResponse(spec=self._backend.spec)

    async def Check(
        self, request: connector.CheckRequest, context: Any
    ) -> AsyncIterator[connector.CheckResponse]:
        """Try a configuration."""
        bound = await self._resolver.configuration(_tenant(), request.binding)
        failed: connector.CheckStep | None = None
        async for step in self._steps(bound):
            if step.result == connector.CheckStep.RESULT_FAILED:
                failed = failed or step
            yield connector.CheckResponse(step=step)
        if bound.instance_id:
            why = f"{failed.step} failed: {failed.message} {failed.remedy}".strip() if failed else ""
            self._reports.operation(bound, "check", why)

    async def Discover(self, request: connector.DiscoverRequest, context: Any) -> connector.DiscoverResponse:
        """List the streams."""
        page = PageRequest.parse(request.page_size, request.page_token, default=100, keys=("name",))
        streams = await self._renewing(request.binding, lambda one: one.streams(fresh=True))
        shown, token = _page(streams, page, lambda stream: stream.stream)
        return connector.DiscoverResponse(streams=map(told, shown), next_page_token=token)

    async def ListPartitions(
        self, request: connector.ListPartitionsRequest, context: Any
    ) -> connector.ListPartitionsResponse:
        """List the parts of a stream."""
        page = PageRequest.parse(request.page_size, request.page_token, default=100, keys=("name",))

        async def list_them(connection: Connection) -> list[str]:
            stream = await find_stream(connection, request.stream)
            mode = request.mode or (best_read_mode(stream) if stream.read_modes else 0)
            return await connection.partitions(
                request.stream, mode=mode, known=list(request.known_partitions)
            )

        partitions = sorted(await self._renewing(request.binding, list_them))
        shown, token = _page(partitions, page, lambda partition: partition)
        return connector.ListPartitionsResponse(partitions=shown, next_page_token=token)

    async def Read(
        self, request: connector.ReadRequest, context: Any
    ) -> AsyncIterator[connector.ReadResponse]:
        """Read a partition from a position to its present end."""
        require_stream(request.stream)
        async with self._connected(request.binding) as connection:
            mode = request.mode or best_read_mode(await find_stream(connection, request.stream))
            cut = None
            if request.withholds_secrets:
                stream = await find_stream(connection, request.stream)
                cut = cut_of(stream.json_schema, request.fields)
            size = min(request.max_batch_records or _MOST_RECORDS, _MOST_RECORDS)
            position = request.position if request.HasField("position") else None
            wanted = Wanted(
                request.stream,
                request.partition,
                mode,
                position,
                size,
                request.limit,
                between=between_of(request),
            )
            async with connection.read(wanted) as reading:
                sequence = 0
                async for page in reading:
                    shown = page if cut is None else replace(page, records=list(map(cut, page.records)))
                    for one in batches_of(shown, request.partition, size):
                        sequence += 1
                        one.sequence = sequence
                        yield connector.ReadResponse(batch=one)
                    for told in [*reading.notices(), *_notices_of(page)]:
                        yield connector.ReadResponse(notice=told)
                yield connector.ReadResponse(end=reading.end())

    async def Write(
        self, request_iterator: AsyncIterator[connector.WriteRequest], context: Any
    ) -> AsyncIterator[connector.WriteResponse]:
        """Take batches and acknowledge each once it is durable."""
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None or not first.HasField("open"):
            raise FixRequest("BATCH_INVALID", "The first message must be `open`; send it once.", path="open")
        _require_writing(first.open)
        async with self._connected(first.open.binding) as connection:
            async for response in connection.write(first.open, _batches(requests)):
                yield response

    async def FinishGeneration(
        self, request: connector.FinishGenerationRequest, context: Any
    ) -> connector.FinishGenerationResponse:
        """Remove what a complete refresh has not shown."""
        if not request.open.generation_id:
            message = "Name the generation that ends."
            raise FixRequest("BATCH_INVALID", message, path="open.generation_id")
        _require_writing(request.open)
        return await self._renewing(request.open.binding, lambda one: one.finish(request))

    async def Invoke(self, request: connector.InvokeRequest, context: Any) -> connector.InvokeResponse:
        """Run a named action."""
        answer = await self._renewing(request.binding, lambda one: one.invoke(request))
        self._reports.operation(Bound(_tenant(), request.binding.instance_id), f"action {request.action}")
        return answer

    async def Receive(self, request: connector.ReceiveRequest, context: Any) -> connector.ReceiveResponse:
        """Verify and decode one inbound webhook."""
        return await self._renewing(request.binding, lambda one: one.receive(request))

    async def NotifyInstance(
        self, request: connector.NotifyInstanceRequest, context: Any
    ) -> connector.NotifyInstanceResponse:
        """Tell the connector what happened to an instance."""
        if connector.CAPABILITY_LIFECYCLE not in self._backend.spec.capabilities:
            raise Unsupported("CAPABILITY_MISSING", "This connector has no life-cycle hook; nothing to do.")
        await self._renewing(request.binding, lambda one: one.notify(request.change))
        return connector.NotifyInstanceResponse()

    async def RotateSecret(
        self, request: connector.RotateSecretRequest, context: Any
    ) -> connector.RotateSecretResponse:
        """Bring a new secret into force and prove that it works, or take an old one out of force.

        Hosts may call whatever connectors offer; secrets are none of another host's business.
        """
        if current_principal().subject.startswith("host:"):
            raise NotAllowed("PERMISSION_MISSING", "A host changes no secret of another connector.")
        if connector.CAPABILITY_ROTATION not in self._backend.spec.capabilities:
            message = "This connector's system lets no program make its secrets; a person makes the new one."
            raise Unsupported("CAPABILITY_MISSING", message)
        if request.stage not in (RENEW, RETIRE):
            raise FixRequest("FIELD_INVALID", "Choose a stage: renew or retire.", path="stage")
        bound = await self._resolver.resolve(_tenant(), request.binding)
        async with self._lent(bound) as connection:
            answer = await connection.rotate(request)
        if request.stage == RENEW:
            newest = with_secret(bound, answer.made if answer.HasField("made") else request.new)
            await prove(self._backend.check(newest), overlaps=answer.overlaps)
        return answer

    async def _steps(self, bound: Bound) -> AsyncIterator[connector.CheckStep]:
        try:
            bound = await self._resolver.authenticated(bound)
        except Fault as fault:
            for step in without_credential(fault):
                yield step
            return
        told: set[str] = set()
        newer: Bound | None = None
        async for step in self._backend.check(bound):
            if newer is None and _is_refusal(step):
                newer = await self._newer(bound)
            if newer is None:
                told.add(step.step)
                yield step
        if newer is not None:
            bound = newer
            async for step in self._backend.check(bound):
                if step.step not in told or step.result == connector.CheckStep.RESULT_FAILED:
                    yield step
        compared = granted(needed(self._backend.spec.needed_scopes, bound.configuration), bound.scopes)
        if compared is not None:
            yield compared

    async def _renewing(self, binding: connector.Binding, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something with a connection, and once more where another secret follows a refused one.

        What the system refuses for its credential has had no effect, so even an action may be repeated.
        """
        bound = await self._resolver.resolve(_tenant(), binding)
        try:
            async with self._lent(bound) as connection:
                return await work(connection)
        except Fault as fault:
            newer = await self._newer(bound) if is_authentication(fault) else None
            if newer is None:
                raise
        async with self._lent(newer) as connection:
            return await work(connection)

    async def _newer(self, bound: Bound) -> Bound | None:
        """Ask for another secret in place of one that was refused; None where there is none."""
        if not bound.auth_config_id:
            return None
        try:
            newer = await self._resolver.renewed(bound)
        except Fault as fault:
            if passes(fault):
                raise  # nobody can tell yet whether there is another one
            return None
        return newer if newer.secret_identity != bound.secret_identity else None

    @asynccontextmanager
    async def _connected(self, binding: connector.Binding) -> AsyncIterator[Connection]:
        async with self._lent(await self._resolver.resolve(_tenant(), binding)) as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self, bound: Bound) -> AsyncIterator[Connection]:
        with self._explained(bound):
            async with self._backend.connect(bound) as connection:
                yield connection

    @contextmanager
    def _explained(self, bound: Bound) -> Iterator[None]:
        """Let failures keep their kind on the way to the caller, and refused secrets be replaced."""
        try:
            yield
        except Fault as fault:
            if is_authentication(fault):
                self._resolver.refuse(bound)
            marked(fault)
            raise


def _require_writing(opening: connector.WriteOpen) -> None:
    """Let a host write what its flow writes, and nothing else of the instance."""
    require_flow(opening.flow_id)
    require_stream(opening.stream)


def _is_refusal(step: connector.CheckStep) -> bool:
    return step.step == "authenticate" and step.result == connector.CheckStep.RESULT_FAILED


def batches_of(page: SourcePage, partition: str, size: int) -> Iterator[batch.Batch]:
    """Cut a page into batches; only the last one carries the position behind the page."""
    records = [one if isinstance(one, bytes) else _encode(one) for one in page.records]
    start = 0
    while True:
        stop = _cut(records, start, size)
        one = batch.Batch(
            partition=partition,
            encoding=batch.ENCODING_JSON,
            records=records[start:stop],
            keys=page.keys[start:stop] if any(page.keys[start:stop]) else (),
            barrier=page.barrier,
        )
        if page.operations is not None:
            one.operations.extend(batch.Operation.ValueType(number) for number in page.operations[start:stop])
        if stop >= len(records) and page.position is not None:
            one.position.CopyFrom(page.position)
        yield one
        start = stop
        if start >= len(records):
            return


def _cut(records: list[bytes], start: int, size: int) -> int:
    total = 0
    for index in range(start, min(start + size, len(records))):
        total += len(records[index])
        if total > _MOST_BYTES and index > start:
            return index
    return min(start + size, len(records))


def _notices_of(page: SourcePage) -> Iterator[connector.Notice]:
    """Tell about records that cannot travel, without showing them."""
    for reject in page.rejected:
        told = connector.Notice(
            level=connector.Notice.LEVEL_WARNING, reason=reject.reason, message=reject.message
        )
        told.at.GetCurrentTime()
        yield told


async def _batches(requests: AsyncIterator[connector.WriteRequest]) -> AsyncIterator[batch.Batch]:
    async for request in requests:
        if request.ticket:
            renew_carried(request.ticket)
        if not request.HasField("batch"):
            raise FixRequest("BATCH_INVALID", "After `open` only batches may come.", path="batch")
        yield request.batch


def _page(items: list[Any], page: PageRequest, name: Any) -> tuple[list[Any], str]:
    """One page of what is sorted by name, and the token of the next."""
    after = str((page.after or {}).get("name", ""))
    rest = [item for item in items if name(item) > after] if page.after else list(items)
    shown = rest[: page.size]
    token = encode_token({"name": name(shown[-1])}) if len(rest) > page.size else ""
    return shown, token


def _tenant() -> str:
    return current_principal().tenant_id


__all__ = ["Bindings", "ConnectorServicer", "Journal", "batches_of"]
