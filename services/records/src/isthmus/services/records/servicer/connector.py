"""The hub as a connector: to a flow it is an instance like any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as pb_grpc
from isthmus.kit import PageRequest, current_principal
from isthmus.kit.host_rights import require_flow, require_stream, require_work_on
from isthmus.kit.wiring import Chassis
from isthmus.resilience.faults import FixRequest, Missing, RetryLater, Unsupported
from isthmus.services.records.domain import schemas
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from isthmus.services.records.domain.pairs import is_pair_stream
from isthmus.services.records.domain.positions import ReadMode, ReadPosition, check_within, parse_position
from isthmus.services.records.domain.reconciling import is_compare_stream
from isthmus.services.records.domain.records import INSTANCE_ID, Writer
from isthmus.services.records.servicer import messages
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.servicer.pairing import Pairing
from isthmus.services.records.servicer.reconciling import Reconciling
from isthmus.services.records.servicer.writing import WriteCall
from isthmus.services.records.stock import Stock
from isthmus.services.records.store import ChangeReader, RecordPreviewer, RecordQueries, RecordWriter
from isthmus.services.records.store.reads import Place, ReadPage
from isthmus.type.v1 import batch_pb2

_VERSION = "0.1.0"
_SAMPLE = 100
_MESSAGE_BYTES = 4 << 20
_PAGE_RECORDS = 1000
_NextPage = Callable[[ReadPosition, int], Awaitable[ReadPage]]


class HubServicer(pb_grpc.ConnectorServiceServicer):
    """Serves the connector contract for the built-in record store.

    Args:
        chassis: Settings, and word of when to stop.
        writer: Takes batches.
        reader: Gives batches.
        queries: Knows the streams.
        pairing: Serves the streams of two-way flows.
        previewer: Tells what batches would do.
        reconciling: Serves the streams of reconciliations.
        declaring: Knows the classes of fields.
        stock: Knows whether a tenant may write any more.
    """

    def __init__(
        self,
        chassis: Chassis,
        writer: RecordWriter,
        reader: ChangeReader,
        queries: RecordQueries,
        *,
        pairing: Pairing,
        previewer: RecordPreviewer,
        reconciling: Reconciling,
        declaring: Declaring,
        stock: Stock,
    ) -> None:
        self._chassis = chassis
        self._writer = writer
        self._previewer = previewer
        self._reader = reader
        self._queries = queries
        self._pairing = pairing
        self._reconciling = reconciling
        self._declaring = declaring
        self._stock = stock

    async def Describe(self, request: pb.DescribeRequest, context: object) -> pb.DescribeResponse:
        """Tell what the hub is."""
        return pb.DescribeResponse(
            spec=pb.ConnectorSpec(
                connector_id="hub",
                name="Isthmus hub",
                description="The built-in record store: keeps records by key with their history.",
                version=_VERSION,
                contract_version=1,
                contract_version_min=1,
                system_type="database",
                vendor="Isthmus",
                capabilities=[
                    pb.CAPABILITY_SOURCE,
                    pb.CAPABILITY_DESTINATION,
                    pb.CAPABILITY_INCREMENTAL,
                    pb.CAPABILITY_DELETES,
                    pb.CAPABILITY_DISCOVERY,
                ],
                configuration_schema='{"$schema":"https://json-schema.org/draft/2020-12/schema",'
                '"type":"object","properties":{},"additionalProperties":false}',
                auth_methods=[pb.AUTH_METHOD_NONE],
                is_built_in=True,
                author="Isthmus",
                max_message_bytes=_MESSAGE_BYTES,
            )
        )

    async def Check(self, request: pb.CheckRequest, context: object) -> AsyncIterator[pb.CheckResponse]:
        """Try the configuration, the database behind the hub, and the tenant's streams."""
        _check_binding(request.binding)
        tenant = current_principal().tenant_id
        start = self._chassis.clock.monotonic()
        yield _passed("configuration", "The hub needs no configuration.", 0.0)
        page = await self._queries.streams(tenant, PageRequest(1))
        took = self._chassis.clock.monotonic() - start
        yield _passed("reach", "The hub's database answers.", took)
        found = "The tenant has streams." if page.items else "The tenant has no streams yet; write into one."
        yield _passed("sample", found, took)

    async def Discover(self, request: pb.DiscoverRequest, context: object) -> pb.DiscoverResponse:
        """List the tenant's streams; any other name comes into being by writing."""
        _check_binding(request.binding)
        tenant = current_principal().tenant_id
        asked = PageRequest.parse(request.page_size, request.page_token, default=100, keys=("stream",))
        page = await self._queries.streams(tenant, asked)
        specs = []
        told = await self._declaring.of_streams(tenant, page.items)
        for stream in page.items:
            schema = stream.json_schema or schemas.infer_schema(
                await self._queries.sample(tenant, stream.name, _SAMPLE)
            )
            schema = schemas.with_classes(schema, told.get(stream.name, {}))
            specs.append(messages.stream_spec(stream, schema))
        return pb.DiscoverResponse(streams=specs, next_page_token=page.next_token)

    async def ListPartitions(
        self, request: pb.ListPartitionsRequest, context: object
    ) -> pb.ListPartitionsResponse:
        """A stream of the hub has one part."""
        _check_binding(request.binding)
        PageRequest.parse(request.page_size, request.page_token, keys=())
        await self._reader.find(current_principal().tenant_id, request.stream)
        return pb.ListPartitionsResponse(partitions=[""])

    async def Read(self, request: pb.ReadRequest, context: object) -> AsyncIterator[pb.ReadResponse]:
        """Give all records of a stream, or what has changed since a position."""
        _check_binding(request.binding)
        require_stream(request.stream)
        mode = _read_mode(request)
        own = self._own_streams(request.stream)
        if own is not None:
            async for answer in own.read(request):
                yield answer
            return
        state, version = request.position.state, request.position.schema_version
        start = parse_position(state, version, mode)
        place = await self._reader.find(current_principal().tenant_id, request.stream)
        check_within(start, place.last_change)
        next_page = self._pages(place, mode)
        given, after, complete = 0, start, False
        sequence = 0
        async for page in self._read_ahead(request, start, next_page):
            complete = page.is_last
            if page.records:
                given, after, sequence = given + len(page.records), page.position, sequence + 1
                yield pb.ReadResponse(batch=_batch(page, sequence, mode, request.stream))
        if complete:
            after = ReadPosition() if mode == ReadMode.FULL else ReadPosition(after_change=place.last_change)
        yield pb.ReadResponse(
            end=pb.ReadEnd(
                position=messages.position(after, request.stream),
                records=given,
                not_modified=complete and not given and mode != ReadMode.FULL,
            )
        )

    def _own_streams(self, stream: str) -> Pairing | Reconciling | None:
        """Give what serves a stream that holds no records."""
        if is_pair_stream(stream):
            return self._pairing
        return self._reconciling if is_compare_stream(stream) else None

    def _pages(self, place: Place, mode: ReadMode) -> _NextPage:
        if mode == ReadMode.FULL:
            return lambda after, limit: self._reader.everything(place, after, limit)
        deletes = mode == ReadMode.DELTA
        return lambda after, limit: self._reader.changes(place, after, limit, deletes=deletes)

    async def _read_ahead(
        self, request: pb.ReadRequest, start: ReadPosition, next_page: _NextPage
    ) -> AsyncIterator[ReadPage]:
        """Fetch one page while the one before is on its way, until the end or the limit."""
        most = min(request.max_batch_records or _PAGE_RECORDS, _PAGE_RECORDS)
        left = request.limit or 1 << 62
        fetching = asyncio.ensure_future(next_page(start, max(1, min(most, left))))
        try:
            while True:
                page = await fetching
                left -= len(page.records)
                ends = page.is_last or left <= 0
                if not ends:
                    self._check_not_draining()
                    fetching = asyncio.ensure_future(next_page(page.position, min(most, left)))
                yield page
                if ends:
                    return
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    def _check_not_draining(self) -> None:
        if self._chassis.draining.is_set():
            raise RetryLater("DRAINING", "The hub is stopping; read from another replica.", retry_after=1.0)

    async def Write(
        self, request_iterator: AsyncIterator[pb.WriteRequest], context: object
    ) -> AsyncIterator[pb.WriteResponse]:
        """Take batches into a stream and acknowledge each once it is committed."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("item") != "open":
            raise FixRequest("BATCH_INVALID", "Send `open` first, then the batches.", path="item")
        _check_opening(first.open)
        target = messages.writer(first.open, current_principal().tenant_id)
        target.check()
        is_preview = first.open.is_preview
        store: RecordWriter = self._previewer if is_preview else self._writer
        own = self._own_streams(target.stream)
        if own is not None:
            if is_preview:
                raise Unsupported("PREVIEW_UNSUPPORTED", "What pairs would become is known to nobody ahead.")
            target, store = await own.open(target), own.writer
        await self._declaring.opened(first.open, target)
        if not is_preview:
            await self._stock.admit(target.tenant_id)
        credit, group = self._chassis.settings.hub_credit, self._chassis.settings.hub_group
        yield pb.WriteResponse(
            ready=pb.WriteReady(
                credit=credit,
                max_batch_bytes=MAX_BATCH_BYTES,
                max_batch_records=MAX_BATCH_RECORDS,
                guarantee=pb.GUARANTEE_TRANSACTIONAL,
                is_preview=is_preview,
                encodings=[batch_pb2.ENCODING_JSON_LINES] if own is None else (),
            )
        )
        call = WriteCall(store, target, self._chassis.draining, credit=credit, group=group)
        async for applied in call.run(request_iterator):
            for batch in applied:
                yield messages.ack(batch)
            if not is_preview:
                created, written = sum(one.created for one in applied), sum(one.records for one in applied)
                self._stock.note(target.tenant_id, created=created, written=written)

    async def FinishGeneration(
        self, request: pb.FinishGenerationRequest, context: object
    ) -> pb.FinishGenerationResponse:
        """Remove what a complete refresh of a stream has not shown."""
        _check_opening(request.open)
        target = messages.writer(request.open, current_principal().tenant_id)
        target.check()
        if request.open.is_preview:
            return await self._foreseen(target, request)
        shown, removed = await self._writer.finish(target, messages.absence(request))
        return pb.FinishGenerationResponse(shown=shown, removed=removed)

    async def _foreseen(
        self, target: Writer, request: pb.FinishGenerationRequest
    ) -> pb.FinishGenerationResponse:
        if any("\0" in key for key in request.shown_keys):
            raise FixRequest("BATCH_INVALID", "A key has no NUL character.", path="shown_keys")
        removed, held = await self._previewer.foresee(
            target, messages.absence(request), list(request.shown_keys)
        )
        absent = [pb.AbsentRecord(key=key, before=before) for key, before in held]
        return pb.FinishGenerationResponse(shown=len(request.shown_keys), removed=removed, absent=absent)

    async def Invoke(self, request: pb.InvokeRequest, context: object) -> pb.InvokeResponse:
        """Refuse: the hub has no actions."""
        raise _missing_capability("actions")

    async def Receive(self, request: pb.ReceiveRequest, context: object) -> pb.ReceiveResponse:
        """Refuse: nobody sends the hub webhooks."""
        raise _missing_capability("webhooks")

    async def NotifyInstance(
        self, request: pb.NotifyInstanceRequest, context: object
    ) -> pb.NotifyInstanceResponse:
        """Refuse: the hub's instance is always there."""
        raise _missing_capability("lifecycle hook")

    async def RotateSecret(self, request: pb.RotateSecretRequest, context: object) -> pb.RotateSecretResponse:
        """Refuse: nobody needs a secret for the hub."""
        raise _missing_capability("secret")


