"""Speaks the contract of the mapping service."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.host_rights import require_mapping
from isthmus.kit.validation import validating
from isthmus.mapper.inversion import round_trips
from isthmus.mapping.v1 import inverses_pb2
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1 import mapping_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest
from isthmus.services.mapping.domain import (
    NO_SAMPLES,
    Documents,
    MappingVersion,
    State,
    base_of,
    compiled,
    derived,
    differences,
    held,
    inverted,
    read_documents,
    read_samples,
    refuse_breaking,
    refuse_failed,
    samples_of,
    tried,
    unreadable,
    usable,
)
from isthmus.services.mapping.domain.library import needed_plugins
from isthmus.services.mapping.lifecycle import Lifecycle, Tell, check_unmoved
from isthmus.services.mapping.messages import (
    class_number,
    inverse_message,
    mapping_message,
    result_message,
    violation_message,
)
from isthmus.services.mapping.store import Rows, Store
from isthmus.type.v1 import privacy_pb2


class MappingServicer(pb_grpc.MappingServiceServicer):
    """Keeps mappings and tells what they do; compiling happens off the event loop."""

    def __init__(self, store: Store, tell: Tell, lifecycle: Lifecycle, clock: Clock) -> None:
        self._store = store
        self._tell = tell
        self._lifecycle = lifecycle
        self._clock = clock

    async def CreateMapping(self, request: pb.CreateMappingRequest, context: Any) -> pb.CreateMappingResponse:
        """Create a mapping as version 1."""
        _check_words(request)
        said = await _read(request)
        caller = current_principal()

        async def produce() -> pb.CreateMappingResponse:
            now = self._clock.now()
            mapping = MappingVersion(
                tenant_id=caller.tenant_id,
                mapping_id=new_id("map"),
                version=1,
                name=request.name,
                description=request.description,
                instance_id=request.instance_id,
                documents=said.documents,
                fingerprint=said.documents.fingerprint(),
                created_by=caller.subject,
                create_time=now,
                update_time=now,
                state=State.DRAFT if request.is_draft else State.VALIDATED,
                active_version=0 if request.is_draft else 1,
                golden_samples=said.samples,
                activate_time=None if request.is_draft else now,
            )
            await rows.add(mapping)
            await self._tell(rows.conn, "created", mapping, caller.subject)
            return pb.CreateMappingResponse(mapping=mapping_message(mapping))

        async with self._own() as rows:
            return await once(rows.conn, "CreateMapping", request, produce, pb.CreateMappingResponse)

    async def GetMapping(self, request: pb.GetMappingRequest, context: Any) -> pb.GetMappingResponse:
        """Read a mapping."""
        mapping = await self._get(request.mapping_id, request.version, for_flow=request.for_flow)
        return pb.GetMappingResponse(mapping=mapping_message(mapping))

    async def ListMappings(self, request: pb.ListMappingsRequest, context: Any) -> pb.ListMappingsResponse:
        """List mappings."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await rows.page(page, name=request.name, instance_id=request.instance_id)
        shown = Page.of(found, page, lambda row: {"id": row.mapping_id})
        return pb.ListMappingsResponse(
            mappings=map(mapping_message, shown.items), next_page_token=shown.next_token
        )

    async def UpdateMapping(self, request: pb.UpdateMappingRequest, context: Any) -> pb.UpdateMappingResponse:
        """Add a version, unless nothing changes, and have flows use it unless it is a draft."""
        _check_words(request)
        async with self._own() as rows:
            newest = await rows.get(request.mapping_id)
        said = await _read(request, newest.golden_samples)
        changed = self._changed(newest, request, said)
        if not changed.differs_from(newest):
            return await self._as_it_is(newest, request)
        found = [] if request.is_draft else await self._lifecycle.judge(changed)
        if not request.allow_breaking:
            refuse_breaking(found)
        async with self._own() as rows:
            latest = await rows.get(request.mapping_id, lock=True)
            check_etag(request.etag, latest.version)
            check_unmoved(changed, latest)
            tell(before=mapping_message(latest))
            if latest.version != newest.version:
                changed = self._changed(latest, request, said)
            if not request.is_draft:
                changed = replace(changed, active_version=changed.version, activate_time=changed.update_time)
            await rows.change(changed)
            await self._tell(rows.conn, "version_created", changed, changed.created_by)
        return pb.UpdateMappingResponse(mapping=mapping_message(changed))

    def _changed(
        self, newest: MappingVersion, request: pb.UpdateMappingRequest, said: "_Said"
    ) -> MappingVersion:
        return replace(
            newest,
            version=newest.version + 1,
            name=request.name,
            description=request.description,
            instance_id=request.instance_id,
            documents=said.documents,
            fingerprint=said.documents.fingerprint(),
            created_by=current_principal().subject,
            update_time=self._clock.now(),
            state=State.DRAFT if request.is_draft else State.VALIDATED,
            golden_samples=said.samples,
            activate_time=None,
        )

    async def _as_it_is(
        self, newest: MappingVersion, request: pb.UpdateMappingRequest
    ) -> pb.UpdateMappingResponse:
        """Answer an update that says what the newest version says; it may not be in use yet, or no more."""
        check_etag(request.etag, newest.version)
        if not request.is_draft and not newest.is_active:
            done = await self._lifecycle.activate(
                newest.mapping_id, newest.version, allow_breaking=request.allow_breaking
            )
            newest = done.mapping
        return pb.UpdateMappingResponse(mapping=mapping_message(newest))

    async def DeleteMapping(self, request: pb.DeleteMappingRequest, context: Any) -> pb.DeleteMappingResponse:
        """Delete a mapping, if it is there."""
        async with self._own() as rows:
            newest = await rows.find(request.mapping_id, lock=True)
            if newest is not None:
                check_etag(request.etag, newest.version)
                tell(before=mapping_message(newest))
                await rows.remove(newest)
                await self._tell(rows.conn, "deleted", newest, current_principal().subject)
        return pb.DeleteMappingResponse()

    async def ListMappingVersions(
        self, request: pb.ListMappingVersionsRequest, context: Any
    ) -> pb.ListMappingVersionsResponse:
        """List the versions of a mapping."""
        page = PageRequest.parse(request.page_size, request.page_token, keys={"version": int})
        if page.after is not None and not isinstance(page.after["version"], int):
            message = "The page token was not issued by this list; start again without one."
            raise FixRequest("PAGE_TOKEN_INVALID", message, path="page_token")
        async with self._own() as rows:
            await rows.get(request.mapping_id)
            found = await rows.versions(request.mapping_id, page)
        shown = Page.of(found, page, lambda row: {"version": row.version})
        return pb.ListMappingVersionsResponse(
            versions=map(mapping_message, shown.items), next_page_token=shown.next_token
        )

    async def DiffMappingVersions(
        self, request: pb.DiffMappingVersionsRequest, context: Any
    ) -> pb.DiffMappingVersionsResponse:
        """Tell what changed between two versions."""
        before = await self._get(request.mapping_id, request.from_version)
        after = await self._get(request.mapping_id, request.to_version)
        found = differences(before.documents.definition(), after.documents.definition())
        return pb.DiffMappingVersionsResponse(
            differences=[
                pb.MappingDifference(path=item.path, target=item.target, before=item.before, after=item.after)
                for item in found
            ]
        )

    async def ValidateMapping(
        self, request: pb.ValidateMappingRequest, context: Any
    ) -> pb.ValidateMappingResponse:
        """Check a definition without saving it."""
        _, violations = await asyncio.to_thread(read_documents, *_texts(request))
        return pb.ValidateMappingResponse(violations=map(violation_message, violations))

    async def TestMapping(self, request: pb.TestMappingRequest, context: Any) -> pb.TestMappingResponse:
        """Map samples and tell field by field what is wrong with them."""
        samples = samples_of(request.samples)
        if request.mapping_id:
            documents = (await self._get(request.mapping_id, request.version)).documents
        elif request.field_mappings:
            documents = (await _read(request)).documents
        else:
            message = "Name a mapping or send field_mappings; there is nothing to test."
            raise FixRequest("FIELD_INVALID", message, path="mapping_id")
        now = self._clock.now()
        trials = await asyncio.to_thread(lambda: tried(compiled(documents), samples, now))
        return pb.TestMappingResponse(results=map(result_message, trials))

    async def CompileMapping(
        self, request: pb.CompileMappingRequest, context: Any
    ) -> pb.CompileMappingResponse:
        """Compile a mapping and tell what it reads and writes."""
        mapping = await self._get(request.mapping_id, request.version)
        plan = await asyncio.to_thread(compiled, mapping.documents)
        return pb.CompileMappingResponse(
            fingerprint=plan.fingerprint,
            source_fields=plan.sources,
            target_fields=[item.target for item in plan.lineage],
            target_classes=[
                privacy_pb2.FieldClass(path=path, data_class=class_number(kind))
                for path, kind in plan.classes(plan.read_classes({})).declared.items()
            ],
            lowered_classes=[
                pb.LoweredClass(path=path, source_class=class_number(fed), data_class=class_number(own))
                for path, fed, own in plan.lowered(plan.read_classes({}))
            ],
        )

    async def RedactTexts(self, request: pb.RedactTextsRequest, context: Any) -> pb.RedactTextsResponse:
        """Replace a text in answers and events that are kept."""
        return await self._store.redactor.answer(request, pb.RedactTextsResponse)

    async def DeriveInverseMapping(
        self, request: inverses_pb2.DeriveInverseMappingRequest, context: Any
    ) -> inverses_pb2.DeriveInverseMappingResponse:
        """Derive the way back of a mapping and try samples on it."""
        samples = samples_of(request.samples)
        mapping = await self._get(request.mapping_id, request.version)
        inverse = await asyncio.to_thread(derived, mapping.documents)
        definition, now = mapping.documents.definition(), self._clock.now()
        trips = await asyncio.to_thread(round_trips, definition, inverse, samples, now)
        return inverse_message(mapping.mapping_id, inverse, trips)

    async def GetPlan(self, request: pb.GetPlanRequest, context: Any) -> pb.GetPlanResponse:
        """Give a host the definition to run."""
        require_mapping(request.mapping_id)
        mapping = await self._get(request.mapping_id, request.version, for_flow=not request.version)
        needed = await asyncio.to_thread(needed_plugins, mapping.documents)
        return pb.GetPlanResponse(
            mapping_id=mapping.mapping_id,
            version=mapping.version,
            fingerprint=mapping.fingerprint,
            definition=json.dumps(mapping.documents.definition(), separators=(",", ":")),
            plugins=needed,
        )

    async def _get(self, mapping_id: str, version: int, *, for_flow: bool = False) -> MappingVersion:
        with validating() as check:
            check.text("mapping_id", mapping_id, longest=100)
            check.within("version", version, least=0, most=2**31 - 1)
        base, is_inverse = base_of(mapping_id)
        async with self._own() as rows:
            if not for_flow:
                found = await rows.get(base, version)
            else:
                found = usable(await (rows.get(base, version) if version else rows.active(base)))
        return await asyncio.to_thread(inverted, found) if is_inverse else found

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


