"""Speaks the contract of the mapping service."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.host_rights import require_mapping
from isthmus.kit.validation import validating
from isthmus.mapper.privacy import DataClass
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1 import mapping_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest
from isthmus.services.mapping.domain import (
    Documents,
    MappingVersion,
    Outcome,
    Trial,
    compiled,
    differences,
    read_documents,
    samples_of,
    tried,
)
from isthmus.services.mapping.store import Rows, Store
from isthmus.type.v1 import privacy_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

_OUTCOMES = {
    Outcome.MAPPED: pb.SampleResult.OUTCOME_MAPPED,
    Outcome.FILTERED: pb.SampleResult.OUTCOME_FILTERED,
    Outcome.REJECTED: pb.SampleResult.OUTCOME_REJECTED,
}


Tell = Callable[[AsyncConnection, str, MappingVersion, str], Awaitable[None]]
"""Tells the mesh, in the transaction of the change: what happened, to which version, by whom."""


class MappingServicer(pb_grpc.MappingServiceServicer):
    """Keeps mappings and tells what they do; compiling happens off the event loop."""

    def __init__(self, store: Store, tell: Tell, clock: Clock) -> None:
        self._store = store
        self._tell = tell
        self._clock = clock

    async def CreateMapping(self, request: pb.CreateMappingRequest, context: Any) -> pb.CreateMappingResponse:
        """Create a mapping as version 1."""
        _check_words(request)
        documents = await _sound(request)
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
                documents=documents,
                fingerprint=documents.fingerprint(),
                created_by=caller.subject,
                create_time=now,
                update_time=now,
            )
            await rows.add(mapping)
            await self._tell(rows.conn, "created", mapping, caller.subject)
            return pb.CreateMappingResponse(mapping=_message(mapping))

        async with self._own() as rows:
            return await once(rows.conn, "CreateMapping", request, produce, pb.CreateMappingResponse)

    async def GetMapping(self, request: pb.GetMappingRequest, context: Any) -> pb.GetMappingResponse:
        """Read a mapping."""
        mapping = await self._get(request.mapping_id, request.version)
        return pb.GetMappingResponse(mapping=_message(mapping))

    async def ListMappings(self, request: pb.ListMappingsRequest, context: Any) -> pb.ListMappingsResponse:
        """List mappings."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await rows.page(page, name=request.name, instance_id=request.instance_id)
        shown = Page.of(found, page, lambda row: {"id": row.mapping_id})
        return pb.ListMappingsResponse(mappings=map(_message, shown.items), next_page_token=shown.next_token)

    async def UpdateMapping(self, request: pb.UpdateMappingRequest, context: Any) -> pb.UpdateMappingResponse:
        """Add a version, unless nothing changes."""
        _check_words(request)
        documents = await _sound(request)
        caller = current_principal()
        async with self._own() as rows:
            newest = await rows.get(request.mapping_id, lock=True)
            check_etag(request.etag, newest.version)
            tell(before=_message(newest))
            changed = replace(
                newest,
                version=newest.version + 1,
                name=request.name,
                description=request.description,
                instance_id=request.instance_id,
                documents=documents,
                fingerprint=documents.fingerprint(),
                created_by=caller.subject,
                update_time=self._clock.now(),
            )
            if not changed.differs_from(newest):
                return pb.UpdateMappingResponse(mapping=_message(newest))
            await rows.change(changed)
            await self._tell(rows.conn, "version_created", changed, caller.subject)
        return pb.UpdateMappingResponse(mapping=_message(changed))

    async def DeleteMapping(self, request: pb.DeleteMappingRequest, context: Any) -> pb.DeleteMappingResponse:
        """Delete a mapping, if it is there."""
        async with self._own() as rows:
            newest = await rows.find(request.mapping_id, lock=True)
            if newest is not None:
                check_etag(request.etag, newest.version)
                tell(before=_message(newest))
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
            versions=map(_message, shown.items), next_page_token=shown.next_token
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
        return pb.ValidateMappingResponse(
            violations=[
                pb.MappingViolation(path=item.path, reason=item.reason, message=item.message)
                for item in violations
            ]
        )

    async def TestMapping(self, request: pb.TestMappingRequest, context: Any) -> pb.TestMappingResponse:
        """Map samples and tell field by field what is wrong with them."""
        samples = samples_of(request.samples)
        if request.mapping_id:
            documents = (await self._get(request.mapping_id, request.version)).documents
        elif request.field_mappings:
            documents = await _sound(request)
        else:
            message = "Name a mapping or send field_mappings; there is nothing to test."
            raise FixRequest("FIELD_INVALID", message, path="mapping_id")
        now = self._clock.now()
        trials = await asyncio.to_thread(lambda: tried(compiled(documents), samples, now))
        return pb.TestMappingResponse(results=map(_result, trials))

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
                privacy_pb2.FieldClass(path=path, data_class=_class(kind))
                for path, kind in plan.classes(plan.read_classes({})).declared.items()
            ],
            lowered_classes=[
                pb.LoweredClass(path=path, source_class=_class(fed), data_class=_class(own))
                for path, fed, own in plan.lowered(plan.read_classes({}))
            ],
        )

    async def GetPlan(self, request: pb.GetPlanRequest, context: Any) -> pb.GetPlanResponse:
        """Give a host the definition to run."""
        require_mapping(request.mapping_id)
        mapping = await self._get(request.mapping_id, request.version)
        return pb.GetPlanResponse(
            mapping_id=mapping.mapping_id,
            version=mapping.version,
            fingerprint=mapping.fingerprint,
            definition=json.dumps(mapping.documents.definition(), separators=(",", ":")),
        )

    async def _get(self, mapping_id: str, version: int) -> MappingVersion:
        with validating() as check:
            check.text("mapping_id", mapping_id, longest=100)
            check.within("version", version, least=0, most=2**31 - 1)
        async with self._own() as rows:
            return await rows.get(mapping_id, version)

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


