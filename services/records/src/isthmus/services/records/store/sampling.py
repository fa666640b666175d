"""Takes a few records out of a stream, however large it is."""

from isthmus.kit import Database
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.records import Stream
from sqlalchemy import text

SAMPLED_BYTES = 8 << 20
_STREAM = text("""
    SELECT stream, stream_number, records, last_change, primary_key, json_schema, update_time, is_suppressed
    FROM streams WHERE tenant_id = :tenant AND stream = :stream
""")
# Both ends by the index of keys; sizes are summed up before any text is read.
_SAMPLE = text("""
    SELECT data FROM (
        SELECT data, sum(octet_length(data)) OVER (ORDER BY place, key ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
            SELECT DISTINCT ON (key) key, data, place FROM (
                (SELECT key, data, 0 AS place FROM records WHERE tenant_id = :tenant
                    AND stream_number = :number AND NOT is_deleted ORDER BY key LIMIT :half)
                UNION ALL
                (SELECT key, data, 1 AS place FROM records WHERE tenant_id = :tenant
                    AND stream_number = :number AND NOT is_deleted ORDER BY key DESC LIMIT :half)
            ) AS ends ORDER BY key, place
        ) AS sample
    ) AS sized WHERE bytes <= :bytes
""")


class Sampler:
    """Reads samples of streams.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sample(self, tenant_id: str, stream: str, size: int) -> tuple[Stream, list[str]]:
        """Read some records from both ends of a stream, at most 8 MiB.

        Raises:
            Missing: `STREAM_UNKNOWN`.
        """
        values = {"tenant": tenant_id, "stream": stream}
        async with self._database.tenant(tenant_id) as connection:
            row = (await connection.execute(_STREAM, values)).one_or_none()
            if row is None:
                message = f"There is no stream `{stream}` in the hub; ListStreams shows what there is."
                raise Missing("STREAM_UNKNOWN", message, path="stream")
            asked = {"tenant": tenant_id, "number": row.stream_number}
            asked |= {"half": (size + 1) // 2, "bytes": SAMPLED_BYTES}
            found = [data for (data,) in await connection.execute(_SAMPLE, asked)]
        known = Stream(
            row.stream,
            row.records,
            row.last_change,
            tuple(row.primary_key),
            row.json_schema,
            row.update_time,
            row.is_suppressed,
        )
        return known, found


__all__ = ["SAMPLED_BYTES", "Sampler"]
