"""What a request must look like before anything is decided."""

import json
from collections.abc import Iterable

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.kit.validation import Check, validating
from isthmus.scheduling.v1 import plans_pb2
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import COMPARE_STREAM, HUB, PAIR_STREAM
from isthmus.services.scheduling.translate import has_range
from isthmus.type.v1 import batch_pb2

_LONGEST_ID = 64
_LONGEST_NAME = 200
_LONGEST_STREAM = 500
_MOST_ATTEMPTS = 100
_MOST_KEYS = 16
_MOST_CHECKPOINTS = 1000
_MOST_AT_ONCE = 100
_LARGEST_POSITION = 64 * 1024
_LARGEST_PREVIEW = 512 * 1024
_LARGEST_FINDINGS = 256 * 1024
# The years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799
_LONGEST_INTERVAL = 366 * 24 * 60
_LONGEST_JITTER = 24 * 60 * 60
_LONGEST_WAIT = 7 * 24 * 60 * 60
_LARGEST = 2**53
_HIGHEST_PRIORITY = 1000
_NEEDED_TEXTS = {
    pb.Schedule.TYPE_CRON: "cron_expression",
    pb.Schedule.TYPE_EVENT: "event_trigger",
}


def check_id(path: str, value: str) -> None:
    """Refuse an id that cannot be one."""
    with validating() as check:
        check.text(path, value, longest=_LONGEST_ID)


def check_asked(request: pb.StartExecutionRequest) -> None:
    """Refuse to be asked for what an execution cannot do."""
    with validating() as check:
        check.within("record_limit", request.record_limit, least=0, most=_LARGEST)
        if request.record_limit and not request.is_dry_run:
            text = "Only a dry run may stop early; leave the limit out, or make it a dry run."
            check.add("record_limit", "NOT_ALLOWED", text)
        if has_range(request) and request.HasField("reconcile"):
            text = "A reconciliation compares everything; leave one of the two out."
            check.add("range", "NOT_ALLOWED", text)
        if request.is_dry_run and request.HasField("reconcile"):
            text = "A reconciliation writes nothing unless it repairs; leave one of the two out."
            check.add("is_dry_run", "NOT_ALLOWED", text)
        if not has_range(request):
            return
        span = request.range
        check.text("range.field", span.field, required=False, longest=_LONGEST_STREAM)
        for name in ("start_time", "end_time"):
            if not span.HasField(name):
                check.add(f"range.{name}", "REQUIRED", "A range has a start and an end.")
            check.within(f"range.{name}", getattr(span, name).seconds, least=_FIRST_SECOND, most=_LAST_SECOND)
            nanos = getattr(span, name).nanos
            check.within(f"range.{name}.nanos", nanos, least=0, most=999_999_999)
        first, end = span.start_time, span.end_time
        if (first.seconds, first.nanos) >= (end.seconds, end.nanos):
            check.add("range.end_time", "NOT_AFTER_START", "Let the range end after its start.")


def check_reconcile(request: pb.StartExecutionRequest) -> None:
    """Refuse to remove extra records where nothing is to be repaired."""
    if request.reconcile.delete_extra and not request.reconcile.repair:
        with validating() as check:
            path, message = "reconcile.delete_extra", "Extra records are removed by a repair; ask for one."
            check.add(path, "REPAIR_MISSING", message)


def read_priority(request: pb.StartExecutionRequest | plans_pb2.StartPlanRunRequest) -> int | None:
    """Read the priority that a start is to have; None where it is left to the flow."""
    if not request.HasField("priority"):
        return None
    with validating() as check:
        check.within("priority", request.priority, least=-_HIGHEST_PRIORITY, most=_HIGHEST_PRIORITY)
    return request.priority


