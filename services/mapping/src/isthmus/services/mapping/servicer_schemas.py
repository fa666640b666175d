"""Speaks the contract of schemas."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.kit import Clock, Page, PageRequest, current_principal, new_id
from isthmus.kit.host_rights import require_flow, require_work_on
from isthmus.kit.paging import fitting
from isthmus.kit.validation import Check, validating
from isthmus.mapper.drift import Change
from isthmus.mapping.v1 import schemas_pb2 as pb
from isthmus.mapping.v1 import schemas_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Precondition
from isthmus.services.mapping.capturing import capture, stream_subject
from isthmus.services.mapping.domain.judging import accepted, judge
from isthmus.services.mapping.domain.schemas import (
    Judgement,
    Known,
    Observation,
    Policy,
    SchemaChange,
    Status,
    Verdict,
)
from isthmus.services.mapping.store_registry import RegistryRows
from isthmus.services.mapping.store_schemas import SchemaRows, SchemaStore
from sqlalchemy.ext.asyncio import AsyncConnection

_LONGEST_SCHEMA = 1 << 20
_MOST_PATHS = 5000
_VERDICTS = {
    Verdict.PASS: pb.ObserveSchemaResponse.VERDICT_PASS,
    Verdict.STOP: pb.ObserveSchemaResponse.VERDICT_STOP,
    Verdict.QUARANTINE: pb.ObserveSchemaResponse.VERDICT_QUARANTINE,
}
_Decision = pb.DecideSchemaChangeRequest
_DECIDED = {
    _Decision.DECISION_ACCEPT: Status.ACCEPTED,
    _Decision.DECISION_QUARANTINE: Status.QUARANTINING,
    _Decision.DECISION_MAP: Status.AWAITS_MAPPING,
}
_Policy = pb.SchemaPolicy

Tell = Callable[[AsyncConnection, str, str, pb.SchemaChange], Awaitable[None]]
"""Tells the mesh, in the transaction of the change: tenant, what happened, and to which change."""


class SchemaServicer(pb_grpc.SchemaServiceServicer):
    """Remembers schemas and judges changes; comparing happens off the event loop."""

    def __init__(self, store: SchemaStore, tell: Tell, clock: Clock) -> None:
        self._store = store
        self._tell = tell
        self._clock = clock

    async def ObserveSchema(self, request: pb.ObserveSchemaRequest, context: Any) -> pb.ObserveSchemaResponse:
        """Judge what a host has met, and remember it."""
        require_flow(request.flow_id)
        require_work_on(request.instance_id)
        met = _observation(request, self._clock.now())
        async with self._own() as rows:
            known = await rows.known(met.flow_id, met.instance_id, met.stream)
            opened = await rows.change(known.change_id) if known and known.change_id else None
            policy = await rows.policy(met.flow_id)
            done = await asyncio.to_thread(judge, known, opened, met, policy, new_id("chg"))
            await rows.remember(done.known)
            await self._note(rows, done)
            if known is None or _looks(known) != _looks(done.known):
                subject = stream_subject(met.instance_id, met.stream)
                registered = RegistryRows(rows.conn, rows.tenant_id)
                await capture(registered, subject, _looks(done.known), met.now)
        # Who keeps records out has to be told which, whatever else they show.
        keeps_out = done.verdict is Verdict.QUARANTINE and done.change and not done.change.status.is_open
        shown = opened if keeps_out else done.change or opened
        unknown = _Policy.NEW_FIELDS_KEEP if policy.keeps_unknown else _Policy.NEW_FIELDS_DROP
        return pb.ObserveSchemaResponse(
            verdict=_VERDICTS[done.verdict],
            change=_message(shown) if shown and (done.change or done.verdict is not Verdict.PASS) else None,
            json_schema=done.known.expected,
            unknown_fields=unknown,
            wants_records=not done.known.records,
        )

    async def ListSchemas(self, request: pb.ListSchemasRequest, context: Any) -> pb.ListSchemasResponse:
        """List what is known."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("flow", "instance", "stream"))
        async with self._own() as rows:
            found = await rows.page(page, request.flow_id)
        shown = Page.of(found, page, _place)
        messages = fitting(map(_known_message, shown.items), page.size)
        token = shown.next_token
        if len(messages) < len(shown.items):
            cut = PageRequest(len(messages), page.after)
            token = Page.of(found, cut, _place).next_token
        return pb.ListSchemasResponse(schemas=messages, next_page_token=token)

    async def ListSchemaChanges(
        self, request: pb.ListSchemaChangesRequest, context: Any
    ) -> pb.ListSchemaChangesResponse:
        """List changes."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await rows.changes(page, request.flow_id, only_open=request.is_open_only)
        messages = fitting(map(_message, found[: page.size]), page.size)
        shown = Page.of(
            found, replace(page, size=len(messages) or page.size), lambda row: {"id": row.change_id}
        )
        return pb.ListSchemaChangesResponse(changes=messages, next_page_token=shown.next_token)

    async def GetSchemaChange(
        self, request: pb.GetSchemaChangeRequest, context: Any
    ) -> pb.GetSchemaChangeResponse:
        """Read a change with both schemas."""
        _check_id("change_id", request.change_id)
        async with self._own() as rows:
            found = await rows.change(request.change_id)
        message = _message(found)
        message.before_schema, message.after_schema = found.before_schema, found.after.expected
        return pb.GetSchemaChangeResponse(change=message)

    async def DecideSchemaChange(
        self, request: pb.DecideSchemaChangeRequest, context: Any
    ) -> pb.DecideSchemaChangeResponse:
        """Decide about a change that stops a flow."""
        with validating() as check:
            check.text("change_id", request.change_id, longest=100)
            check.enum("decision", request.decision, known=_DECIDED)
        status = _DECIDED[request.decision]
        async with self._own() as rows:
            change = await rows.change(request.change_id)
            # Before the change itself is locked: hosts that judge take the locks in this order, too.
            known = await rows.known(change.flow_id, change.instance_id, change.stream)
            change = await rows.change(request.change_id, lock=True)
            if change.status is not status:
                _check_decidable(change, status)
                who = current_principal().subject
                change = replace(change, status=status, decided_by=who, decide_time=self._clock.now())
                await rows.keep(change)
                if status is Status.ACCEPTED and known is not None:
                    await rows.remember(accepted(known, change))
                await self._tell(rows.conn, rows.tenant_id, "decided", _message(change))
        return pb.DecideSchemaChangeResponse(change=_message(change))

    async def GetSchemaPolicy(
        self, request: pb.GetSchemaPolicyRequest, context: Any
    ) -> pb.GetSchemaPolicyResponse:
        """Read what a flow does about changes."""
        _check_id("flow_id", request.flow_id)
        async with self._own() as rows:
            policy = await rows.policy(request.flow_id)
        return pb.GetSchemaPolicyResponse(policy=_policy_message(request.flow_id, policy))

    async def ListSchemaPolicies(
        self, request: pb.ListSchemaPoliciesRequest, context: Any
    ) -> pb.ListSchemaPoliciesResponse:
        """List the policies that were set."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("flow",))
        async with self._own() as rows:
            found = await rows.policies(page)
        shown = Page.of(found, page, lambda row: {"flow": row[0]})
        return pb.ListSchemaPoliciesResponse(
            policies=[_policy_message(*row) for row in shown.items], next_page_token=shown.next_token
        )

    async def SetSchemaPolicy(
        self, request: pb.SetSchemaPolicyRequest, context: Any
    ) -> pb.SetSchemaPolicyResponse:
        """Set what a flow does about changes."""
        asked = request.policy
        with validating() as check:
            check.text("policy.flow_id", asked.flow_id, longest=100)
            _check_reactions(check, asked)
        policy = Policy(
            keeps_unknown=asked.unknown_fields != _Policy.NEW_FIELDS_DROP,
            stops_on_additive=asked.additive == _Policy.REACTION_STOP,
            quarantines_breaking=asked.breaking == _Policy.REACTION_QUARANTINE,
        )
        async with self._own() as rows:
            await rows.set_policy(asked.flow_id, policy)
        return pb.SetSchemaPolicyResponse(policy=_policy_message(asked.flow_id, policy))

    async def _note(self, rows: SchemaRows, done: Judgement) -> None:
        for change in (done.settled, done.change):
            if change is None:
                continue
            await rows.keep(change)
            # An open change that is replaced by one with more in it needs no word of its own.
            if change is done.change or change.status is not Status.SUPERSEDED:
                verb = "changed" if not change.status.is_open else "broken"
                await self._tell(rows.conn, rows.tenant_id, verb, _message(change))

    def _own(self) -> AbstractAsyncContextManager[SchemaRows]:
        return self._store.of(current_principal().tenant_id)


