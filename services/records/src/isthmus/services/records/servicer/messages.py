"""Translates between the contract's messages and the domain's values."""

from collections.abc import Iterable, Mapping
from typing import cast

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.kit.times import stamp
from isthmus.mapper.privacy import DataClass
from isthmus.records.v1 import records_pb2 as pb
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain import schemas
from isthmus.services.records.domain.batches import Batch, Rejection, Screened, WriteMode, screen
from isthmus.services.records.domain.classes import OTHERS, as_json, packed, scrubber_of, unpacked
from isthmus.services.records.domain.pairs import is_pair_stream
from isthmus.services.records.domain.positions import SCHEMA_VERSION, ReadPosition
from isthmus.services.records.domain.quarantine import Quarantined, Stage, Status
from isthmus.services.records.domain.records import Applied, Foreseen, StoredRecord, Stream, Writer
from isthmus.services.records.store.generations import Absence
from isthmus.type.v1 import batch_pb2, privacy_pb2

_SHOWN_KEY = 60
_LARGEST_SAMPLE = 64 * 1024

READ_MODES = (
    connector_pb.READ_MODE_FULL,
    connector_pb.READ_MODE_INCREMENTAL,
    connector_pb.READ_MODE_DELTA,
)
WRITE_MODES = (
    connector_pb.WRITE_MODE_CREATE,
    connector_pb.WRITE_MODE_UPDATE,
    connector_pb.WRITE_MODE_UPSERT,
    connector_pb.WRITE_MODE_DELETE,
)


def record(stored: StoredRecord) -> pb.HubRecord:
    """Translate one form of a record."""
    return pb.HubRecord(
        stream=stored.stream,
        key=stored.key,
        data=stored.data,
        version=stored.version,
        content_hash=stored.content_hash,
        is_deleted=stored.is_deleted,
        flow_id=stored.flow_id,
        execution_id=stored.execution_id,
        origin=stored.origin,
        create_time=stamp(stored.create_time),
        update_time=stamp(stored.update_time),
    )


def stream_spec(stream: Stream, json_schema: str) -> connector_pb.StreamSpec:
    """Describe a stream to a flow."""
    return connector_pb.StreamSpec(
        stream=stream.name,
        description=f"Records of the hub's stream {stream.name}.",
        json_schema=json_schema,
        schema_fingerprint=schemas.fingerprint(json_schema),
        primary_key=stream.primary_key,
        read_modes=READ_MODES,
        write_modes=WRITE_MODES,
        guarantee=connector_pb.GUARANTEE_TRANSACTIONAL,
        encodings=[batch_pb2.ENCODING_JSON],
    )


def writer(opened: connector_pb.WriteOpen, tenant_id: str) -> Writer:
    """Translate the opening of a write; an unset mode is upsert."""
    known = {int(mode) for mode in WriteMode}
    if opened.mode and opened.mode not in known:
        raise FixRequest("BATCH_INVALID", "Open with a write mode that the hub knows.", path="open.mode")
    return Writer(
        tenant_id=tenant_id,
        stream=opened.stream,
        flow_id=opened.flow_id,
        execution_id=opened.execution_id,
        fencing_token=opened.fencing_token,
        mode=WriteMode(opened.mode or WriteMode.UPSERT),
        origin=opened.origin,
        primary_key=tuple(opened.primary_key),
        json_schema=opened.json_schema,
        generation_id=opened.generation_id,
    )


def screened(batch: batch_pb2.Batch, target: Writer) -> Screened:
    """Translate a batch and screen it."""
    if batch.encoding == batch_pb2.ENCODING_JSON_LINES:
        return screen(_of_lines(batch), target.primary_key)
    if batch.encoding not in {batch_pb2.ENCODING_UNSPECIFIED, batch_pb2.ENCODING_JSON}:
        message = f"Batch {batch.sequence} is not in JSON; the hub's streams announce JSON only."
        raise FixRequest("BATCH_INVALID", message, path="batch.encoding")
    arrived = Batch(
        partition=batch.partition,
        sequence=batch.sequence,
        records=list(batch.records),
        keys=[key.encode() for key in batch.keys],
        operations=[operation or 1 for operation in batch.operations],
    )
    return screen(arrived, target.primary_key)


def _of_lines(batch: batch_pb2.Batch) -> Batch:
    """Translate a batch whose records are one text."""
    if len(batch.records) != 1 or batch.keys or batch.operations:
        message = f"Batch {batch.sequence} of lines has one element in `records`, and no keys or operations."
        raise FixRequest("BATCH_INVALID", message, path="batch.records")
    text = batch.records[0]
    records = text.split(b"\n")
    keys = batch.key_lines.encode().split(b"\n")
    # Behind the last line feed there is nothing.
    if records.pop() or keys.pop() or len(records) != batch.line_count:
        message = f"Batch {batch.sequence} has other lines than it says; end each record and key with U+000A."
        raise FixRequest("BATCH_INVALID", message, path="batch.line_count")
    return Batch(batch.partition, batch.sequence, records, keys, text=text[:-1])


def absence(request: connector_pb.FinishGenerationRequest) -> Absence:
    """Translate what happens to records that a refresh has not shown."""
    stream = request.open.stream
    if not request.open.generation_id or is_pair_stream(stream):
        message = "Name the generation that ends; streams of pairs have none."
        raise FixRequest("BATCH_INVALID", message, path="open.generation_id")
    try:
        mark = (
            msgspec.json.encode(msgspec.json.decode(request.mark, type=dict[str, object]))
            if request.mark
            else b""
        )
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FixRequest("BATCH_INVALID", "Send the mark as a JSON object.", path="mark") from error
    if b"\\u0000" in mark:
        raise FixRequest("BATCH_INVALID", "Leave NUL out of the mark.", path="mark")
    return Absence(mark, max(0, request.most_records), min(max(0, request.most_percent), 100))


