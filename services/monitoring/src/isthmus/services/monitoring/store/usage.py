"""Usage by the hour in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.services.monitoring.domain import Metrics, Sample, hour_of, metrics_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Rows of hours are locked in one order, so that hosts reporting at once cannot deadlock.
_ADD = text("""with given as (
        select * from unnest(
            cast(:sample_id as text[]), cast(:time as timestamptz[]), cast(:instance_id as text[]),
            cast(:hour as timestamptz[]), cast(:failures as bigint[]), cast(:unavailable as bigint[]),
            cast(:api_calls as bigint[]), cast(:response_time_ms as double precision[]),
            cast(:bytes_moved as bigint[]), cast(:records as bigint[]), cast(:throttled as bigint[]))
            as one (sample_id, time, instance_id, hour, failures, unavailable, api_calls, response_time_ms,
                    bytes_moved, records, throttled)
    ), new as (
        insert into usage_samples (tenant_id, sample_id, time)
        select :tenant_id, sample_id, time from given order by sample_id
        on conflict do nothing returning sample_id
    )
    insert into usage_hours as u (tenant_id, instance_id, hour, operations, failures, unavailable,
        api_calls, response_time_ms, bytes_moved, records, throttled)
    select :tenant_id, instance_id, hour, count(*), sum(failures), sum(unavailable), sum(api_calls),
        sum(response_time_ms), sum(bytes_moved), sum(records), sum(throttled)
    from given join new using (sample_id) group by instance_id, hour order by instance_id, hour
    on conflict (tenant_id, instance_id, hour) do update set
        operations = u.operations + excluded.operations, failures = u.failures + excluded.failures,
        unavailable = u.unavailable + excluded.unavailable, api_calls = u.api_calls + excluded.api_calls,
        response_time_ms = u.response_time_ms + excluded.response_time_ms,
        bytes_moved = u.bytes_moved + excluded.bytes_moved, records = u.records + excluded.records,
        throttled = u.throttled + excluded.throttled""")
_PAGE = """select instance_id, hour, operations, failures, unavailable, api_calls, response_time_ms,
        bytes_moved, records, throttled
    from usage_hours
    where (:instance_id = '' or instance_id = :instance_id)
        and (cast(:start as timestamptz) is null or hour >= :start)
        and (cast(:end as timestamptz) is null or hour < :end)
        and (cast(:after_hour as timestamptz) is null or hour < :after_hour
             or (hour = :after_hour and instance_id > :after_id))
    order by hour desc, instance_id limit :limit"""


class Usage:
    """Sums that one transaction sees."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self._conn = conn
        self._tenant_id = tenant_id

    async def record(self, samples: Sequence[Sample]) -> None:
        """Add samples up; one that was counted before is left out."""
        once = {sample.sample_id: sample for sample in samples}
        if once:
            rows = [_row(sample) for sample in once.values()]
            values: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
            await self._conn.execute(_ADD, {"tenant_id": self._tenant_id, **values})

    async def page(
        self, instance_id: str, start: datetime | None, end: datetime | None, page: PageRequest
    ) -> list[Metrics]:
        """Return hours, newest first, one more than the page holds."""
        after = page.after or {}
        values = {
            "instance_id": instance_id,
            "start": start,
            "end": end,
            "after_hour": after.get("hour"),
            "after_id": after.get("id", ""),
            "limit": page.size + 1,
        }
        found = await self._conn.execute(text(_PAGE), values)
        return [_metrics(**row._asdict()) for row in found]


def _row(sample: Sample) -> dict[str, object]:
    return {
        "sample_id": sample.sample_id,
        "time": sample.time,
        "instance_id": sample.instance_id,
        "hour": hour_of(sample.time),
        "failures": int(sample.is_failure),
        "unavailable": int(sample.is_unavailable),
        "api_calls": sample.api_calls,
        "response_time_ms": sample.response_time_ms,
        "bytes_moved": sample.bytes,
        "records": sample.records,
        "throttled": sample.throttled,
    }


def _metrics(*, hour: datetime, instance_id: str, **sums: float) -> Metrics:
    counts = {name: int(value) for name, value in sums.items() if name != "response_time_ms"}
    return metrics_of(instance_id, hour, response_time_ms=sums["response_time_ms"], **counts)


__all__ = ["Usage"]
