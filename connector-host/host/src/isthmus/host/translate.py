"""Between the words of the SDK and the messages of the contract."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

import msgspec
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.mapper.privacy import DataClass, annotated
from isthmus.resilience import FixRequest
from isthmus.sdk import runtime as sdk
from isthmus.type.v1 import batch_pb2 as batch

READ_MODES = {connector.ReadMode.Value(f"READ_MODE_{mode.name}"): mode for mode in sdk.ReadMode}
WRITE_MODES = {connector.WriteMode.Value(f"WRITE_MODE_{mode.name}"): mode for mode in sdk.WriteMode}
OPERATIONS = {batch.Operation.Value(f"OPERATION_{one.name}"): one for one in sdk.Operation}
OPERATIONS[batch.OPERATION_UNSPECIFIED] = sdk.Operation.UPSERT
OPERATION_NUMBERS = {one: batch.Operation.Value(f"OPERATION_{one.name}") for one in sdk.Operation}
_LINE_TYPES = {batch.Column.Type.Value(f"TYPE_{one.name}"): one for one in sdk.LineType}
_LINE_TYPES[batch.Column.TYPE_UNSPECIFIED] = sdk.LineType.STRING
_CHANGES: dict[Any, str] = {
    number: name.removeprefix("CHANGE_").lower()
    for name, number in connector.NotifyInstanceRequest.Change.items()
}


def lines_of(one: batch.Batch, text: bytes) -> sdk.Lines:
    """Return the records of a batch of text.

    Args:
        one: The batch.
        text: Its only element.

    Raises:
        FixRequest: `BATCH_INVALID`.
    """
    columns = []
    for column in one.columns:
        if column.type not in _LINE_TYPES:
            message = f"Column {column.name} has type {column.type}, which is none; send another."
            raise FixRequest("BATCH_INVALID", message, path="batch.columns")
        columns.append(sdk.LineColumn(column.name, _LINE_TYPES[column.type]))
    return sdk.Lines(text, columns, one.line_count)


def spec_message(spec: sdk.ConnectorSpec, *, max_message_bytes: int) -> connector.ConnectorSpec:
    """Return a connector's description as it travels."""
    message = connector.ConnectorSpec(
        connector_id=spec.connector_id,
        name=spec.name,
        description=spec.description,
        version=spec.version,
        contract_version=spec.contract_version,
        contract_version_min=spec.contract_version_min,
        system_type=spec.system_type,
        vendor=spec.vendor,
        capabilities=[connector.Capability.Value(f"CAPABILITY_{one.name}") for one in spec.capabilities],
        configuration_schema=_text(spec.configuration_schema),
        needed_scopes=spec.needed_scopes,
        auth_methods=[connector.AuthMethod.Value(f"AUTH_METHOD_{one.name}") for one in spec.auth_methods],
        allowed_hosts=spec.allowed_hosts,
        is_built_in=spec.is_built_in,
        author=spec.author,
        documentation_url=spec.documentation_url,
        icon_url=spec.icon_url,
        build_digest=spec.build_digest,
        max_message_bytes=max_message_bytes,
    )
    if spec.rate_limit.requests or spec.rate_limit.concurrent:
        message.rate_limit.requests = spec.rate_limit.requests
        message.rate_limit.concurrent = spec.rate_limit.concurrent
        message.rate_limit.per.CopyFrom(duration(spec.rate_limit.per))
    for action in spec.actions:
        message.actions.add(
            action=action.action,
            description=action.description,
            input_schema=_text(action.input_schema),
            output_schema=_text(action.output_schema),
            is_idempotent=action.is_idempotent,
        )
    for name, document in spec.ready_mappings.items():
        message.ready_mappings.add(name=name, document=document)
    for webhook in spec.webhooks:
        message.webhooks.add(
            kind=webhook.kind, description=webhook.description, feeds_stream=webhook.feeds_stream
        )
    return message


def stream_message(stream: sdk.Stream) -> connector.StreamSpec:
    """Return a stream's description as it travels."""
    guarantee = f"GUARANTEE_{stream.guarantee.name}" if stream.guarantee else "GUARANTEE_UNSPECIFIED"
    return connector.StreamSpec(
        stream=stream.stream,
        description=stream.description,
        json_schema=_text(_classified(stream)),
        schema_fingerprint=stream.schema_fingerprint,
        primary_key=stream.primary_key,
        cursor_field=stream.cursor_field,
        read_modes=[connector.ReadMode.Value(f"READ_MODE_{mode.name}") for mode in stream.read_modes],
        write_modes=[connector.WriteMode.Value(f"WRITE_MODE_{mode.name}") for mode in stream.write_modes],
        guarantee=connector.Guarantee.Value(guarantee),
        longest_silence=duration(stream.longest_silence),
        range_field=stream.range_field,
        asks_for_range=stream.asks_for_range,
        most_side_by_side=stream.most_side_by_side,
    )


def _classified(stream: sdk.Stream) -> Mapping[str, Any]:
    """The stream's schema with the classes of fields in it."""
    if not stream.classes:
        return stream.json_schema
    told = {path: DataClass[kind.name] for path, kind in stream.classes.items()}
    return annotated(stream.json_schema, told)


def step_message(step: sdk.CheckStep) -> connector.CheckStep:
    """Return one step of a check as it travels."""
    return connector.CheckStep(
        step=step.step,
        result=connector.CheckStep.Result.Value(f"RESULT_{step.result.name}"),
        reason=step.reason,
        message=step.message,
        remedy=step.remedy,
        took=duration(step.took),
        granted_permissions=step.granted_permissions,
        needed_permissions=step.needed_permissions,
    )


def position_message(position: sdk.Position) -> batch.Position:
    """Return a position as it travels."""
    return batch.Position(
        state=position.encode(), schema_version=position.schema_version, summary=position.summary
    )


def position_of(message: batch.Position | None) -> sdk.Position | None:
    """Return the position that travelled here; None means the beginning.

    Raises:
        ConfigurationFailure: `POSITION_UNREADABLE`.
    """
    if message is None or not message.state:
        return None
    return sdk.Position.decode(message.state, message.schema_version, message.summary)


def between_of(request: connector.ReadRequest) -> sdk.Between | None:
    """Return the span of time that a reading is bounded to; None where it is not."""
    if not (request.HasField("range_start") and request.HasField("range_end")):
        return None
    return sdk.Between(request.range_start.ToDatetime(UTC), request.range_end.ToDatetime(UTC))


def operations_message(operations: list[sdk.Operation] | None) -> list[int] | None:
    """Return operations as they travel."""
    return None if operations is None else [OPERATION_NUMBERS[one] for one in operations]


def change_word(change: int) -> str:
    """Return the SDK's word for a change in an instance's life."""
    return _CHANGES.get(connector.NotifyInstanceRequest.Change.ValueType(change), "unspecified")


def duration(span: timedelta) -> Duration:
    """Return a time span as it travels."""
    message = Duration()
    message.FromTimedelta(span)
    return message


def _text(document: Mapping[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


__all__ = [
    "OPERATIONS",
    "OPERATION_NUMBERS",
    "READ_MODES",
    "WRITE_MODES",
    "between_of",
    "change_word",
    "duration",
    "operations_message",
    "position_message",
    "position_of",
    "spec_message",
    "step_message",
    "stream_message",
]
