"""The statements of the write path.

A writer holds its position and then the stream for the length of its transaction. So the changes of
a stream are numbered in the order in which they become visible, a reader that has seen number n has
seen everything up to n, and no two writers meet on one key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.services.records.store.raw import Utf8

# A batch is looked up in a stream that may be large, by a statement that was planned when it was small:
# whoever has locked a position plans by indexes for the rest of the transaction.
LOCK_POSITION = """
    SELECT fencing_token, last_sequence, rejected, set_config('enable_seqscan', 'off', true)
    FROM write_positions
    WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s AND partition = %(partition)s
    FOR UPDATE
"""

CREATE_POSITION = """
    INSERT INTO write_positions (tenant_id, flow_id, partition)
    VALUES (%(tenant)s, %(flow)s, %(partition)s) ON CONFLICT DO NOTHING
"""

STORE_POSITION = """
    UPDATE write_positions
    SET fencing_token = %(token)s::bigint, last_sequence = %(sequence)s::bigint,
        rejected = %(rejected)s::text::json, update_time = now()
    WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s AND partition = %(partition)s
"""

# Two lists of keys are joined by a table of hashes, whatever the planner believes of their length.
LOCK_STREAM = """
    SELECT stream_number, last_change, primary_key, json_schema, set_config('enable_nestloop', 'off', true),
        is_suppressed
    FROM streams
    WHERE tenant_id = %(tenant)s AND stream = %(stream)s
    FOR UPDATE
"""

CREATE_STREAM = """
    INSERT INTO streams (tenant_id, stream, is_suppressed)
    VALUES (%(tenant)s, %(stream)s, EXISTS (SELECT FROM suppressions WHERE tenant_id = %(tenant)s))
    ON CONFLICT DO NOTHING
"""

DESCRIBE_STREAM = """
    UPDATE streams SET primary_key = %(keys)s::text[], json_schema = %(schema)s::text
    WHERE tenant_id = %(tenant)s AND stream = %(stream)s
"""

ADVANCE_STREAM = """
    UPDATE streams
    SET last_change = %(change)s::bigint, records = records + %(records)s::bigint, update_time = now()
    WHERE tenant_id = %(tenant)s AND stream = %(stream)s
"""

NEXT_WRITER = "SELECT nextval('writer_numbers')"

# Another transaction of the same writer may have said so already.
STORE_WRITER = """
    INSERT INTO writers (tenant_id, writer_number, flow_id, execution_id, origin)
    VALUES (%(tenant)s, %(writer)s::bigint, %(flow)s, %(execution)s, %(origin)s) ON CONFLICT DO NOTHING
"""

FIND_INVALID = """
    SELECT found.ordinal, error.sql_error_code, error.message
    FROM unnest(%(lines)b::text[]) WITH ORDINALITY AS found (line, ordinal),
        LATERAL pg_input_error_info(found.line, 'jsonb') AS error
    WHERE error.message IS NOT NULL
"""

# Records are found by the number of their stream, which is no other tenant's.
NUMBER = "(SELECT s.stream_number FROM streams AS s WHERE s.tenant_id = %(tenant)s AND s.stream = %(stream)s)"

PRESENT = f"""
    SELECT convert_to(key, 'UTF8'), convert_to(data, 'UTF8') FROM records
    WHERE tenant_id = %(tenant)s AND stream_number = {NUMBER} AND NOT is_deleted
        AND key = ANY (%(keys)b::text[])
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for lines that come as an array, or as one text with a line feed between each two.

    Attributes:
        array: For `TextArray`.
        text: For `Utf8`.
    """

    array: str
    text: str

    def of(self, values: Mapping[str, Any]) -> str:
        """The statement that takes these values."""
        return self.text if isinstance(values["lines"], Utf8) else self.array


def _statement(template: str) -> Statement:
    array = "unnest(%(keys)b::text[], %(lines)b::text[])"
    text = "ROWS FROM (unnest(%(keys)b::text[]), string_to_table(%(lines)b::text, E'\\n'))"
    return Statement(template.replace("{given}", array), template.replace("{given}", text))


# One lookup a record decides: equal bytes are equal content, and where they differ the values
# are compared, so that another order of members or another spelling of a number makes no version.
# All keys are looked up by one walk along the index and hashed; before PostgreSQL 17 that might become a
# scan of the stream, and each key is looked up alone. ctid finds a row again: as the inner side of a lookup,
# because an UPDATE would be a join, and while statistics know of no rows the planner would scan the stream
# for it. What is replaced goes through the key's conflict for the same reason.
_KNOWN_AT_ONCE = """
        SELECT r.key, r.version, r.is_deleted, r.data, r.ctid AS place FROM records AS r
        WHERE r.tenant_id = %(tenant)s AND r.stream_number = %(number)s::bigint
            AND r.key = ANY (%(keys)b::text[])
"""
_KNOWN_ONE_BY_ONE = """
        SELECT found.* FROM unnest(%(keys)b::text[]) AS given (key), LATERAL (
            SELECT r.key, r.version, r.is_deleted, r.data, r.ctid AS place FROM records AS r
            WHERE r.tenant_id = %(tenant)s AND r.stream_number = %(number)s::bigint AND r.key = given.key
            LIMIT 1
        ) AS found
