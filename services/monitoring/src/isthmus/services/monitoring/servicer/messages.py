"""Between the contract's messages and the domain's values."""

from datetime import UTC, datetime

from isthmus.kit import PageRequest
from isthmus.kit.redaction import scrub_personal
from isthmus.kit.times import moment
from isthmus.kit.validation import Check
from isthmus.monitoring.v1 import monitoring_pb2 as pb
from isthmus.resilience.faults import FixRequest
from isthmus.services.monitoring.domain import InstanceRecord, LogEntry, LogFilter, Metrics, Sample, judge
from isthmus.services.monitoring.domain.logs import MOST_ENTRIES

_KINDS = {
    pb.IntegrationLog.TYPE_INFO: "info",
    pb.IntegrationLog.TYPE_WARNING: "warning",
    pb.IntegrationLog.TYPE_ERROR: "error",
    pb.IntegrationLog.TYPE_SUCCESS: "success",
}
_TYPES = {name: number for number, name in _KINDS.items()}
_STATES = pb.InstanceHealth.State


def timed(page: PageRequest, name: str) -> PageRequest:
    """Reads the time in a page token.

    Raises:
        FixRequest: `PAGE_TOKEN_INVALID`, a token that this list did not issue.
    """
    if page.after is None:
        return page
    try:
        time = datetime.fromisoformat(str(page.after[name]))
        return PageRequest(page.size, {"id": str(page.after["id"]), name: time.astimezone(UTC)})
    except (ValueError, OverflowError) as error:
        message = "The page token was not issued by this list; start again without one."
        raise FixRequest("PAGE_TOKEN_INVALID", message, path="page_token") from error


def refuse_too_many(count: int) -> None:
    """Bounds what one call may bring.

    Raises:
        FixRequest: `BATCH_INVALID`.
    """
    if count > MOST_ENTRIES:
        message = f"Send at most {MOST_ENTRIES:,} entries in one call, not {count:,}."
        raise FixRequest("BATCH_INVALID", message)


def entry_of(log: pb.IntegrationLog, place: int, check: Check, now: datetime) -> LogEntry:
    """Reads one line; what is wrong with it is noted in `check`."""
    path = f"logs[{place}]"
    check.text(f"{path}.log_id", log.log_id, longest=100)
    check.text(f"{path}.message", log.message, longest=4000, lines=True)
    check.enum(f"{path}.type", log.type, known=_KINDS)
    check.json(f"{path}.details", log.details)
    return LogEntry(
        log_id=log.log_id,
        time=moment(log.time, f"{path}.time") or now,
        kind=_KINDS.get(log.type, "info"),
        message=scrub_personal(log.message),
        instance_id=log.instance_id,
        details=scrub_personal(log.details),
        user_id=log.user_id,
        operation=log.operation,
        execution_id=log.execution_id,
        correlation_id=log.correlation_id,
    )


def log_message(entry: LogEntry) -> pb.IntegrationLog:
    """Tells one line."""
    log = pb.IntegrationLog(
        log_id=entry.log_id,
        instance_id=entry.instance_id,
        type=_TYPES[entry.kind],
        message=entry.message,
        details=entry.details,
        user_id=entry.user_id,
        operation=entry.operation,
        execution_id=entry.execution_id,
        correlation_id=entry.correlation_id,
    )
    log.time.FromDatetime(entry.time)
    return log


def filter_of(request: pb.ListLogsRequest) -> LogFilter:
    """Reads which lines are wanted."""
    return LogFilter(
        instance_id=request.instance_id,
        execution_id=request.execution_id,
        kinds=tuple(_KINDS[kind] for kind in request.types if kind in _KINDS),
        start=moment(request.start_time, "start_time"),
        end=moment(request.end_time, "end_time"),
    )


def sample_of(sample: pb.UsageSample, place: int, check: Check, now: datetime) -> Sample:
    """Reads one sample; what is wrong with it is noted in `check`."""
    path = f"samples[{place}]"
    check.text(f"{path}.sample_id", sample.sample_id, longest=100)
    check.text(f"{path}.instance_id", sample.instance_id, longest=100)
    for name in ("api_calls", "response_time_ms", "bytes", "records", "throttled"):
        check.within(f"{path}.{name}", getattr(sample, name), least=0, most=1 << 53)
    return Sample(
        sample_id=sample.sample_id,
        instance_id=sample.instance_id,
        time=moment(sample.time, f"{path}.time") or now,
        is_failure=sample.is_failure,
        is_unavailable=sample.is_unavailable,
        api_calls=sample.api_calls,
        response_time_ms=sample.response_time_ms,
        bytes=sample.bytes,
        records=sample.records,
        throttled=sample.throttled,
    )


def metrics_message(metrics: Metrics) -> pb.ConnectorMetrics:
    """Tells what an instance did in an hour."""
    message = pb.ConnectorMetrics(
        instance_id=metrics.instance_id,
        availability_percentage=metrics.availability_percentage,
        average_response_time_ms=metrics.average_response_time_ms,
        error_rate=metrics.error_rate,
        total_operations=metrics.operations,
        data_transferred_bytes=metrics.bytes,
        api_calls=metrics.api_calls,
        throttling_events=metrics.throttled,
        records=metrics.records,
    )
    message.period_start.FromDatetime(metrics.start)
    message.period_end.FromDatetime(metrics.end)
    return message


def health_message(record: InstanceRecord) -> pb.InstanceHealth:
    """Tells how an instance is doing."""
    verdict = judge(record)
    message = pb.InstanceHealth(
        instance_id=record.instance_id,
        state=_STATES.Value(f"STATE_{verdict.state.upper()}"),
        explanation=verdict.explanation,
        succeeded=record.succeeded,
        failed=record.failed,
    )
    if record.last_success:
        message.last_success_time.FromDatetime(record.last_success)
    if record.last_failure:
        message.last_failure_time.FromDatetime(record.last_failure)
    return message


__all__ = [
    "entry_of",
    "filter_of",
    "health_message",
    "log_message",
    "metrics_message",
    "refuse_too_many",
    "sample_of",
    "timed",
]
