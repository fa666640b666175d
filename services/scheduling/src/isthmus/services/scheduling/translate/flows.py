"""Flows, between the contract's messages and the domain's values."""

from datetime import timedelta
from functools import lru_cache

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import (
    ConflictPolicy,
    ConflictRules,
    DeleteKind,
    DeletePolicy,
    Direction,
    Endpoint,
    FailurePolicy,
    Flow,
    FlowSpec,
    ReadMode,
    WriteMode,
)
from isthmus.services.scheduling.translate.tables import back

_READ_MODES = {mode: connector.ReadMode.Value(f"READ_MODE_{mode.name}") for mode in ReadMode}
_WRITE_MODES = {mode: connector.WriteMode.Value(f"WRITE_MODE_{mode.name}") for mode in WriteMode}
_DIRECTIONS = {one: pb.Direction.Value(f"DIRECTION_{one.name}") for one in Direction}
_POLICIES = {one: pb.ConflictPolicy.Value(f"CONFLICT_POLICY_{one.name}") for one in ConflictPolicy}
_DELETE_KINDS = {kind: pb.DeletePolicy.Kind.Value(f"KIND_{kind.name}") for kind in DeleteKind}


def read_flow(message: pb.Flow) -> FlowSpec:
    """Read what a flow's owner decides."""
    return FlowSpec(
        name=message.name,
        description=message.description,
        source=Endpoint(message.source.instance_id, message.source.stream),
        destination=Endpoint(message.destination.instance_id, message.destination.stream),
        mapping_id=message.mapping_id,
        mapping_version=message.mapping_version,
        read_mode=back(_READ_MODES, message.read_mode, ReadMode.UNSPECIFIED),
        write_mode=back(_WRITE_MODES, message.write_mode, WriteMode.UPSERT),
        destination_key=tuple(message.destination_key),
        is_active=message.is_active,
        failure_policy=FailurePolicy(
            message.failure_policy.max_attempts, message.failure_policy.max_quarantined
        ),
        direction=back(_DIRECTIONS, message.direction, Direction.FORWARD),
        reverse_mapping_id=message.reverse_mapping_id,
        reverse_mapping_version=message.reverse_mapping_version,
        reverse_key=tuple(message.reverse_key),
        reverse_read_mode=back(_READ_MODES, message.reverse_read_mode, ReadMode.UNSPECIFIED),
        conflict_policy=back(_POLICIES, message.conflict_policy or 1, ConflictPolicy.SOURCE_WINS),
        conflict_rules=_read_rules(message.conflict_rules),
        delete_policy=_read_deletes(message.delete_policy),
        priority=message.priority,
    )


def _read_rules(message: pb.ConflictRules) -> ConflictRules:
    return ConflictRules(
        source_time_field=message.source_time_field,
        destination_time_field=message.destination_time_field,
        skew_seconds=message.skew_tolerance.ToTimedelta().total_seconds(),
        otherwise=back(_POLICIES, message.otherwise, ConflictPolicy.UNSPECIFIED),
    )


def _read_deletes(message: pb.DeletePolicy) -> DeletePolicy:
    return DeletePolicy(
        kind=back(_DELETE_KINDS, message.kind, DeleteKind.PROPAGATE),
        tombstone_field=message.tombstone_field,
        tombstone_value=message.tombstone_value,
        most_deletions=message.most_deletions,
        absent=message.absent,
        most_percent=message.most_percent,
        filtered=message.filtered,
    )


def write_spec(spec: FlowSpec) -> pb.Flow:
    """Write what a flow's owner decided."""
    message = pb.Flow()
    message.CopyFrom(_written(spec))
    return message


@lru_cache(maxsize=1000)
def _written(spec: FlowSpec) -> pb.Flow:
    """Write it once for the many executions of a flow; nobody changes what is given here."""
    message = pb.Flow(
        name=spec.name,
        description=spec.description,
        source=pb.Endpoint(instance_id=spec.source.instance_id, stream=spec.source.stream),
        destination=pb.Endpoint(instance_id=spec.destination.instance_id, stream=spec.destination.stream),
        mapping_id=spec.mapping_id,
        mapping_version=spec.mapping_version,
        read_mode=_READ_MODES[spec.read_mode],
        write_mode=_WRITE_MODES[spec.write_mode],
        conflict_policy=_POLICIES[spec.conflict_policy],
        destination_key=spec.destination_key,
        is_active=spec.is_active,
        failure_policy=pb.FailurePolicy(
            max_attempts=spec.failure_policy.max_attempts, max_quarantined=spec.failure_policy.max_quarantined
        ),
        direction=_DIRECTIONS[spec.direction],
        reverse_mapping_id=spec.reverse_mapping_id,
        reverse_mapping_version=spec.reverse_mapping_version,
        reverse_key=spec.reverse_key,
        reverse_read_mode=_READ_MODES[spec.reverse_read_mode],
        priority=spec.priority,
        delete_policy=pb.DeletePolicy(
            kind=_DELETE_KINDS[spec.delete_policy.kind],
            tombstone_field=spec.delete_policy.tombstone_field,
            tombstone_value=spec.delete_policy.tombstone_value,
            most_deletions=spec.delete_policy.most_deletions,
            absent=spec.delete_policy.absent,
            most_percent=spec.delete_policy.most_percent,
            filtered=spec.delete_policy.filtered,
        ),
    )
    _write_rules(spec.conflict_rules, message.conflict_rules)
    return message


def _write_rules(rules: ConflictRules, message: pb.ConflictRules) -> None:
    message.source_time_field = rules.source_time_field
    message.destination_time_field = rules.destination_time_field
    message.skew_tolerance.FromTimedelta(timedelta(seconds=rules.skew_seconds))
    message.otherwise = _POLICIES[rules.otherwise]


def write_flow(flow: Flow) -> pb.Flow:
    """Write a flow as stored."""
    message = write_spec(flow.spec)
    message.flow_id = flow.flow_id
    message.created_by = flow.created_by
    message.create_time.FromDatetime(flow.create_time)
    message.update_time.FromDatetime(flow.update_time)
    message.etag = str(flow.revision)
    message.is_paused = flow.is_paused
    message.paused_by = flow.paused_by
    message.pause_reason = flow.pause_reason
    if flow.pause_time is not None:
        message.pause_time.FromDatetime(flow.pause_time)
    return message


__all__ = [
    "read_flow",
    "write_flow",
    "write_spec",
]