"""
_UPSERT = """
    WITH known AS MATERIALIZED ({known}    ), delta AS MATERIALIZED (
        SELECT given.ordinal, given.key, given.line AS data,
            known.version, known.is_deleted, known.place,
            CASE WHEN known.version IS NULL OR known.is_deleted
                THEN %(refuse_new)s::boolean ELSE %(refuse_known)s::boolean END AS is_refused
        FROM {given} WITH ORDINALITY AS given (key, line, ordinal)
        LEFT JOIN known ON known.key = given.key
        WHERE known.version IS NULL OR known.is_deleted
            OR (known.data <> given.line AND known.data::jsonb <> given.line::jsonb)
    ), added AS (
        INSERT INTO records
            (tenant_id, stream, key, stream_number, change, writer_number, version, is_deleted, data)
        SELECT %(tenant)s, %(stream)s, key, %(number)s::bigint, %(change)s::bigint + ordinal,
            %(writer)s::bigint, 1, false, data
        FROM delta WHERE version IS NULL AND NOT is_refused
    ), kept AS (
        INSERT INTO record_history
        SELECT r.* FROM delta, LATERAL (SELECT * FROM records WHERE ctid = delta.place LIMIT 1) AS r
        WHERE delta.version IS NOT NULL AND NOT delta.is_refused
    ), replaced AS (
        INSERT INTO records
            (tenant_id, stream, key, stream_number, change, writer_number, version, is_deleted, data)
        SELECT %(tenant)s, %(stream)s, key, %(number)s::bigint, %(change)s::bigint + ordinal,
            %(writer)s::bigint, version + 1, false, data
        FROM delta WHERE version IS NOT NULL AND NOT is_refused
        ON CONFLICT (stream_number, key) DO UPDATE
        SET change = excluded.change, writer_number = excluded.writer_number, version = excluded.version,
            is_deleted = false, is_addition = false, data = excluded.data, update_time = now()
    )
    SELECT count(*) FILTER (WHERE NOT is_refused AND (version IS NULL OR is_deleted)),
        count(*) FILTER (WHERE NOT is_refused AND NOT is_deleted),
        array_agg(ordinal) FILTER (WHERE is_refused)
    FROM delta
"""

UPSERT = _statement(_UPSERT.replace("{known}", _KNOWN_AT_ONCE))
UPSERT_ONE_BY_ONE = _statement(_UPSERT.replace("{known}", _KNOWN_ONE_BY_ONE))
WALKS_SINCE = 170000

# What UPSERT would do, by the same comparison.
COMPARE = f"""
    SELECT given.ordinal, known.data, coalesce(known.is_deleted, true)
    FROM unnest(%(keys)b::text[], %(lines)b::text[]) WITH ORDINALITY AS given (key, line, ordinal)
    LEFT JOIN LATERAL (
        SELECT r.version, r.is_deleted, r.data FROM records AS r
        WHERE r.tenant_id = %(tenant)s AND r.stream_number = {NUMBER} AND r.key = given.key
        LIMIT 1
    ) AS known ON true
    WHERE known.version IS NULL OR known.is_deleted
        OR (known.data <> given.line AND known.data::jsonb <> given.line::jsonb)
    ORDER BY given.ordinal
"""

# For records of which none is expected to be there: there is nothing to look up and nothing to compare.
# One that is there all the same makes it fail as a whole.
# Where they are many, one row with their keys tells of their changes, which the index of changes leaves out.
_INSERT = """
    WITH told AS (
        INSERT INTO additions (tenant_id, stream_number, first_change, last_change, keys)
        SELECT %(tenant)s, %(number)s::bigint, %(change)s::bigint + 1,
            %(change)s::bigint + cardinality(%(keys)b::text[]), %(keys)b::text[]
        WHERE %(is_addition)s::boolean
    )
    INSERT INTO records
        (tenant_id, stream, key, stream_number, change, writer_number, version, is_deleted, data, is_addition)
    SELECT %(tenant)s, %(stream)s, given.key, %(number)s::bigint, %(change)s::bigint + given.ordinal,
        %(writer)s::bigint, 1, false, given.line, %(is_addition)s::boolean
    FROM {given} WITH ORDINALITY AS given (key, line, ordinal)
"""

INSERT = _statement(_INSERT)

DELETE = """
    WITH gone AS MATERIALIZED (
        SELECT given.ordinal, known.*
        FROM unnest(%(keys)b::text[]) WITH ORDINALITY AS given (key, ordinal),
        LATERAL (
            SELECT r.* FROM records AS r
            WHERE r.tenant_id = %(tenant)s AND r.stream_number = %(number)s::bigint AND r.key = given.key
                AND NOT r.is_deleted
            LIMIT 1
        ) AS known
    ), kept AS (
        INSERT INTO record_history
        SELECT r.* FROM gone, LATERAL (
            SELECT * FROM records
            WHERE tenant_id = %(tenant)s AND stream_number = %(number)s::bigint AND key = gone.key LIMIT 1
        ) AS r
    ), marked AS (
        INSERT INTO records
            (tenant_id, stream, key, stream_number, change, writer_number, version, is_deleted, data)
        SELECT tenant_id, stream, key, stream_number, %(change)s::bigint + ordinal, %(writer)s::bigint,
            version + 1, true, data
        FROM gone
        ON CONFLICT (stream_number, key) DO UPDATE
        SET change = excluded.change, writer_number = excluded.writer_number, version = excluded.version,
            is_deleted = true, is_addition = false, update_time = now()
    )
    SELECT count(*) FROM gone
"""

__all__ = [
    "ADVANCE_STREAM",
    "COMPARE",
    "CREATE_POSITION",
    "CREATE_STREAM",
    "DELETE",
    "DESCRIBE_STREAM",
    "FIND_INVALID",
    "INSERT",
    "LOCK_POSITION",
    "LOCK_STREAM",
    "NEXT_WRITER",
    "NUMBER",
    "PRESENT",
    "STORE_POSITION",
    "STORE_WRITER",
    "UPSERT",
    "UPSERT_ONE_BY_ONE",
    "WALKS_SINCE",
    "Statement",
]
