"""Translates the RPCs about pairs of two-way flows and their conflicts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.kit.times import stamp
from isthmus.kit.validation import validating
from isthmus.mapper.privacy import Scrubber
from isthmus.records.v1 import pairs_pb2 as pb
from isthmus.records.v1 import pairs_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain.pairs import Form, Status, load
from isthmus.services.records.domain.pairs.forms import parse
from isthmus.services.records.domain.pairs.noting import match_of
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.store.pairs import ConflictStore
from isthmus.services.records.store.pairs.conflicts import StoredConflict, StoredPair

_LONGEST_ID = 64
_LONGEST_REASON = 1000
_TAKEN = {
    pb.ResolveConflictRequest.CHOICE_SOURCE: "takes the source's version",
    pb.ResolveConflictRequest.CHOICE_DESTINATION: "takes the destination's version",
    pb.ResolveConflictRequest.CHOICE_RECORD: "takes neither version but another",
}
"""Who gives no reason has decided all the same."""


class PairsServicer(pb_grpc.PairsServiceServicer):
    """Serves what people ask about pairs, and takes their decisions.

    Args:
        store: Keeps them.
        key_of: Names the fields by which a flow knows records of both sides to be the same.
        declaring: Knows the classes of fields.
    """

    def __init__(
        self,
        store: ConflictStore,
        key_of: Callable[[str], Awaitable[Sequence[str]]],
        declaring: Declaring,
    ) -> None:
        self._store = store
        self._declaring = declaring
        self._key_of = key_of

    async def ListPairs(self, request: pb.ListPairsRequest, context: object) -> pb.ListPairsResponse:
        """List the pairs of a flow, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["pair"])
        known = {int(status) for status in Status}
        wanted = [Status(value) for value in request.statuses if value in known]
        found = await self._store.pairs(current_principal().tenant_id, request.flow_id, wanted, page)
        scrubber = await self._scrubber_of(request.flow_id)
        shown = fitting((_pair(one, scrubber) for one in found), page.size)
        token = encode_token({"pair": shown[-1].pair_id}) if len(found) > len(shown) else ""
        return pb.ListPairsResponse(pairs=shown, next_page_token=token)

    async def ListConflicts(
        self, request: pb.ListConflictsRequest, context: object
    ) -> pb.ListConflictsResponse:
        """List conflicts, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["conflict"])
        tenant_id, statuses = current_principal().tenant_id, [value for value in request.statuses if value]
        found = await self._store.conflicts(tenant_id, request.flow_id, statuses, page)
        known = await self._declaring.scrubbers(tenant_id, [one.flow_id for one in found])
        shown = fitting((_conflict(one, known.get(one.flow_id)) for one in found), page.size)
        token = encode_token({"conflict": shown[-1].conflict_id}) if len(found) > len(shown) else ""
        return pb.ListConflictsResponse(conflicts=shown, next_page_token=token)

    async def GetConflict(self, request: pb.GetConflictRequest, context: object) -> pb.GetConflictResponse:
        """Read one conflict with both versions, sensitive values replaced."""
        conflict = await self._get(request.conflict_id)
        scrubber = await self._scrubber_of(conflict.flow_id)
        return pb.GetConflictResponse(conflict=_conflict(conflict, scrubber))

    async def ReadConflict(self, request: pb.ReadConflictRequest, context: object) -> pb.ReadConflictResponse:
        """Read one conflict with both versions as they are."""
        return pb.ReadConflictResponse(conflict=_conflict(await self._get(request.conflict_id)))

    async def _get(self, conflict_id: str) -> StoredConflict:
        tenant_id = current_principal().tenant_id
        async with self._store.database.tenant(tenant_id) as connection:
            return await self._store.get(connection, tenant_id, conflict_id)

    async def _scrubber_of(self, flow_id: str) -> Scrubber | None:
        known = await self._declaring.scrubbers(current_principal().tenant_id, [flow_id])
        return known.get(flow_id)

    async def ResolveConflict(
        self, request: pb.ResolveConflictRequest, context: object
    ) -> pb.ResolveConflictResponse:
        """Keep a person's decision."""
        _check_resolution(request)
        caller = current_principal()
        if request.choice == pb.ResolveConflictRequest.CHOICE_RECORD:
            await self._check_key(caller.tenant_id, request)
        scrubber = await self._scrubber_of((await self._get(request.conflict_id)).flow_id)
        async with self._store.database.tenant(caller.tenant_id) as connection:

            async def resolve() -> pb.ResolveConflictResponse:
                conflict = await self._store.get(connection, caller.tenant_id, request.conflict_id, lock=True)
                decided = await self._store.resolve(
                    connection,
                    caller.tenant_id,
                    conflict,
                    _chosen(request, conflict),
                    who=caller.subject,
                    why=request.reason or _TAKEN[request.choice],
                )
                return pb.ResolveConflictResponse(conflict=_conflict(decided, scrubber))

            return await once(connection, "ResolveConflict", request, resolve, pb.ResolveConflictResponse)

    async def _check_key(self, tenant_id: str, request: pb.ResolveConflictRequest) -> None:
        """Refuse a record of another key: each side would be given a record that nobody asked about."""
        async with self._store.database.tenant(tenant_id) as connection:
            conflict = await self._store.get(connection, tenant_id, request.conflict_id)
        key, record = await self._key_of(conflict.flow_id), parse(request.record)
        forms = [load(text) for text in (conflict.source_form, conflict.destination_form)]
        for form in (form for form in forms if form is not None and match_of(form, key)):
            if match_of(record, key) != match_of(form, key):
                fields = ", ".join(f"`{path}`" for path in key)
                message = (
                    f"Send the record with the key it has, in {fields}; under another it is another record."
                )
                raise FixRequest("RECORD_INVALID", message, path="record")


