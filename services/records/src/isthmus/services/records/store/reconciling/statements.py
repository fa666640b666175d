"""The statements that compare two sides; whatever the size, each step is one of them."""

from isthmus.services.records.domain.reconciling import Side

_SOURCE, _DESTINATION = int(Side.SOURCE), int(Side.DESTINATION)
_WHERE = "tenant_id = %(tenant)s AND report_id = %(report)s"

# A comparison of millions takes longer than a statement usually may.
PATIENT = "SET LOCAL statement_timeout = '600s'"

LOCK = """
    SELECT status, fencing_token FROM reconciliations
    WHERE tenant_id = %(tenant)s AND report_id = %(report)s FOR SHARE
"""

ANNOUNCE = """
    INSERT INTO announced AS a (tenant_id, report_id, side, place, key, digest, shape, marks)
    SELECT %(tenant)s, %(report)s, %(side)s, given.*
    FROM unnest(%(places)b::text[], %(keys)b::text[], %(digests)b::bytea[], %(shapes)b::text[],
        %(marks)b::bytea[]) AS given
    ON CONFLICT (tenant_id, report_id, side, place) DO UPDATE
    SET key = excluded.key, digest = excluded.digest, shape = excluded.shape, marks = excluded.marks
    WHERE (a.key, a.digest) IS DISTINCT FROM (excluded.key, excluded.digest)
"""

SHAPES = """
    INSERT INTO announced_shapes (tenant_id, report_id, shape, names) VALUES
    (%(tenant)s, %(report)s, %(shape)s, %(names)s) ON CONFLICT DO NOTHING
"""

# A record of a system with ids of its own is the record that the flow's link says it is.
FOLLOW_LINKS = f"""
    UPDATE announced AS a SET key = l.key FROM links AS l
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.side = {_DESTINATION}
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.external_id <> ''
        AND l.external_id = a.place AND l.destination IN ('', %(destination)s) AND a.key <> l.key
"""

# Where records are linked, or known by who wrote them, others have nothing to do with the flow.
MARK_UNLINKED = f"""
    UPDATE announced AS a SET is_foreign = true
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.side = {_DESTINATION}
        AND NOT a.is_foreign
        AND EXISTS (SELECT FROM links AS l WHERE l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s
            AND l.external_id <> '')
        AND NOT EXISTS (SELECT FROM links AS l WHERE l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s
            AND l.key = a.key AND l.external_id = a.place)
        AND NOT EXISTS (SELECT FROM announced AS s WHERE s.tenant_id = %(tenant)s
            AND s.report_id = %(report)s AND s.side = {_SOURCE} AND s.key = a.key)
"""

MARK_OTHERS = f"""
    UPDATE announced AS a SET is_foreign = true FROM records AS r
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.side = {_DESTINATION}
        AND NOT a.is_foreign AND r.tenant_id = %(tenant)s AND r.stream = %(stream)s AND r.key = a.place
        AND r.flow_id <> %(writer)s
        AND NOT EXISTS (SELECT FROM announced AS s WHERE s.tenant_id = %(tenant)s
            AND s.report_id = %(report)s AND s.side = {_SOURCE} AND s.key = a.key)
"""

# Two records of the destination that are the same to the flow: the first counts, the others are extra.
_JOINED = f"""
    (SELECT key, digest, shape, marks, CAST(1 AS bigint) AS turn
        FROM announced WHERE {_WHERE} AND side = {_SOURCE}) AS s
    FULL JOIN
    (SELECT key, digest, shape, marks, place, is_foreign,
        row_number() OVER (PARTITION BY key ORDER BY place) AS turn
        FROM announced WHERE {_WHERE} AND side = {_DESTINATION}) AS d
    ON s.key = d.key AND s.turn = d.turn
"""

COUNT = f"""
    SELECT count(*) FILTER (WHERE d.key IS NULL),
        count(*) FILTER (WHERE s.key IS NULL AND NOT d.is_foreign),
        count(*) FILTER (WHERE s.digest <> d.digest),
        count(*) FILTER (WHERE s.digest = d.digest),
        count(*) FILTER (WHERE s.key IS NULL AND d.is_foreign)
    FROM {_JOINED}
"""

