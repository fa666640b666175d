"""The statements of a round: what was taken is believed, what is missing is gone, the rest is decided."""

from isthmus.services.records.store.pairs.rows import SHOWN

OPEN_ROUND = """
    INSERT INTO rounds (tenant_id, pairing, flow_id) VALUES (%(tenant)s, %(pairing)s, %(flow)s)
    ON CONFLICT DO NOTHING
"""
LOCK_ROUND = """
    SELECT execution_id, is_decided, fencing_token, last_change FROM rounds
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s FOR UPDATE
"""
SET_ROUND = """
    UPDATE rounds SET execution_id = %(execution)s, is_decided = %(decided)s,
        last_change = %(change)s::bigint,
        fencing_token = greatest(fencing_token, %(token)s::bigint)
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s
"""

WRITTEN = """
    SELECT pair_id FROM pairs
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND decided_in <> '' AND pair_id > %(after)s
    ORDER BY pair_id LIMIT %(limit)s::bigint FOR UPDATE
"""

_REFUSED = """
    EXISTS (SELECT FROM quarantine AS q WHERE q.tenant_id = p.tenant_id AND q.flow_id = p.flow_id
        AND q.execution_id = p.decided_in AND q.key = p.{side}_link AND q.status = 1)
"""
# The sum keeps the planner from a scan of all that is written, while there are no statistics.
# A position covers what was delivered and what went to quarantine; the quarantine tells which.
CONFIRM = f"""
    UPDATE pairs AS p SET
        {{side}}_refused = CASE WHEN {_REFUSED} THEN p.wanted_digest ELSE '' END,
        {{side}}_form = CASE WHEN {_REFUSED} THEN p.{{side}}_form ELSE p.wanted END,
        is_parted = p.is_parted OR (p.parts AND NOT {_REFUSED}),
        to_{{side}} = 0, is_dirty = true, update_time = now()
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s
        AND p.pair_id = ANY (%(ids)s::text[]) AND p.to_{{side}} + 0 BETWEEN 1 AND %(taken)s::bigint
"""
# Once every side that had to be written has taken it, both hold what was decided.
AGREE = """
    UPDATE pairs SET base = wanted
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND pair_id = ANY (%(ids)s::text[])
        AND to_source = 0 AND to_destination = 0
        AND source_refused <> wanted_digest AND destination_refused <> wanted_digest
"""
# The links table knows the ids that a system gave to what was created there.
LEARN_KEYS = """
    UPDATE pairs AS p SET {side}_key = l.external_id
    FROM links AS l
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s AND p.pair_id = ANY (%(ids)s::text[])
        AND l.tenant_id = p.tenant_id AND l.flow_id = %(links)s AND l.key = p.{side}_link
        AND l.external_id <> '' AND l.external_id <> p.{side}_key
        AND NOT EXISTS (SELECT FROM pairs AS o WHERE o.tenant_id = p.tenant_id AND o.pairing = p.pairing
            AND o.{side}_key = l.external_id)
"""
# What a side refused waits for a change, or for a person who requeues it.
DONE = """
    UPDATE pairs SET decided_in = '', wanted = NULL, wanted_digest = '', parts = false, is_dirty = false,
        conflict_id = '',
        status = CASE WHEN wanted_digest IN (source_refused, destination_refused) THEN 5
            WHEN is_parted THEN 6 WHEN wanted IS NULL THEN 7 ELSE 1 END
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND pair_id = ANY (%(ids)s::text[])
        AND to_source = 0 AND to_destination = 0
"""
PAIRINGS = """
    SELECT pairing FROM rounds WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s
"""
# What was not taken is decided anew, from what both sides hold by then.
CLEAR = """
    UPDATE pairs SET to_source = 0, to_destination = 0, decided_in = '', wanted = NULL, wanted_digest = '',
        parts = false, is_dirty = true, status = CASE WHEN status = 3 THEN 2 ELSE status END
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND pair_id = ANY (%(ids)s::text[])
        AND decided_in <> ''
"""
TRY_AGAIN = """
    UPDATE pairs SET source_refused = '', destination_refused = '', is_dirty = true
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s
        AND (source_refused <> '' OR destination_refused <> '')
"""
# What could not be read is there all the same; one that has no key may be any of them.
GONE = """
    UPDATE pairs AS p SET {side}_form = NULL, {side}_time = NULL, {side}_digest = '', {side}_refused = '',
        is_dirty = true, status = 2, update_time = now()
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s AND p.{side}_form IS NOT NULL
        AND p.{side}_seen <> %(execution)s
        AND NOT EXISTS (SELECT FROM quarantine AS q WHERE q.tenant_id = p.tenant_id AND q.flow_id = p.flow_id
            AND q.execution_id = %(execution)s AND q.key IN ('', p.{side}_key))
"""