def check_flow(flow: pb.Flow) -> None:
    """Refuse a flow that could not be stored or could not run."""
    with validating() as check:
        check.text("flow.name", flow.name, longest=_LONGEST_NAME)
        check.text("flow.description", flow.description, required=False, longest=4000, lines=True)
        _check_endpoint(check, "flow.source", flow.source)
        _check_endpoint(check, "flow.destination", flow.destination)
        if flow.source.stream and flow.source == flow.destination:
            check.add("flow.destination", "SAME_AS_SOURCE", "Choose a destination that is not the source.")
        check.text("flow.mapping_id", flow.mapping_id, required=False, longest=_LONGEST_ID)
        check.within("flow.mapping_version", flow.mapping_version, least=0, most=2**31 - 1)
        if flow.mapping_version and not flow.mapping_id:
            check.add("flow.mapping_id", "REQUIRED", "Name the mapping whose version is meant.")
        check_known(check, "flow.read_mode", flow.read_mode, connector.ReadMode)
        check_known(check, "flow.write_mode", flow.write_mode, connector.WriteMode)
        check_known(check, "flow.conflict_policy", flow.conflict_policy, pb.ConflictPolicy)
        check.count("flow.destination_key", flow.destination_key, most=_MOST_KEYS)
        for index, key in enumerate(flow.destination_key):
            check.text(f"flow.destination_key[{index}]", key, longest=_LONGEST_STREAM)
        policy, path = flow.failure_policy, "flow.failure_policy"
        check.within(f"{path}.max_attempts", policy.max_attempts, least=0, most=_MOST_ATTEMPTS)
        check.within(f"{path}.max_quarantined", policy.max_quarantined, least=0, most=_LARGEST)
        check.within("flow.priority", flow.priority, least=-_HIGHEST_PRIORITY, most=_HIGHEST_PRIORITY)
        _check_way_back(check, flow)
        _check_conflicts(check, flow)
        _check_deletes(check, flow)


def _check_way_back(check: Check, flow: pb.Flow) -> None:
    check_known(check, "flow.direction", flow.direction, pb.Direction)
    check_known(check, "flow.reverse_read_mode", flow.reverse_read_mode, connector.ReadMode)
    check.text("flow.reverse_mapping_id", flow.reverse_mapping_id, required=False, longest=_LONGEST_ID)
    check.within("flow.reverse_mapping_version", flow.reverse_mapping_version, least=0, most=2**31 - 1)
    if flow.reverse_mapping_version and not flow.reverse_mapping_id:
        check.add("flow.reverse_mapping_id", "REQUIRED", "Name the mapping whose version is meant.")
    check.count("flow.reverse_key", flow.reverse_key, most=_MOST_KEYS)
    for index, key in enumerate(flow.reverse_key):
        check.text(f"flow.reverse_key[{index}]", key, longest=_LONGEST_STREAM)
    if flow.direction == pb.DIRECTION_BOTH:
        if not flow.destination_key:
            text = "Name the fields by which records of both sides are known to be the same."
            check.add("flow.destination_key", "REQUIRED", text)
        if flow.write_mode not in {connector.WRITE_MODE_UNSPECIFIED, connector.WRITE_MODE_UPSERT}:
            text = "A two-way flow creates, changes and deletes on both sides; leave the write mode out."
            check.add("flow.write_mode", "ONE_WAY_ONLY", text)
    for name in ("source", "destination"):
        endpoint = getattr(flow, name)
        if endpoint.instance_id == HUB and endpoint.stream.startswith((PAIR_STREAM, COMPARE_STREAM)):
            text = (
                f"Choose another stream; those that begin with `{PAIR_STREAM}` belong to two-way flows, "
                f"those that begin with `{COMPARE_STREAM}` to reconciliations."
            )
            check.add(f"flow.{name}.stream", "RESERVED", text)


def _check_conflicts(check: Check, flow: pb.Flow) -> None:
    rules, path = flow.conflict_rules, "flow.conflict_rules"
    check_known(check, f"{path}.otherwise", rules.otherwise, pb.ConflictPolicy)
    for name in ("source_time_field", "destination_time_field"):
        needed = flow.conflict_policy == pb.CONFLICT_POLICY_NEWEST_WINS or (
            flow.conflict_policy == pb.CONFLICT_POLICY_MERGE
            and rules.otherwise == pb.CONFLICT_POLICY_NEWEST_WINS
        )
        check.text(f"{path}.{name}", getattr(rules, name), required=needed, longest=_LONGEST_STREAM)
    seconds = rules.skew_tolerance.seconds + rules.skew_tolerance.nanos / 1e9
    check.within(f"{path}.skew_tolerance", seconds, least=0, most=_LONGEST_WAIT)
    if flow.conflict_policy > pb.CONFLICT_POLICY_SOURCE_WINS and flow.direction != pb.DIRECTION_BOTH:
        text = "A flow that goes one way sees one side only; choose another policy for a two-way flow."
        check.add("flow.conflict_policy", "TWO_WAY_ONLY", text)
    if rules.otherwise == pb.CONFLICT_POLICY_MERGE:
        text = "Where a policy cannot decide, a side, the newest version or a person can."
        check.add(f"{path}.otherwise", "NOT_ALLOWED", text)