def _looks(known: Known) -> str:
    """What a stream looks like: as its source says, or as its records were."""
    return known.declared or known.expected


def _observation(request: pb.ObserveSchemaRequest, now: datetime) -> Observation:
    with validating() as check:
        for name in ("flow_id", "instance_id", "stream"):
            check.text(name, getattr(request, name), longest=300)
        check.text("cursor_field", request.cursor_field, required=False)
        check.count("source_paths", request.source_paths, most=_MOST_PATHS)
        check.count("primary_key", request.primary_key, most=100)
        check.within("seen_records", request.seen_records, least=0, most=1 << 31)
        for name in ("declared_schema", "seen_schema"):
            if len(getattr(request, name)) > _LONGEST_SCHEMA:
                check.add(name, "TOO_LONG", f"Shorten `{name}` to {_LONGEST_SCHEMA} characters.")
            else:
                check.json(name, getattr(request, name))
    return Observation(
        request.flow_id,
        request.instance_id,
        request.stream,
        now,
        declared=request.declared_schema,
        seen=request.seen_schema,
        records=request.seen_records,
        primary_key=tuple(request.primary_key),
        cursor_field=request.cursor_field,
        source_paths=None if request.reads_everything else tuple(request.source_paths),
        mapping_fingerprint=request.mapping_fingerprint,
    )


