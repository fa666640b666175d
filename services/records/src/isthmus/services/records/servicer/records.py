"""Speaks `RecordsService`."""

from collections.abc import AsyncIterator

from isthmus.kit import Database, PageRequest, current_principal, once
from isthmus.kit.host_rights import flow_of_host, require_flow
from isthmus.kit.times import stamp
from isthmus.records.v1 import records_pb2 as pb
from isthmus.records.v1 import records_pb2_grpc as pb_grpc
from isthmus.services.records.domain import quarantine
from isthmus.services.records.domain.filters import parse_filter
from isthmus.services.records.servicer import messages
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.servicer.large import LargeRecords
from isthmus.services.records.store import QuarantineStore, RecordQueries


class RecordsServicer(pb_grpc.RecordsServiceServicer):
    """Answers questions about records, and keeps those that wait for a decision.

    Args:
        database: Opens the transactions in which decisions are made.
        queries: Knows the records.
        waiting: Knows the quarantine.
        declaring: Knows the classes of fields.
    """

    def __init__(
        self, database: Database, queries: RecordQueries, waiting: QuarantineStore, declaring: Declaring
    ) -> None:
        self._declaring = declaring
        self._database = database
        self._queries = queries
        self._waiting = waiting
        self._large = LargeRecords(waiting)

    async def QueryRecords(self, request: pb.QueryRecordsRequest, context: object) -> pb.QueryRecordsResponse:
        """Find records of a stream, by key."""
        parsed = parse_filter(request.filter)
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("key",))
        tenant = current_principal().tenant_id
        page = await self._queries.query(
            tenant, request.stream, parsed, asked, deleted=request.include_deleted
        )
        found = [messages.record(stored) for stored in page.items]
        return pb.QueryRecordsResponse(records=found, next_page_token=page.next_token)

    async def CountRecords(self, request: pb.CountRecordsRequest, context: object) -> pb.CountRecordsResponse:
        """Count what QueryRecords would find."""
        parsed = parse_filter(request.filter)
        tenant = current_principal().tenant_id
        count = await self._queries.count(tenant, request.stream, parsed, deleted=request.include_deleted)
        return pb.CountRecordsResponse(records=count)

    async def GetRecord(self, request: pb.GetRecordRequest, context: object) -> pb.GetRecordResponse:
        """Read one form of a record."""
        tenant = current_principal().tenant_id
        stored = await self._queries.get(tenant, request.stream, request.key, request.version)
        return pb.GetRecordResponse(record=messages.record(stored))

    async def ListRecordVersions(
        self, request: pb.ListRecordVersionsRequest, context: object
    ) -> pb.ListRecordVersionsResponse:
        """List the forms of a record, newest first."""
        asked = PageRequest.parse(request.page_size, request.page_token, keys={"version": int})
        tenant = current_principal().tenant_id
        page = await self._queries.versions(tenant, request.stream, request.key, asked)
        forms = [messages.record(stored) for stored in page.items]
        return pb.ListRecordVersionsResponse(versions=forms, next_page_token=page.next_token)

    async def ListStreams(self, request: pb.ListStreamsRequest, context: object) -> pb.ListStreamsResponse:
        """List the tenant's streams with their counts."""
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("stream",))
        tenant = current_principal().tenant_id
        page = await self._queries.streams(tenant, asked)
        told = await self._declaring.of_streams(tenant, page.items)
        streams = [
            pb.HubStream(
                stream=stream.name,
                records=stream.records,
                update_time=stamp(stream.update_time),
                field_classes=messages.field_classes(told.get(stream.name, {})),
                is_suppressed=stream.is_suppressed,
            )
            for stream in page.items
        ]
        return pb.ListStreamsResponse(streams=streams, next_page_token=page.next_token)

    async def QuarantineRecords(
        self, request: pb.QuarantineRecordsRequest, context: object
    ) -> pb.QuarantineRecordsResponse:
        """Put records aside."""
        for record in request.records:
            require_flow(record.flow_id)
        caller = current_principal()
        given = [messages.quarantined(record) for record in request.records]
        admitted = quarantine.admit(given, caller.tenant_id)
        await self._waiting.add(caller.tenant_id, admitted, caller.subject)
        return pb.QuarantineRecordsResponse(quarantine_ids=[record.quarantine_id for record in admitted])

    async def QuarantineLargeRecord(
        self, request_iterator: AsyncIterator[pb.QuarantineLargeRecordRequest], context: object
    ) -> pb.QuarantineLargeRecordResponse:
        """Put one large record aside."""
        return pb.QuarantineLargeRecordResponse(quarantine_id=await self._large.put_aside(request_iterator))

    async def ReadQuarantined(
        self, request: pb.ReadQuarantinedRequest, context: object
    ) -> AsyncIterator[pb.ReadQuarantinedResponse]:
        """Read the text of one quarantined record."""
        kept = await self._waiting.get(current_principal().tenant_id, request.quarantine_id)
        require_flow(kept.flow_id)
        async for answer in self._large.read(request.quarantine_id):
            yield answer

    async def ListQuarantine(
        self, request: pb.ListQuarantineRequest, context: object
    ) -> pb.ListQuarantineResponse:
        """List quarantined records, oldest first."""
        require_flow(request.flow_id)
        asked = PageRequest.parse(request.page_size, request.page_token, keys={"position": int})
        statuses = messages.statuses(list(request.statuses))
        tenant = current_principal().tenant_id
        page = await self._waiting.list(tenant, request.flow_id, statuses, request.reason, asked)
        whole = current_principal().kind == "mesh"
        kept = [messages.quarantined_record(record, whole=whole) for record in page.items]
        return pb.ListQuarantineResponse(records=kept, next_page_token=page.next_token)

    async def GetQuarantined(
        self, request: pb.GetQuarantinedRequest, context: object
    ) -> pb.GetQuarantinedResponse:
        """Read one quarantined record; a large one without its text."""
        caller = current_principal()
        kept = await self._waiting.get(caller.tenant_id, request.quarantine_id)
        require_flow(kept.flow_id)
        whole = caller.kind == "mesh"
        return pb.GetQuarantinedResponse(record=messages.quarantined_record(kept, whole=whole))

    async def RequeueQuarantined(
        self, request: pb.RequeueQuarantinedRequest, context: object
    ) -> pb.RequeueQuarantinedResponse:
        """Send quarantined records through their flow again."""
        selection = quarantine.Selection(list(request.quarantine_ids), request.flow_id)
        selection.check()
        caller = current_principal()
        before = quarantine.REQUEUABLE if selection.quarantine_ids else (quarantine.Status.WAITING,)
        async with self._database.tenant(caller.tenant_id) as connection:

            async def requeue() -> pb.RequeueQuarantinedResponse:
                moved = await self._waiting.decide(
                    connection,
                    caller.tenant_id,
                    selection,
                    before=before,
                    after=quarantine.Status.REQUEUED,
                    who=caller.subject,
                )
                return pb.RequeueQuarantinedResponse(requeued=moved)

            return await once(
                connection, "RequeueQuarantined", request, requeue, pb.RequeueQuarantinedResponse
            )

    async def DropQuarantined(
        self, request: pb.DropQuarantinedRequest, context: object
    ) -> pb.DropQuarantinedResponse:
        """Give quarantined records up."""
        selection = quarantine.Selection(list(request.quarantine_ids), request.flow_id)
        selection.check()
        caller = current_principal()
        before = quarantine.OPEN if selection.quarantine_ids else (quarantine.Status.WAITING,)
        async with self._database.tenant(caller.tenant_id) as connection:
            dropped = await self._waiting.decide(
                connection,
                caller.tenant_id,
                selection,
                before=before,
                after=quarantine.Status.DROPPED,
                who=caller.subject,
            )
        return pb.DropQuarantinedResponse(dropped=dropped)

    async def ResolveQuarantined(
        self, request: pb.ResolveQuarantinedRequest, context: object
    ) -> pb.ResolveQuarantinedResponse:
        """Mark requeued records as delivered."""
        quarantine.check_ids(request.quarantine_ids)
        tenant = current_principal().tenant_id
        resolved = await self._waiting.resolve(
            tenant, list(request.quarantine_ids), request.execution_id, flow_of_host()
        )
        return pb.ResolveQuarantinedResponse(resolved=resolved)


__all__ = ["RecordsServicer"]
