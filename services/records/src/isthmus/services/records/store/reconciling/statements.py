"""The statements that compare two sides; whatever the size, each step is one of them."""

from isthmus.services.records.domain.links import State
from isthmus.services.records.domain.reconciling import SampleKind, Side
from isthmus.services.records.store.statements import NUMBER

_SOURCE, _DESTINATION = int(Side.SOURCE), int(Side.DESTINATION)
_MISSING, _EXTRA, _DIFFERENT = map(int, SampleKind)
_UNRELATED, _DOUBLE = 4, 5
_LINKED, _DELETED = int(State.LINKED), int(State.DELETED)
_WHERE = "tenant_id = %(tenant)s AND report_id = %(report)s"

# A comparison of millions takes longer than a statement usually may. What was announced a moment ago has no
# statistics yet, and without them the planner would look at each record of one side for each of the other.
PATIENT = """
    SELECT set_config('statement_timeout', '600s', true), set_config('enable_nestloop', 'off', true)
"""

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
    UPDATE announced AS a SET is_foreign = true
    FROM records AS r JOIN writers AS w ON w.tenant_id = r.tenant_id AND w.writer_number = r.writer_number
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.side = {_DESTINATION}
        AND NOT a.is_foreign AND r.tenant_id = %(tenant)s AND r.stream_number = {NUMBER} AND r.key = a.place
        AND w.flow_id <> %(writer)s
        AND NOT EXISTS (SELECT FROM announced AS s WHERE s.tenant_id = %(tenant)s
            AND s.report_id = %(report)s AND s.side = {_SOURCE} AND s.key = a.key)
"""

# A comparison that is repeated judges anew.
RESET = f"UPDATE announced SET verdict = 0 WHERE {_WHERE} AND verdict <> 0"

# Two records of the destination that are the same to the flow: the first counts, the others are extra.
JUDGE = f"""
    UPDATE announced AS a SET verdict = judged.verdict
    FROM (
        SELECT CASE WHEN s.key IS NULL THEN {_DESTINATION} ELSE {_SOURCE} END AS side,
            CASE WHEN s.key IS NULL THEN d.place ELSE s.key END AS place,
            CASE WHEN d.key IS NULL THEN {_MISSING} WHEN s.key IS NOT NULL THEN {_DIFFERENT}
                WHEN d.is_foreign THEN {_UNRELATED} WHEN d.turn = 1 THEN {_EXTRA} ELSE {_DOUBLE}
                END AS verdict
        FROM (SELECT key, digest, CAST(1 AS bigint) AS turn FROM announced
            WHERE {_WHERE} AND side = {_SOURCE}) AS s
        FULL JOIN (SELECT key, digest, place, is_foreign,
            row_number() OVER (PARTITION BY key ORDER BY place) AS turn
            FROM announced WHERE {_WHERE} AND side = {_DESTINATION}) AS d
        ON s.key = d.key AND s.turn = d.turn
        WHERE s.digest IS DISTINCT FROM d.digest
    ) AS judged
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.side = judged.side
        AND a.place = judged.place
"""

COUNT = f"""
    SELECT count(*) FILTER (WHERE verdict = {_MISSING}),
        count(*) FILTER (WHERE verdict IN ({_EXTRA}, {_DOUBLE})),
        count(*) FILTER (WHERE verdict = {_DIFFERENT}),
        count(*) FILTER (WHERE verdict = 0 AND side = {_SOURCE}),
        count(*) FILTER (WHERE verdict = {_UNRELATED})
    FROM announced WHERE {_WHERE}
"""

SAMPLE = f"""
    WITH found AS MATERIALIZED (
        SELECT kind, key, place, shape, marks FROM (
            SELECT CASE verdict WHEN {_DOUBLE} THEN {_EXTRA} ELSE verdict END AS kind, key, place, shape,
                marks, row_number() OVER (
                    PARTITION BY CASE verdict WHEN {_DOUBLE} THEN {_EXTRA} ELSE verdict END
                    ORDER BY key, place) AS number
            FROM announced WHERE {_WHERE} AND verdict NOT IN (0, {_UNRELATED})
        ) AS numbered WHERE number <= %(most)s
    )
    SELECT found.kind, found.key,
        CASE found.kind WHEN {_EXTRA} THEN found.place ELSE coalesce(d.place, '') END,
        found.shape, found.marks, coalesce(d.shape, ''), coalesce(d.marks, '')
    FROM found LEFT JOIN (
        SELECT DISTINCT ON (key) key, place, shape, marks FROM announced
        WHERE {_WHERE} AND side = {_DESTINATION} AND key IN (SELECT key FROM found)
        ORDER BY key, place
    ) AS d ON found.kind = {_DIFFERENT} AND d.key = found.key
    ORDER BY found.kind, found.key, found.place
"""

NAMES = f"SELECT shape, names FROM announced_shapes WHERE {_WHERE} AND shape = ANY (%(shapes)s)"

CONCLUDE = f"""
    UPDATE reconciliations SET is_compared = true, missing = %(missing)s, extra = %(extra)s,
        different = %(different)s, equal = %(equal)s, unrelated = %(unrelated)s,
        unreadable = %(unreadable)s, samples = %(samples)s::text::json, compare_time = clock_timestamp()
    WHERE {_WHERE} RETURNING *
"""

SELECT = f"""
    SELECT given.ordinal - 1
    FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS given (key, ordinal)
    JOIN announced AS s ON s.tenant_id = %(tenant)s AND s.report_id = %(report)s AND s.side = {_SOURCE}
        AND s.place = given.key
    WHERE s.verdict <> 0
    ORDER BY 1
"""

# What the destination has lost has to be created again, what it holds differently has to be sent again,
# and what it has though it was deleted has to be deleted again.
DROP_LINKS = f"""
    DELETE FROM links AS l USING announced AS a
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.key = a.key
        AND ((a.verdict = {_MISSING} AND l.state = {_LINKED})
            OR (a.verdict = {_EXTRA} AND l.state = {_DELETED}))
"""

DOUBT_LINKS = f"""
    UPDATE links AS l SET content_hash = '', update_time = now() FROM announced AS a
    WHERE a.tenant_id = %(tenant)s AND a.report_id = %(report)s AND a.verdict = {_DIFFERENT}
        AND l.tenant_id = %(tenant)s AND l.flow_id = %(writer)s AND l.key = a.key AND l.state = {_LINKED}
"""

EXTRAS = f"""
    SELECT place, CASE verdict WHEN {_DOUBLE} THEN place ELSE key END FROM announced
    WHERE {_WHERE} AND side = {_DESTINATION} AND place > %(after)s AND verdict IN ({_EXTRA}, {_DOUBLE})
    ORDER BY place LIMIT %(limit)s
"""

FORGET = tuple(f"DELETE FROM {table} WHERE {_WHERE}" for table in ("announced", "announced_shapes"))
