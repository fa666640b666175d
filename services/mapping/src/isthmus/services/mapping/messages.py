"""Turns what the service knows into messages of its contract."""

from datetime import datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.mapper import Violation
from isthmus.mapper.inversion import Inverse, RoundTrip, Verdict
from isthmus.mapper.privacy import DataClass
from isthmus.mapping.v1 import inverses_pb2, versions_pb2
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.services.mapping.domain import (
    Break,
    Effect,
    FieldEffect,
    GoldenResult,
    MappingVersion,
    Outcome,
    State,
    Trial,
    documents_of,
    inverse_id,
)
from isthmus.type.v1 import privacy_pb2

_OUTCOMES = {
    Outcome.MAPPED: pb.SampleResult.OUTCOME_MAPPED,
    Outcome.FILTERED: pb.SampleResult.OUTCOME_FILTERED,
    Outcome.REJECTED: pb.SampleResult.OUTCOME_REJECTED,
}
_VERDICTS = {
    Verdict.SAME: inverses_pb2.RoundTrip.VERDICT_SAME,
    Verdict.RESPELLED: inverses_pb2.RoundTrip.VERDICT_RESPELLED,
    Verdict.DIFFERENT: inverses_pb2.RoundTrip.VERDICT_DIFFERENT,
    Verdict.NOT_MAPPED: inverses_pb2.RoundTrip.VERDICT_NOT_MAPPED,
}
_STATES = {
    State.DRAFT: pb.DataMapping.STATE_DRAFT,
    State.VALIDATED: pb.DataMapping.STATE_VALIDATED,
    State.RETIRED: pb.DataMapping.STATE_RETIRED,
}
_EFFECTS = {
    Effect.ADDED: versions_pb2.FieldChange.KIND_ADDED,
    Effect.REMOVED: versions_pb2.FieldChange.KIND_REMOVED,
    Effect.ORIGIN_CHANGED: versions_pb2.FieldChange.KIND_ORIGIN_CHANGED,
    Effect.RULE_CHANGED: versions_pb2.FieldChange.KIND_RULE_CHANGED,
}


def class_number(kind: DataClass) -> privacy_pb2.DataClass.ValueType:
    """The class of a field as the contract numbers it."""
    return cast("privacy_pb2.DataClass.ValueType", int(kind))


def mapping_message(mapping: MappingVersion) -> pb.DataMapping:
    """A mapping in one of its versions."""
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
        create_time=_time(mapping.create_time),
        update_time=_time(mapping.update_time),
        etag=mapping.etag,
        fingerprint=mapping.fingerprint,
        state=pb.DataMapping.STATE_ACTIVE if mapping.is_active else _STATES[mapping.state],
        active_version=mapping.active_version,
        golden_samples="" if mapping.golden_samples == "[]" else mapping.golden_samples,
        activate_time=_time(mapping.activate_time) if mapping.activate_time else None,
    )


def _time(moment: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def violation_message(item: Violation) -> pb.MappingViolation:
    """One mistake in a definition."""
    return pb.MappingViolation(path=item.path, reason=item.reason, message=item.message)


def result_message(trial: Trial) -> pb.SampleResult:
    """What became of one sample."""
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


def inverse_message(
    mapping_id: str, inverse: Inverse, trips: list[RoundTrip]
) -> inverses_pb2.DeriveInverseMappingResponse:
    """The way back of a mapping, and what became of samples on it."""
    documents = documents_of(inverse)
    has_any = inverse.definition is not None
    return inverses_pb2.DeriveInverseMappingResponse(
        inverse_mapping_id=inverse_id(mapping_id) if inverse.is_full else "",
        is_full=inverse.is_full,
        field_mappings=documents.field_mappings if has_any else "",
        transformations=documents.transformations if has_any else "",
        source_schema=documents.source_schema,
        target_schema=documents.target_schema,
        losses=[
            inverses_pb2.InversionLoss(
                target=loss.target,
                sources=loss.sources,
                reason=loss.reason,
                message=loss.message,
                is_lost=loss.matters,
            )
            for loss in inverse.losses
        ],
        respelled_fields=inverse.respelled,
        round_trips=[
            inverses_pb2.RoundTrip(verdict=_VERDICTS[trip.verdict], paths=trip.paths, message=trip.message)
            for trip in trips
        ],
    )


def golden_message(result: GoldenResult) -> versions_pb2.GoldenSampleResult:
    """Whether a golden sample holds."""
    return versions_pb2.GoldenSampleResult(
        name=result.name, holds=result.holds, message=result.message, paths=result.paths
    )


def break_message(one: Break) -> versions_pb2.FlowBreak:
    """Why a flow would not go on as before."""
    return versions_pb2.FlowBreak(
        flow_id=one.flow.flow_id,
        flow_name=one.flow.name,
        is_active=one.flow.is_active,
        reason=one.reason,
        path=one.path,
        message=one.message,
    )


def effect_message(one: FieldEffect) -> versions_pb2.FieldChange:
    """What becomes of a target field."""
    return versions_pb2.FieldChange(
        target=one.target,
        kind=_EFFECTS[one.kind],
        sources_before=one.before,
        sources_after=one.after,
        message=one.message,
    )


__all__ = [
    "break_message",
    "class_number",
    "effect_message",
    "golden_message",
    "inverse_message",
    "mapping_message",
    "result_message",
    "violation_message",
]