def _check_resolution(request: pb.ResolveConflictRequest) -> None:
    with validating() as check:
        check.text("conflict_id", request.conflict_id, longest=_LONGEST_ID)
        check.enum("choice", request.choice, known=pb.ResolveConflictRequest.Choice.values())
        check.text("reason", request.reason, required=False, longest=_LONGEST_REASON, lines=True)


def _chosen(request: pb.ResolveConflictRequest, conflict: StoredConflict) -> Form | None:
    if request.choice == pb.ResolveConflictRequest.CHOICE_SOURCE:
        return load(conflict.source_form)
    if request.choice == pb.ResolveConflictRequest.CHOICE_DESTINATION:
        return load(conflict.destination_form)
    return parse(request.record)


def _form(text: str | None, scrubber: Scrubber | None) -> str:
    return scrubber.json(text or "") if scrubber else text or ""


def _keys(stored: StoredPair | StoredConflict, scrubber: Scrubber | None) -> dict[str, str]:
    """The keys of both sides; one that quotes a sensitive value does so no more."""
    keys = {"source_key": stored.source_key, "destination_key": stored.destination_key}
    if not scrubber:
        return keys
    forms = [load(text) for text in (stored.base, stored.source_form, stored.destination_form)]
    return {name: scrubber.text(key, *forms) for name, key in keys.items()}


def _pair(stored: StoredPair, scrubber: Scrubber | None = None) -> pb.Pair:
    return pb.Pair(
        pair_id=stored.pair_id,
        flow_id=stored.flow_id,
        status=cast("pb.Pair.Status.ValueType", stored.status),
        **_keys(stored, scrubber),
        base=_form(stored.base, scrubber),
        source_record=_form(stored.source_form, scrubber),
        destination_record=_form(stored.destination_form, scrubber),
        create_time=stamp(stored.create_time),
        update_time=stamp(stored.update_time),
    )


def _conflict(stored: StoredConflict, scrubber: Scrubber | None = None) -> pb.Conflict:
    return pb.Conflict(
        conflict_id=stored.conflict_id,
        flow_id=stored.flow_id,
        pair_id=stored.pair_id,
        status=cast("pb.Conflict.Status.ValueType", stored.status),
        **_keys(stored, scrubber),
        base=_form(stored.base, scrubber),
        source_record=_form(stored.source_form, scrubber),
        destination_record=_form(stored.destination_form, scrubber),
        source_time=stamp(stored.source_time),
        destination_time=stamp(stored.destination_time),
        fields=stored.fields,
        policy=stored.policy,
        reason=stored.reason,
        result=_form(stored.result, scrubber),
        decided_by=stored.decided_by,
        execution_id=stored.execution_id,
        create_time=stamp(stored.create_time),
        decide_time=stamp(stored.decide_time),
    )


__all__ = ["PairsServicer"]
