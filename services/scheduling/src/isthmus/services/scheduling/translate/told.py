"""What events tell of executions."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import NOTHING_ASKED, Counts, Execution, Leg
from isthmus.services.scheduling.translate.executions import write_execution


def write_sync(execution: Execution) -> pb.SyncChanged:
    """Write what is told of an execution."""
    return pb.SyncChanged(
        execution=write_execution(execution),
        source_instance_id=execution.flow.source.instance_id,
        destination_instance_id=execution.flow.destination.instance_id,
    )


def sync_data(execution: Execution) -> dict[str, Any]:
    """Give the same in canonical proto JSON, which takes a tenth of the time for what most executions are."""
    if not _is_plain(execution):
        return MessageToDict(write_sync(execution))
    return {
        "execution": _plain(execution),
        "sourceInstanceId": execution.flow.source.instance_id,
        "destinationInstanceId": execution.flow.destination.instance_id,
    }


def _is_plain(execution: Execution) -> bool:
    """Tell whether nothing is to be told that only few executions have."""
    return (
        execution.leg is Leg.WHOLE
        and not execution.legs
        and execution.failure is None
        and execution.asked == NOTHING_ASKED
        and execution.reconcile is None
        and execution.next_attempt_time is None
        and not execution.stop
        and not execution.waits_for
        and not execution.note
        and not execution.place.run_id
    )


def _plain(execution: Execution) -> dict[str, Any]:
    counts = execution.leg_counts
    told = {
        "executionId": execution.execution_id,
        "flowId": execution.flow_id,
        "flowName": execution.flow.name,
        "scheduleId": execution.schedule_id,
        "trigger": f"TRIGGER_{execution.trigger.name}",
        "status": f"STATUS_{execution.status.name}",
        "startTime": _moment(execution.start_time),
        "endTime": _moment(execution.end_time),
        "recordsProcessed": _long(counts.read),
        "successCount": _long(counts.arrived),
        "errorCount": _long(counts.quarantined),
        "initiatedBy": execution.initiated_by,
        "createTime": _moment(execution.create_time),
        "attempts": execution.attempts,
        "mappingVersion": execution.mapping_version,
        "expectedRecords": _long(execution.expected_records),
        "priority": execution.priority,
    }
    return {"counts": _counts(counts), **{name: value for name, value in told.items() if value}}


def _counts(counts: Counts) -> dict[str, str]:
    return {_camel(name): str(value) for name, value in counts.stored().items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _long(value: int) -> str:
    return str(value) if value else ""


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return ""
    micros = moment.microsecond
    digits = "auto" if micros == 0 else "milliseconds" if micros % 1000 == 0 else "microseconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=digits) + "Z"


__all__ = ["sync_data", "write_sync"]
