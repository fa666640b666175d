"""Speaks the contract of lineage and suggestions."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from isthmus.kit import current_principal
from isthmus.kit.validation import Check, validating
from isthmus.mapper.provenance import Provenance
from isthmus.mapper.suggestions import LEAST, Pair, Proposal, Suggestions, proposals, suggest
from isthmus.mapping.v1 import suggestions_pb2 as pb
from isthmus.mapping.v1 import suggestions_pb2_grpc as pb_grpc
from isthmus.models import ModelUnknown, schema_of
from isthmus.services.mapping.domain import compiled, samples_of
from isthmus.services.mapping.domain.effects import provenance
from isthmus.services.mapping.store import Store

_LONGEST_SCHEMA = 1 << 20


class MappingSuggestionsServicer(pb_grpc.MappingSuggestionsServiceServicer):
    """Tells what mappings are made of, and proposes new ones; both are worked out off the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def GetMappingLineage(
        self, request: pb.GetMappingLineageRequest, context: Any
    ) -> pb.GetMappingLineageResponse:
        """Tell what each target field is made of."""
        with validating() as check:
            check.text("mapping_id", request.mapping_id, longest=100)
            check.within("version", request.version, least=0, most=2**31 - 1)
        async with self._store.of(current_principal().tenant_id) as rows:
            mapping = await rows.get(request.mapping_id, request.version)
        plan = await asyncio.to_thread(compiled, mapping.documents)
        fields = await asyncio.to_thread(provenance, mapping.documents)
        return pb.GetMappingLineageResponse(
            version=mapping.version, fields=lineage_messages(fields), keeps_unmapped=plan.keeps_unmapped
        )

    async def SuggestMapping(
        self, request: pb.SuggestMappingRequest, context: Any
    ) -> pb.SuggestMappingResponse:
        """Propose field mappings."""
        with validating() as check:
            source = _schema(check, "source_schema", request.source_schema)
            target = _schema(check, "target_schema", request.target_schema)
            check.within("least_confidence", request.least_confidence, least=0, most=1)
        samples = samples_of(request.samples)
        least = request.least_confidence or LEAST
        found, fields = await asyncio.to_thread(_suggested, source, target, samples, least)
        return pb.SuggestMappingResponse(
            fields=map(_field, fields), missing_targets=[leaf.text for leaf in found.missing]
        )


def lineage_messages(fields: Iterable[Provenance]) -> list[pb.FieldLineage]:
    """What target fields are made of."""
    return [
        pb.FieldLineage(
            target=one.target,
            origin=one.origin,
            sources=one.sources,
            conditions=one.conditions,
            functions=one.functions,
            tables=one.tables,
            constants=[json.dumps(value, ensure_ascii=False) for value in one.constants],
            expressions=one.expressions,
            is_required=one.is_required,
            tells_time=one.tells_time,
            place=one.place,
        )
        for one in fields
    ]


def _suggested(
    source: dict[str, Any], target: dict[str, Any], samples: list[dict[str, Any]], least: float
) -> tuple[Suggestions, list[Proposal]]:
    found = suggest(source, target, samples, least)
    return found, proposals(found)


def _schema(check: Check, name: str, text: str) -> dict[str, Any]:
    """A schema, or the model that is named in its place."""
    if len(text) > _LONGEST_SCHEMA:
        check.add(name, "TOO_LONG", f"Shorten `{name}` to {_LONGEST_SCHEMA} characters.")
        return {}
    try:
        said = json.loads(text)
        found = schema_of(said) if isinstance(said, str) else said
    except ModelUnknown as problem:
        check.add(name, "MODEL_UNKNOWN", str(problem))
        return {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        check.add(name, "NOT_A_SCHEMA", f"`{name}` is a JSON Schema, or the name of a model in quotes.")
        return {}
    return found


def _field(one: Proposal) -> pb.SuggestedField:
    return pb.SuggestedField(
        field_mapping=json.dumps(one.field, ensure_ascii=False),
        confidence=one.confidence,
        pairs=map(_pair, one.pairs),
    )


def _pair(one: Pair) -> pb.SuggestedPair:
    return pb.SuggestedPair(
        source=one.source.text, target=one.target.text, confidence=one.confidence, reasons=one.reasons
    )


__all__ = ["MappingSuggestionsServicer", "lineage_messages"]