def _check_words(request: pb.CreateMappingRequest | pb.UpdateMappingRequest) -> None:
    with validating() as check:
        check.text("name", request.name, longest=100)
        check.text("description", request.description, required=False, longest=2000, lines=True)
        check.text("instance_id", request.instance_id, required=False, longest=100)


def _texts(request: Any) -> tuple[str, str, str, str]:
    """The four documents of a request; a test request has no schemas."""
    source, target = getattr(request, "source_schema", ""), getattr(request, "target_schema", "")
    return source, target, request.field_mappings, request.transformations


@dataclass(frozen=True, slots=True)
class _Said:
    """What a request says of a mapping."""

    documents: Documents
    samples: str


async def _read(request: Any, samples: str = NO_SAMPLES) -> _Said:
    """Return what a request says, refusing mistakes; a draft may have them, where it can be read at all.

    Args:
        request: Creates, changes or tries a mapping.
        samples: The golden samples that count where the request has none of its own.
    """
    documents, violations = await asyncio.to_thread(read_documents, *_texts(request))
    if "golden_samples" in request.DESCRIPTOR.fields_by_name and _says_samples(request):
        samples, wrong = read_samples(request.golden_samples)
        if wrong:
            compiled(documents, [*violations, *wrong])
    if getattr(request, "is_draft", False):
        violations = unreadable(violations)
    if violations:
        compiled(documents, violations)
    if not getattr(request, "is_draft", False):
        await asyncio.to_thread(_prove, documents, samples)
    return _Said(documents, samples)


def _says_samples(request: pb.CreateMappingRequest | pb.UpdateMappingRequest) -> bool:
    return isinstance(request, pb.CreateMappingRequest) or request.HasField("golden_samples")


def _prove(documents: Documents, samples: str) -> None:
    """Refuse a definition that does not do what it has to, and note where it lowers the class of a field."""
    plan = compiled(documents)
    refuse_failed(held(plan, samples))
    if lowered := plan.lowered(plan.read_classes({})):
        told = {path: f"{own.name} instead of {fed.name}".lower() for path, fed, own in lowered}
        tell(after={"lowered_classes": told})


__all__ = ["MappingServicer"]
