"""RPCs of events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import (
    PageRequest,
    current_correlation_id,
    current_principal,
    encode_token,
    new_id,
    once,
)
from isthmus.kit.trace import current_traceparent
from isthmus.kit.validation import Check, validating
from isthmus.resilience.faults import FixRequest
from isthmus.services.events.domain import CATALOGUE, LARGEST_DATA, Event, check_own_type
from isthmus.services.events.servicer.desk import Context, Rpcs
from isthmus.services.events.store import events as rows
from isthmus.services.events.translate import SOURCE, own_subject, read_filter, write_event, write_event_type


class EventRpcs(Rpcs):
    """Translates the RPCs of events."""

    async def PublishEvent(self, request: pb.PublishEventRequest, _: Context) -> pb.PublishEventResponse:
        """Publish an event of the tenant's own."""
        check_own_type(request.type)
        with validating() as check:
            check.text("subject", request.subject, required=False, longest=500)
        caller, data = current_principal(), _own_data(request.data)
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def publish() -> pb.PublishEventResponse:
                self._desk.book.charge(caller.tenant_id, "events_per_day", 1)
                event = self._own_event(caller.tenant_id, request, data)
                await self._desk.publisher.own(conn, caller.tenant_id, event)
                # Last, because it makes the tenant's other events wait for this transaction.
                stored = await self._desk.recorder.record(conn, caller.tenant_id, event)
                return pb.PublishEventResponse(event=write_event(stored))

            return await once(conn, "PublishEvent", request, publish, pb.PublishEventResponse)

    def _own_event(self, tenant_id: str, request: pb.PublishEventRequest, data: str) -> Event:
        now = self._desk.clock.now()
        return Event(
            event_id=new_id("evt"),
            type=request.type,
            source=SOURCE,
            subject=request.subject,
            time=now.replace(microsecond=now.microsecond // 1000 * 1000),
            data=data,
            traceparent=current_traceparent(),
            correlation_id=current_correlation_id(),
            nats_subject=own_subject(tenant_id, request.type),
        )

    async def ListEvents(self, request: pb.ListEventsRequest, _: Context) -> pb.ListEventsResponse:
        """List events, newest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys={"event": int})
        before = _number(page.after["event"]) if page.after else None
        wanted = read_filter(_checked_filter(request.filter))
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            shown = await rows.list_events(conn, tenant_id, wanted, before=before, size=page.size)
        token = encode_token({"event": shown.events[-1].position}) if shown.more else ""
        return pb.ListEventsResponse(events=map(write_event, shown.events), next_page_token=token)

    async def TailEvents(
        self, request: pb.TailEventsRequest, _: Context
    ) -> AsyncIterator[pb.TailEventsResponse]:
        """Send events as they happen."""
        wanted = replace(read_filter(_checked_filter(request.filter)), end_time=None)
        tenant_id = current_principal().tenant_id
        following = self._desk.tail.follow(tenant_id, wanted, request.after_event_id)
        async with aclosing(following) as events:
            async for event in events:
                yield pb.TailEventsResponse(event=write_event(event))

    async def ListEventTypes(
        self, request: pb.ListEventTypesRequest, _: Context
    ) -> pb.ListEventTypesResponse:
        """List the types of events that the mesh publishes."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["type"])
        after = str(page.after["type"]) if page.after else ""
        found = [kind for kind in CATALOGUE if kind.type > after]
        shown = found[: page.size]
        token = encode_token({"type": shown[-1].type}) if len(found) > page.size else ""
        return pb.ListEventTypesResponse(event_types=map(write_event_type, shown), next_page_token=token)


def _own_data(data: str) -> str:
    check = Check()
    document = check.json("data", data)
    if not data:
        check.add("data", "REQUIRED", "Send a JSON object in `data`; it is empty.")
    if len(data.encode()) > LARGEST_DATA:
        check.add("data", "TOO_LONG", "Keep `data` within 256 KiB; put a reference into it instead.")
    if check.violations:
        message = check.violations[0].message
        raise FixRequest("DATA_INVALID", message, path="data", violations=check.violations)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _checked_filter(message: pb.EventFilter) -> pb.EventFilter:
    with validating() as check:
        check.count("filter.types", message.types, most=100)
        check.text("filter.subject", message.subject, required=False)
    return message


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1


__all__ = ["EventRpcs"]