def _check_deletes(check: Check, flow: pb.Flow) -> None:
    deletes, path = flow.delete_policy, "flow.delete_policy"
    check_known(check, f"{path}.kind", deletes.kind, pb.DeletePolicy.Kind)
    needed = deletes.kind == pb.DeletePolicy.KIND_TOMBSTONE
    check.text(f"{path}.tombstone_field", deletes.tombstone_field, required=needed, longest=_LONGEST_STREAM)
    check.text(f"{path}.tombstone_value", deletes.tombstone_value, required=False, longest=1000)
    check.within(f"{path}.most_deletions", deletes.most_deletions, least=0, most=_LARGEST)
    check.within(f"{path}.most_percent", deletes.most_percent, least=0, most=100)
    if deletes.absent:
        _check_absent(check, flow)
    try:
        json.loads(deletes.tombstone_value or "true")
    except ValueError:
        check.add(f"{path}.tombstone_value", "NOT_JSON", "Write JSON; texts stand in quotation marks.")


def _check_absent(check: Check, flow: pb.Flow) -> None:
    path = "flow.delete_policy"
    if flow.direction == pb.DIRECTION_BOTH:
        text = "A two-way flow takes what a full reading no longer shows as deleted; leave `absent` out."
        check.add(f"{path}.absent", "ONE_WAY_ONLY", text)
        return
    mode = "reverse_read_mode" if flow.direction == pb.DIRECTION_REVERSE else "read_mode"
    if getattr(flow, mode) != connector.READ_MODE_FULL:
        text = f"Only a full reading shows what is absent; set `{mode}` to full."
        check.add(f"flow.{mode}", "REQUIRED", text)
    if flow.write_mode in {connector.WRITE_MODE_CREATE, connector.WRITE_MODE_UPDATE}:
        text = "A flow that may not delete leaves what is absent; write with mode upsert."
        check.add("flow.write_mode", "NOT_ALLOWED", text)
    if "." in _mark_of(flow):
        text = "Records that are absent are marked by a field of their own; name one without a dot."
        check.add(f"{path}.tombstone_field", "NOT_ALLOWED", text)


def _mark_of(flow: pb.Flow) -> str:
    """The field by which deleted records are marked; empty where they are not."""
    policy = flow.delete_policy
    return policy.tombstone_field if policy.kind == pb.DeletePolicy.KIND_TOMBSTONE else ""


def _check_endpoint(check: Check, path: str, endpoint: pb.Endpoint) -> None:
    check.text(f"{path}.instance_id", endpoint.instance_id, longest=_LONGEST_ID)
    check.text(f"{path}.stream", endpoint.stream, longest=_LONGEST_STREAM)


def check_known(check: Check, path: str, value: int, enum: type) -> None:
    """Refuse a value of an enum that this build does not know."""
    known = enum.values()  # type: ignore[attr-defined]
    if value not in known:
        check.add(path, "UNKNOWN_VALUE", f"`{path}` has the value {value}, which this version does not know.")


def check_schedule(schedule: pb.Schedule) -> None:
    """Refuse a schedule that lacks what its type needs."""
    with validating() as check:
        needed = not schedule.plan_id
        check.text("schedule.flow_id", schedule.flow_id, required=needed, longest=_LONGEST_ID)
        check.text("schedule.plan_id", schedule.plan_id, required=False, longest=_LONGEST_ID)
        if schedule.flow_id and schedule.plan_id:
            text = "A schedule runs a flow or a plan; leave one of them out."
            check.add("schedule.plan_id", "NOT_ALLOWED", text)
        check.enum("schedule.type", schedule.type, known=pb.Schedule.Type.values())
        check_known(check, "schedule.missed_runs", schedule.missed_runs, pb.Schedule.MissedRuns)
        if schedule.type == pb.Schedule.TYPE_INTERVAL:
            path = "schedule.interval_minutes"
            check.within(path, schedule.interval_minutes, least=1, most=_LONGEST_INTERVAL)
        for kind, field in _NEEDED_TEXTS.items():
            value, needed = getattr(schedule, field), schedule.type == kind
            check.text(f"schedule.{field}", value, required=needed, longest=_LONGEST_NAME)
        check.text("schedule.time_zone", schedule.time_zone, required=False, longest=_LONGEST_ID)
        seconds = schedule.jitter.seconds + schedule.jitter.nanos / 1e9
        check.within("schedule.jitter", seconds, least=0, most=_LONGEST_JITTER)