async def _sound(request: Any) -> Documents:
    """Return the definition of a request, refusing one with mistakes."""
    documents, violations = await asyncio.to_thread(read_documents, *_texts(request))
    if violations:
        compiled(documents, violations)
    plan = await asyncio.to_thread(compiled, documents)
    if lowered := plan.lowered(plan.read_classes({})):
        told = {path: f"{own.name} instead of {fed.name}".lower() for path, fed, own in lowered}
        tell(after={"lowered_classes": told})
    return documents


def _class(kind: DataClass) -> privacy_pb2.DataClass.ValueType:
    return cast("privacy_pb2.DataClass.ValueType", int(kind))


def _message(mapping: MappingVersion) -> pb.DataMapping:
    created, updated = Timestamp(), Timestamp()
    created.FromDatetime(mapping.create_time)
    updated.FromDatetime(mapping.update_time)
    documents = mapping.documents
    return pb.DataMapping(
        mapping_id=mapping.mapping_id,
        name=mapping.name,
        description=mapping.description,
        instance_id=mapping.instance_id,
        source_schema=documents.source_schema,
        target_schema=documents.target_schema,
        field_mappings=documents.field_mappings,
        transformations=documents.transformations,
        version=mapping.version,
        created_by=mapping.created_by,
        create_time=created,
        update_time=updated,
        etag=mapping.etag,
        fingerprint=mapping.fingerprint,
    )


def _result(trial: Trial) -> pb.SampleResult:
    errors = [
        pb.FieldError(
            target=error.target,
            source=error.source,
            reason=error.reason,
            message=error.message,
            value=error.value,
        )
        for error in trial.errors
    ]
    return pb.SampleResult(outcome=_OUTCOMES[trial.outcome], record=trial.record, errors=errors)


__all__ = ["MappingServicer"]