_UNREAD = """
    EXISTS (SELECT FROM quarantine AS q WHERE q.tenant_id = p.tenant_id AND q.flow_id = p.flow_id
        AND q.status = 1 AND q.stage <= 3 AND q.key <> ''
        AND ((q.key = p.source_key AND q.update_time > p.source_read_time)
            OR (q.key = p.destination_key AND q.update_time > p.destination_read_time)))
"""
DIRTY = f"""
    SELECT {SHOWN}, {_UNREAD}, p.conflict_id, c.status, c.source_form, c.destination_form, c.result,
        c.decided_by
    FROM pairs AS p
    LEFT JOIN conflicts AS c ON c.tenant_id = p.tenant_id AND c.conflict_id = p.conflict_id
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s AND p.is_dirty AND p.pair_id > %(after)s
    ORDER BY p.pair_id LIMIT %(limit)s::bigint FOR UPDATE OF p
"""
DECIDED = """
    UPDATE pairs AS p SET
        base = CASE WHEN given.moves_base THEN given.base ELSE p.base END,
        wanted = given.wanted, wanted_digest = given.wanted_digest, parts = given.parts,
        is_parted = given.is_parted, to_source = given.to_source, to_destination = given.to_destination,
        decided_in = CASE WHEN given.to_source + given.to_destination > 0 THEN %(execution)s ELSE '' END,
        status = given.status, conflict_id = given.conflict_id, is_dirty = given.is_dirty
    FROM unnest(%(ids)s::text[], %(moves)s::boolean[], %(bases)s::text[], %(wanted)s::text[],
        %(digests)s::text[], %(parts)s::boolean[], %(parted)s::boolean[], %(to_source)s::bigint[],
        %(to_destination)s::bigint[], %(statuses)s::smallint[], %(conflicts)s::text[], %(dirty)s::boolean[])
        AS given (pair_id, moves_base, base, wanted, wanted_digest, parts, is_parted, to_source,
            to_destination, status, conflict_id, is_dirty)
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s AND p.pair_id = given.pair_id
"""
COUNT_DELETIONS = """
    SELECT count(*) FROM pairs
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND decided_in = %(execution)s
        AND (wanted IS NULL OR parts)
"""
REQUEUED_IS_DONE = """
    UPDATE quarantine SET status = 3, update_time = now()
    WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s AND status = 2 AND execution_id <> %(execution)s
"""

# A side that holds another form than was written there last has to be written to, whatever was written.
TELL_LINKS = """
    INSERT INTO links (tenant_id, flow_id, key, external_id, state, fencing_token)
    SELECT %(tenant)s, %(links)s, given.key, given.external_id, 2, %(token)s::bigint
    FROM unnest(%(keys)s::text[], %(external_ids)s::text[]) AS given (key, external_id)
    ON CONFLICT (tenant_id, flow_id, key) DO UPDATE
    SET content_hash = '', state = 2, update_time = now(), external_id = excluded.external_id
    WHERE links.state <> 1
"""
# A side that has deleted its record gets a new one, under a new id.
DROP_LINKS = """
    DELETE FROM links
    WHERE tenant_id = %(tenant)s AND flow_id = %(links)s AND key = ANY (%(keys)s::text[]) AND state = 2
"""

FOR_SIDE = """
    SELECT {side}_link, wanted, {side}_form, to_{side} FROM pairs
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s
        AND to_{side} > %(after)s::bigint AND to_{side} <= %(until)s::bigint
    ORDER BY to_{side} LIMIT %(limit)s::bigint
"""

OVERTAKE = """
    UPDATE conflicts SET status = 3, decide_time = now()
    WHERE tenant_id = %(tenant)s AND status = 1 AND conflict_id = ANY (%(ids)s::text[])
"""
RECORD = """
    INSERT INTO conflicts (tenant_id, pairing, flow_id, execution_id, conflict_id, pair_id, status,
        source_key, destination_key, base, source_form, destination_form, source_time, destination_time,
        fields, policy,
        reason, result, decided_by, decide_time)
    SELECT %(tenant)s, %(pairing)s, %(flow)s, %(execution)s, given.conflict_id, given.pair_id, given.status,
        given.source_key, given.destination_key, given.base, given.source_form, given.destination_form,
        given.source_time, given.destination_time, ARRAY(SELECT json_array_elements_text(given.fields::json)),
        given.policy, given.reason, given.result, given.decided_by,
        CASE WHEN given.status = 2 THEN now() END
    FROM unnest(%(ids)s::text[], %(pairs)s::text[], %(statuses)s::smallint[], %(source_keys)s::text[],
        %(destination_keys)s::text[], %(bases)s::text[], %(sources)s::text[], %(destinations)s::text[],
        %(source_times)s::timestamptz[], %(destination_times)s::timestamptz[], %(fields)s::text[],
        %(policies)s::text[], %(reasons)s::text[], %(results)s::text[], %(deciders)s::text[])
        AS given (conflict_id, pair_id, status, source_key, destination_key, base, source_form,
            destination_form, source_time, destination_time, fields, policy, reason, result, decided_by)
"""

FORGET = (
    "DELETE FROM pairs WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s",
    "DELETE FROM rounds WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s",
    "UPDATE conflicts SET status = 3, decide_time = now()"
    " WHERE tenant_id = %(tenant)s AND flow_id = %(flow)s AND status = 1",
)

__all__ = [
    "AGREE",
    "CLEAR",
    "CONFIRM",
    "COUNT_DELETIONS",
    "DECIDED",
    "DIRTY",
    "DONE",
    "DROP_LINKS",
    "FORGET",
    "FOR_SIDE",
    "GONE",
    "LEARN_KEYS",
    "LOCK_ROUND",
    "OPEN_ROUND",
    "OVERTAKE",
    "PAIRINGS",
    "RECORD",
    "REQUEUED_IS_DONE",
    "SET_ROUND",
    "TELL_LINKS",
    "TRY_AGAIN",
    "WRITTEN",
]