def check_lease_request(request: pb.AcquireLeaseRequest) -> None:
    """Refuse a lease for nobody."""
    with validating() as check:
        check.text("execution_id", request.execution_id, longest=_LONGEST_ID)
        check.text("host_id", request.host_id, longest=_LONGEST_NAME)
        check.text("connector_id", request.connector_id, required=False, longest=_LONGEST_NAME)


def check_several(path: str, requests: Iterable[object]) -> None:
    """Refuse more than may be asked for at once."""
    with validating() as check:
        check.count(path, requests, most=_MOST_AT_ONCE)


def check_room(request: pb.FinishAttemptsRequest) -> None:
    """Refuse room for more than may be given at once, and room at nobody's."""
    with validating() as check:
        check.within("room", request.room, least=0, most=_MOST_AT_ONCE)
        check.text("host_id", request.host_id, required=request.room > 0, longest=_LONGEST_NAME)
        check.text("connector_id", request.connector_id, required=request.room > 0, longest=_LONGEST_NAME)


def check_progress(
    request: pb.RenewLeaseRequest | pb.CommitCheckpointRequest | pb.FinishAttemptRequest,
) -> None:
    """Refuse counts that cannot be, and positions that cannot be stored."""
    with validating() as check:
        check.text("execution_id", request.execution_id, longest=_LONGEST_ID)
        _check_counts(check, request.counts)
        if isinstance(request, pb.RenewLeaseRequest):
            check.within("expected_records", request.expected_records, least=0, most=_LARGEST)
        else:
            _check_checkpoints(check, request.checkpoints)
        if isinstance(request, pb.FinishAttemptRequest):
            _check_ending(check, request)
            check.text("note", request.note, required=False, longest=2000)
            if request.preview.ByteSize() > _LARGEST_PREVIEW:
                check.add("preview", "TOO_LONG", "Keep a preview within 512 KiB.")
            if sum(one.ByteSize() for one in request.findings) > _LARGEST_FINDINGS:
                check.add("findings", "TOO_LONG", "Keep findings within 256 KiB.")


def _check_counts(check: Check, counts: batch_pb2.Counts) -> None:
    for field in counts.DESCRIPTOR.fields:
        check.within(f"counts.{field.name}", getattr(counts, field.name), least=0, most=_LARGEST)


def _check_checkpoints(check: Check, checkpoints: "pb.Checkpoint | object") -> None:
    points: list[pb.Checkpoint] = list(checkpoints)  # type: ignore[call-overload]
    check.count("checkpoints", points, most=_MOST_CHECKPOINTS)
    if len({point.partition for point in points}) < len(points):
        check.add("checkpoints", "PARTITION_TWICE", "Send at most one position for each partition.")
    for index, point in enumerate(points):
        path = f"checkpoints[{index}]"
        check.text(f"{path}.partition", point.partition, required=False, longest=_LONGEST_STREAM)
        check.text(f"{path}.position.summary", point.position.summary, required=False, lines=True)
        if len(point.position.state) > _LARGEST_POSITION:
            check.add(f"{path}.position.state", "TOO_LONG", "Keep a position within 64 KiB.")


def _check_ending(check: Check, request: pb.FinishAttemptRequest) -> None:
    check.enum("outcome", request.outcome, known=pb.FinishAttemptRequest.Outcome.values())
    needed, error = request.outcome == pb.FinishAttemptRequest.OUTCOME_FAILED, request.error
    check.text("error.reason", error.reason, required=needed, longest=_LONGEST_NAME)
    check.text("error.message", error.message, required=needed, longest=4000, lines=True)
    check.within("error.retry_after", error.retry_after.seconds, least=0, most=_LONGEST_WAIT)


__all__ = [
    "check_asked",
    "check_flow",
    "check_id",
    "check_known",
    "check_lease_request",
    "check_progress",
    "check_room",
    "check_schedule",
    "check_several",
    "read_priority",
]