def _missing_capability(what: str) -> Unsupported:
    return Unsupported("CAPABILITY_MISSING", f"The hub has no {what}; Describe lists what it offers.")


def _check_opening(opening: pb.WriteOpen) -> None:
    _check_binding(opening.binding)
    require_flow(opening.flow_id)
    require_stream(opening.stream)


def _check_binding(binding: pb.Binding) -> None:
    """Let only the hub's own instance pass, with the configuration it has: none; hosts with work on it."""
    if binding.instance_id not in {"", INSTANCE_ID}:
        message = f"The hub's instance is `{INSTANCE_ID}`; it knows no {binding.instance_id!r}."
        raise Missing("INSTANCE_UNKNOWN", message, path="binding.instance_id")
    require_work_on(INSTANCE_ID)
    if not binding.configuration:
        return
    try:
        configuration = msgspec.json.decode(binding.configuration, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        message = "Send the configuration as a JSON object; the hub needs none."
        raise FixRequest("CONFIGURATION_INVALID", message, path="binding.configuration") from error
    if configuration:
        path = f"binding.configuration.{next(iter(configuration))}"
        raise FixRequest("CONFIGURATION_INVALID", "Remove the field; the hub has no settings.", path=path)


def _passed(step: str, message: str, took: float) -> pb.CheckResponse:
    duration = Duration(nanos=int(took * 1e9)) if took < 1 else Duration(seconds=int(took))
    result = pb.CheckStep.RESULT_PASSED
    return pb.CheckResponse(step=pb.CheckStep(step=step, result=result, message=message, took=duration))


def _read_mode(request: pb.ReadRequest) -> ReadMode:
    if request.partition:
        message = f"Stream {request.stream!r} has the partition '' only; it knows no {request.partition!r}."
        raise Missing("STREAM_UNKNOWN", message, path="partition")
    if request.mode and request.mode not in {int(mode) for mode in ReadMode}:
        raise FixRequest("FIELD_INVALID", "Read with one of the stream's read modes.", path="mode")
    return ReadMode(request.mode or ReadMode.FULL)


def _batch(page: ReadPage, sequence: int, mode: ReadMode, stream: str) -> batch_pb2.Batch:
    batch = batch_pb2.Batch(
        sequence=sequence,
        encoding=batch_pb2.ENCODING_JSON,
        records=page.records,
        keys=page.keys,
        position=messages.position(page.position, stream),
    )
    if mode == ReadMode.DELTA:
        batch.operations.extend(
            batch_pb2.OPERATION_DELETE if gone else batch_pb2.OPERATION_UPSERT for gone in page.deleted
        )
    return batch


__all__ = ["HubServicer"]