def ack(applied: Applied) -> connector_pb.WriteResponse:
    """Say what a durable batch did."""
    repeated = applied.is_repeated
    return connector_pb.WriteResponse(
        ack=connector_pb.BatchAck(
            partition=applied.partition,
            sequence=applied.sequence,
            created=applied.created,
            updated=applied.updated,
            unchanged=applied.unchanged,
            deleted=applied.deleted,
            outcomes=[
                *map(_outcome, applied.rejections),
                *map(_foreseen, filter(_is_short, applied.foreseen)),
            ],
            repeated_batch=repeated,
        )
    )


def _is_short(told: Foreseen) -> bool:
    return len(told.before) + len(told.after) <= _LARGEST_SAMPLE


def _foreseen(told: Foreseen) -> batch_pb2.RecordOutcome:
    outcome = batch_pb2.RecordOutcome
    effect = outcome.RESULT_DELETED if not told.after else outcome.RESULT_CREATED
    effect = outcome.RESULT_UPDATED if told.before and told.after else effect
    return outcome(index=told.index, result=effect, before=told.before, after=told.after)


def _outcome(rejection: Rejection) -> batch_pb2.RecordOutcome:
    return batch_pb2.RecordOutcome(
        index=rejection.index,
        result=batch_pb2.RecordOutcome.RESULT_REJECTED,
        reason=rejection.reason,
        message=rejection.message,
        path=rejection.path,
    )


def position(place: ReadPosition, stream: str) -> batch_pb2.Position:
    """Translate a read position; the beginning is an empty one."""
    if not place.state:
        return batch_pb2.Position()
    where = f"record {place.after_key[:_SHOWN_KEY]!r}" if place.after_key else f"change {place.after_change}"
    return batch_pb2.Position(
        state=place.state, schema_version=SCHEMA_VERSION, summary=f"after {where} of {stream}"
    )


def quarantined(message: pb.QuarantinedRecord) -> Quarantined:
    """Translate a record that is put aside."""
    known = {int(stage) for stage in Stage}
    reasons = [
        {
            "reason": _storable(one.reason),
            "message": _storable(one.message),
            "target_path": _storable(one.target_path),
            "source_path": _storable(one.source_path),
        }
        for one in message.reasons
    ]
    return Quarantined(
        flow_id=_storable(message.flow_id),
        execution_id=_storable(message.execution_id),
        stage=Stage(message.stage if message.stage in known else Stage.UNKNOWN),
        key=_storable(message.key),
        record=message.record,
        is_binary=message.is_binary,
        reasons=reasons,
        mapping_id=_storable(message.mapping_id),
        mapping_version=message.mapping_version,
        classes=packed(declared(message.field_classes, message.unclassified)),
    )


def declared(told: Iterable[privacy_pb2.FieldClass], default: int = 0) -> dict[str, DataClass]:
    """Translate classes of fields; those this build does not know count as confidential."""
    known = {int(kind) for kind in DataClass}
    found = {one.path: one.data_class for one in told if one.data_class}
    if default and default != DataClass.INTERNAL:
        found[OTHERS] = privacy_pb2.DataClass.ValueType(default)
    return {
        path: DataClass(kind) if kind in known else DataClass.CONFIDENTIAL for path, kind in found.items()
    }


def field_classes(told: Mapping[str, DataClass]) -> list[privacy_pb2.FieldClass]:
    """Tell classes of fields."""
    return [
        privacy_pb2.FieldClass(path=path, data_class=cast("privacy_pb2.DataClass.ValueType", int(kind)))
        for path, kind in told.items()
    ]


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")


def quarantined_record(kept: Quarantined, *, whole: bool) -> pb.QuarantinedRecord:
    """Translate a record that waits, with all its values or with placeholders for the sensitive ones."""
    scrubber, classes = scrubber_of(kept.classes), unpacked(kept.classes)
    key, shown = kept.key, kept.record
    if scrubber and not whole:
        key, shown = scrubber.text(key, as_json(kept.record)), scrubber.json(kept.record)
    return pb.QuarantinedRecord(
        quarantine_id=kept.quarantine_id,
        flow_id=kept.flow_id,
        execution_id=kept.execution_id,
        stage=cast("pb.QuarantinedRecord.Stage.ValueType", int(kept.stage)),
        status=cast("pb.QuarantinedRecord.Status.ValueType", int(kept.status)),
        key=key,
        record=shown,
        is_binary=kept.is_binary and (whole or not scrubber),
        reasons=[pb.QuarantineReason(**reason) for reason in kept.reasons],
        mapping_id=kept.mapping_id,
        mapping_version=kept.mapping_version,
        attempts=kept.attempts,
        create_time=stamp(kept.create_time),
        update_time=stamp(kept.update_time),
        decided_by=kept.decided_by,
        record_bytes=kept.size,
        field_classes=field_classes(classes.declared),
        unclassified=cast("privacy_pb2.DataClass.ValueType", int(classes.default) if classes else 0),
        is_scrubbed=bool(scrubber) and not whole,
    )


def statuses(values: list[int]) -> list[Status]:
    """Translate the states of a question; those this build does not know match nothing."""
    known = {int(status) for status in Status}
    return [Status(value) for value in values if value in known]


__all__ = [
    "absence",
    "ack",
    "declared",
    "field_classes",
    "position",
    "quarantined",
    "quarantined_record",
    "record",
    "screened",
    "statuses",
    "stream_spec",
    "writer",
]
