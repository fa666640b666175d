"""Speaks the contract of versions of mappings."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from isthmus.kit import current_principal
from isthmus.kit.validation import validating
from isthmus.mapping.v1 import versions_pb2 as pb
from isthmus.mapping.v1 import versions_pb2_grpc as pb_grpc
from isthmus.services.mapping.domain import compiled, effects
from isthmus.services.mapping.lifecycle import Flows, Lifecycle
from isthmus.services.mapping.messages import (
    break_message,
    effect_message,
    golden_message,
    mapping_message,
    violation_message,
)
from isthmus.services.mapping.store import Store


class MappingVersionsServicer(pb_grpc.MappingVersionsServiceServicer):
    """Leads versions of mappings from draft to retired."""

    def __init__(self, store: Store, lifecycle: Lifecycle, flows: Flows) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._flows = flows

    async def ValidateMappingVersion(
        self, request: pb.ValidateMappingVersionRequest, context: Any
    ) -> pb.ValidateMappingVersionResponse:
        """Compile a version and try its samples."""
        with _version(request):
            done = await self._lifecycle.validate(request.mapping_id, request.version)
        return pb.ValidateMappingVersionResponse(
            mapping=mapping_message(done.mapping),
            violations=map(violation_message, done.violations),
            samples=map(golden_message, done.samples),
        )

    async def ActivateMappingVersion(
        self, request: pb.ActivateMappingVersionRequest, context: Any
    ) -> pb.ActivateMappingVersionResponse:
        """Have flows use a version."""
        with _version(request):
            done = await self._lifecycle.activate(
                request.mapping_id,
                request.version,
                allow_breaking=request.allow_breaking,
                etag=request.etag,
            )
        return pb.ActivateMappingVersionResponse(
            mapping=mapping_message(done.mapping),
            former_version=done.former,
            breaks=map(break_message, done.breaks),
        )

    async def RollBackMapping(
        self, request: pb.RollBackMappingRequest, context: Any
    ) -> pb.RollBackMappingResponse:
        """Have flows use an earlier version again."""
        with _version(request):
            done = await self._lifecycle.roll_back(
                request.mapping_id,
                request.version,
                allow_breaking=request.allow_breaking,
                etag=request.etag,
            )
        return pb.RollBackMappingResponse(
            mapping=mapping_message(done.mapping),
            former_version=done.former,
            breaks=map(break_message, done.breaks),
        )

    async def RetireMappingVersion(
        self, request: pb.RetireMappingVersionRequest, context: Any
    ) -> pb.RetireMappingVersionResponse:
        """Take a version out of use."""
        with _version(request, least=1):
            mapping = await self._lifecycle.retire(request.mapping_id, request.version)
        return pb.RetireMappingVersionResponse(mapping=mapping_message(mapping))

    async def AssessMappingVersion(
        self, request: pb.AssessMappingVersionRequest, context: Any
    ) -> pb.AssessMappingVersionResponse:
        """Tell what activating a version would change."""
        with _version(request) as own:
            async with self._store.of(own) as rows:
                after = await rows.get(request.mapping_id, request.version)
                compared = request.from_version or after.active_version
                before = await rows.get(request.mapping_id, compared) if compared else None
        await asyncio.to_thread(compiled, after.documents)
        found = []
        if before is not None:
            await asyncio.to_thread(compiled, before.documents)
            found = await asyncio.to_thread(effects, before.documents, after.documents)
        uses = await self._flows.using(request.mapping_id)
        broken = await self._lifecycle.judge(after, uses)
        followers = dict.fromkeys(flow.flow_id for flow in uses if not flow.version)
        return pb.AssessMappingVersionResponse(
            from_version=compared,
            version=after.version,
            changes=map(effect_message, found),
            breaks=map(break_message, broken),
            flow_ids=followers,
        )


@contextmanager
def _version(request: Any, least: int = 0) -> Iterator[str]:
    """Check which version is meant, and give the tenant whose it is."""
    with validating() as check:
        check.text("mapping_id", request.mapping_id, longest=100)
        check.within("version", request.version, least=least, most=2**31 - 1)
        if "from_version" in request.DESCRIPTOR.fields_by_name:
            check.within("from_version", request.from_version, least=0, most=2**31 - 1)
    yield current_principal().tenant_id


__all__ = ["MappingVersionsServicer"]