SAMPLE = f"""
    SELECT kind, key, place, s_shape, s_marks, d_shape, d_marks FROM (
        SELECT kind, key, place, s_shape, s_marks, d_shape, d_marks,
            row_number() OVER (PARTITION BY kind ORDER BY key, place) AS number
        FROM (
            SELECT CASE WHEN d.key IS NULL THEN 1 WHEN s.key IS NULL THEN 2 ELSE 3 END AS kind,
                coalesce(s.key, d.key) AS key, coalesce(d.place, '') AS place,
                s.shape AS s_shape, s.marks AS s_marks, d.shape AS d_shape, d.marks AS d_marks
            FROM {_JOINED}
            WHERE d.key IS NULL OR (s.key IS NULL AND NOT d.is_foreign) OR s.digest <> d.digest
        ) AS found
    ) AS numbered WHERE number <= %(most)s ORDER BY kind, number
"""

NAMES = f"SELECT shape, names FROM announced_shapes WHERE {_WHERE} AND shape = ANY (%(shapes)s)"

CONCLUDE = f"""
    UPDATE reconciliations SET is_compared = true, missing = %(missing)s, extra = %(extra)s,
        different = %(different)s, equal = %(equal)s, unrelated = %(unrelated)s,
        unreadable = %(unreadable)s, samples = %(samples)s::text::json, compare_time = clock_timestamp()
    WHERE {_WHERE} RETURNING *
"""

_COUNTERPART = f"""
    LEFT JOIN LATERAL (
        SELECT d.digest FROM announced AS d WHERE d.tenant_id = %(tenant)s AND d.report_id = %(report)s
            AND d.side = {_DESTINATION} AND d.key = s.key ORDER BY d.place LIMIT 1
    ) AS held ON true
"""

SELECT = f"""
    SELECT given.ordinal - 1
    FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS given (key, ordinal)
    JOIN announced AS s ON s.tenant_id = %(tenant)s AND s.report_id = %(report)s AND s.side = {_SOURCE}
        AND s.place = given.key
    {_COUNTERPART}
    WHERE held.digest IS DISTINCT FROM s.digest
    ORDER BY 1
"""

# What the destination has lost has to be created again, what it holds differently has to be sent again.
DROP_LOST_LINKS = f"""
    DELETE FROM links AS l USING announced AS s
    WHERE s.tenant_id = %(tenant)s AND s.report_id = %(report)s AND s.side = {_SOURCE}
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.key = s.place AND l.state = %(linked)s
        AND NOT EXISTS (SELECT FROM announced AS d WHERE d.tenant_id = %(tenant)s
            AND d.report_id = %(report)s AND d.side = {_DESTINATION} AND d.key = s.key)
"""

DOUBT_LINKS = f"""
    UPDATE links AS l SET content_hash = '', update_time = now() FROM announced AS s {_COUNTERPART}
    WHERE s.tenant_id = %(tenant)s AND s.report_id = %(report)s AND s.side = {_SOURCE}
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.key = s.place AND l.state = %(linked)s
        AND held.digest <> s.digest
"""

DROP_DELETED_LINKS = f"""
    DELETE FROM links AS l USING announced AS d
    WHERE d.tenant_id = %(tenant)s AND d.report_id = %(report)s AND d.side = {_DESTINATION}
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.key = d.key AND l.state = %(deleted)s
"""

EXTRAS = f"""
    SELECT d.place, CASE WHEN d.turn = 1 THEN d.key ELSE d.place END
    FROM (
        SELECT place, key, is_foreign, (SELECT count(*) FROM (
            SELECT FROM announced AS e WHERE e.tenant_id = %(tenant)s AND e.report_id = %(report)s
                AND e.side = {_DESTINATION} AND e.key = a.key AND e.place < a.place LIMIT 1) AS before) + 1
            AS turn
        FROM announced AS a WHERE {_WHERE} AND side = {_DESTINATION} AND place > %(after)s
    ) AS d
    WHERE NOT d.is_foreign AND (d.turn > 1 OR NOT EXISTS (SELECT FROM announced AS s
        WHERE s.tenant_id = %(tenant)s AND s.report_id = %(report)s AND s.side = {_SOURCE}
            AND s.key = d.key))
    ORDER BY d.place LIMIT %(limit)s
"""

FORGET = tuple(f"DELETE FROM {table} WHERE {_WHERE}" for table in ("announced", "announced_shapes"))