def _check_id(name: str, value: str) -> None:
    with validating() as check:
        check.text(name, value, longest=100)


def _check_reactions(check: Check, asked: pb.SchemaPolicy) -> None:
    allowed = {
        "additive": (_Policy.REACTION_PASS, _Policy.REACTION_STOP),
        "breaking": (_Policy.REACTION_STOP, _Policy.REACTION_QUARANTINE),
    }
    for name, reactions in allowed.items():
        if getattr(asked, name) not in (_Policy.REACTION_UNSPECIFIED, *reactions):
            words = " or ".join(_Policy.Reaction.Name(one) for one in reactions)
            check.add(f"policy.{name}", "UNKNOWN_VALUE", f"Use {words} for `{name}`.")
    if asked.unknown_fields not in _Policy.NewFields.values():
        check.add("policy.unknown_fields", "UNKNOWN_VALUE", "Keep or drop unknown fields.")


def _check_decidable(change: SchemaChange, status: Status) -> None:
    if not change.status.is_open:
        message = (
            f"The change is {change.status.value} and stops nothing any more; there is nothing to decide."
        )
        raise Precondition("SCHEMA_CHANGE_OVER", message, path="change_id")
    if status is Status.QUARANTINING and not (change.is_breaking and change.shows_in_records):
        message = "Single records do not show this change; accept it, or give the flow another mapping."
        raise Precondition("QUARANTINE_IMPOSSIBLE", message, path="decision")


def _place(known: Known) -> dict[str, str]:
    return {"flow": known.flow_id, "instance": known.instance_id, "stream": known.stream}


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def _known_message(known: Known) -> pb.StreamSchema:
    return pb.StreamSchema(
        flow_id=known.flow_id,
        instance_id=known.instance_id,
        stream=known.stream,
        json_schema=known.expected,
        fingerprint=known.fingerprint,
        is_declared=bool(known.declared),
        primary_key=known.primary_key,
        cursor_field=known.cursor_field,
        change_id=known.change_id,
        first_seen_time=_time(known.first_seen),
        last_seen_time=_time(known.last_seen),
    )


def _message(change: SchemaChange) -> pb.SchemaChange:
    return pb.SchemaChange(
        change_id=change.change_id,
        flow_id=change.flow_id,
        instance_id=change.instance_id,
        stream=change.stream,
        status=pb.SchemaChange.Status.Value(f"STATUS_{change.status.name}"),
        is_breaking=change.is_breaking,
        differences=map(_difference, change.differences),
        create_time=_time(change.create_time),
        decided_by=change.decided_by,
        decide_time=_time(change.decide_time),
    )


def _difference(one: Change) -> pb.SchemaDifference:
    return pb.SchemaDifference(
        kind=pb.SchemaDifference.Kind.Value(f"KIND_{one.kind.name}"),
        path=one.path,
        before=one.before,
        after=one.after,
        is_read=one.is_read,
        is_breaking=one.is_breaking,
    )


def _policy_message(flow_id: str, policy: Policy) -> pb.SchemaPolicy:
    return pb.SchemaPolicy(
        flow_id=flow_id,
        unknown_fields=_Policy.NEW_FIELDS_KEEP if policy.keeps_unknown else _Policy.NEW_FIELDS_DROP,
        additive=_Policy.REACTION_STOP if policy.stops_on_additive else _Policy.REACTION_PASS,
        breaking=_Policy.REACTION_QUARANTINE if policy.quarantines_breaking else _Policy.REACTION_STOP,
    )


__all__ = ["SchemaServicer"]
