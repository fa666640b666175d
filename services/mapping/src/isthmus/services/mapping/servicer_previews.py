"""Speaks the contract of previews."""

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any

from isthmus.kit import Clock, current_principal
from isthmus.kit.validation import validating
from isthmus.mapper import Plan
from isthmus.mapper.privacy import DataClass, Scrubber
from isthmus.mapper.provenance import Provenance
from isthmus.mapping.v1 import previews_pb2 as pb
from isthmus.mapping.v1 import previews_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest
from isthmus.services.mapping.domain import Documents, Trial, compiled, read_documents, samples_of, tried
from isthmus.services.mapping.domain.effects import provenance
from isthmus.services.mapping.messages import result_message
from isthmus.services.mapping.peers import RegistryPeer
from isthmus.services.mapping.servicer_suggestions import lineage_messages
from isthmus.services.mapping.store import Store

_MOST = 100


@dataclass(frozen=True, slots=True)
class _Preview:
    """Records, what becomes of them, and how sensitive they are."""

    records: list[dict[str, Any]]
    trials: list[Trial]
    fields: tuple[Provenance, ...]
    plan: Plan
    declared: dict[str, DataClass]


class MappingPreviewsServicer(pb_grpc.MappingPreviewsServiceServicer):
    """Maps a few real records, and keeps sensitive values from those who may not see them."""

    def __init__(self, store: Store, registry: RegistryPeer, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def PreviewMapping(
        self, request: pb.PreviewMappingRequest, context: Any
    ) -> pb.PreviewMappingResponse:
        """Show what becomes of records, without sensitive values."""
        found = await self._preview(request.order)
        records = await asyncio.to_thread(_scrubbed, found)
        return pb.PreviewMappingResponse(records=records, fields=lineage_messages(found.fields))

    async def ReadMappingPreview(
        self, request: pb.ReadMappingPreviewRequest, context: Any
    ) -> pb.ReadMappingPreviewResponse:
        """Show what becomes of records."""
        found = await self._preview(request.order)
        records = [
            pb.PreviewedRecord(source=_json(record), result=result_message(trial))
            for record, trial in zip(found.records, found.trials, strict=True)
        ]
        return pb.ReadMappingPreviewResponse(records=records, fields=lineage_messages(found.fields))

    async def _preview(self, order: pb.PreviewOrder) -> _Preview:
        with validating() as check:
            check.text("order.mapping_id", order.mapping_id, required=False, longest=100)
            check.within("order.version", order.version, least=0, most=2**31 - 1)
            check.text("order.instance_id", order.instance_id, required=False, longest=100)
            check.text("order.stream", order.stream, required=bool(order.instance_id), longest=500)
            check.within("order.limit", order.limit, least=0, most=_MOST)
        documents = await self._documents(order)
        plan = await asyncio.to_thread(compiled, documents)
        declared: dict[str, DataClass] = {}
        if order.instance_id:
            records, declared = await self._registry.sample(
                order.instance_id, order.stream, order.limit, plan.sources
            )
        elif order.samples:
            records = samples_of(order.samples)
        else:
            message = "Name an instance and a stream, or send samples; there is nothing to map."
            raise FixRequest("FIELD_INVALID", message, path="order.instance_id")
        now = self._clock.now()
        trials = await asyncio.to_thread(tried, plan, records, now)
        fields = await asyncio.to_thread(provenance, documents)
        return _Preview(records, trials, fields, plan, declared)

    async def _documents(self, order: pb.PreviewOrder) -> Documents:
        if order.mapping_id:
            async with self._store.of(current_principal().tenant_id) as rows:
                return (await rows.get(order.mapping_id, order.version)).documents
        if not order.field_mappings:
            message = "Name a mapping or send field_mappings; there is nothing to map by."
            raise FixRequest("FIELD_INVALID", message, path="order.mapping_id")
        documents, violations = await asyncio.to_thread(
            read_documents, "", "", order.field_mappings, order.transformations
        )
        if violations:
            compiled(documents, violations)
        return documents


def _scrubbed(found: _Preview) -> list[pb.PreviewedRecord]:
    """What may be shown to whoever may not see sensitive values."""
    classes = found.plan.read_classes(found.declared)
    source, target = Scrubber(classes), Scrubber(found.plan.classes(classes))
    shown = []
    for record, trial in zip(found.records, found.trials, strict=True):
        errors = tuple(
            replace(error, message=source.text(error.message, record), value=source.text(error.value, record))
            for error in trial.errors
        )
        result = replace(trial, record=_shown(target, trial.record), errors=errors)
        shown.append(pb.PreviewedRecord(source=_json(source.record(record)), result=result_message(result)))
    return shown


def _shown(scrubber: Scrubber, text: str) -> str:
    """What was made as it may be shown: a record, or the list of those that a record is split into."""
    if not text.startswith("["):
        return scrubber.json(text)
    return json.dumps([scrubber.record(part) for part in json.loads(text)], ensure_ascii=False)


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


__all__ = ["MappingPreviewsServicer"]
