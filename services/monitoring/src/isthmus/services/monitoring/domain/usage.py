"""What instances did, added up by the hour."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Sample:
    """What one operation used; times in milliseconds."""

    sample_id: str
    instance_id: str
    time: datetime
    is_failure: bool = False
    is_unavailable: bool = False
    api_calls: int = 0
    response_time_ms: float = 0.0
    bytes: int = 0
    records: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class Metrics:
    """What an instance did in one hour."""

    instance_id: str
    start: datetime
    end: datetime
    operations: int
    availability_percentage: float
    average_response_time_ms: float
    error_rate: float
    bytes: int
    api_calls: int
    throttled: int
    records: int


def hour_of(time: datetime) -> datetime:
    """Gives the start of the hour, in UTC, that a time belongs to."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def metrics_of(
    instance_id: str,
    start: datetime,
    *,
    operations: int,
    failures: int,
    unavailable: int,
    api_calls: int,
    response_time_ms: float,
    bytes_moved: int,
    records: int,
    throttled: int,
) -> Metrics:
    """Turns sums of one hour into rates; an hour without operations counts as available."""
    return Metrics(
        instance_id=instance_id,
        start=start,
        end=start + timedelta(hours=1),
        operations=operations,
        availability_percentage=100.0 * (1 - unavailable / operations) if operations else 100.0,
        average_response_time_ms=response_time_ms / api_calls if api_calls else 0.0,
        error_rate=failures / operations if operations else 0.0,
        bytes=bytes_moved,
        api_calls=api_calls,
        throttled=throttled,
        records=records,
    )


__all__ = ["Metrics", "Sample", "hour_of", "metrics_of"]
