"""Keeps erased persons' data from coming back; only streams that are marked ask for it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
from isthmus.resilience.faults import Broken
from isthmus.services.records.domain.classes import merged, unpacked
from isthmus.services.records.domain.folding import Effects
from isthmus.services.records.domain.persons import Erased, judged, mark_of, personal
from isthmus.services.records.domain.records import Writer

_Cursor = psycopg.AsyncCursor[Any]
_KNOWN = """
    SELECT (SELECT pepper FROM peppers WHERE tenant_id = %(tenant)s),
        (SELECT is_keyed FROM peppers WHERE tenant_id = %(tenant)s),
        ARRAY(SELECT marker FROM suppressions WHERE tenant_id = %(tenant)s ORDER BY marker),
        ARRAY(SELECT removes FROM suppressions WHERE tenant_id = %(tenant)s ORDER BY marker),
        ARRAY(SELECT classes FROM field_classes
            WHERE tenant_id = %(tenant)s AND kind = 'stream' AND name = %(stream)s)
"""


KeyOf = Callable[[str], Awaitable[bytes]]
"""Gives the key of a tenant's marks, which the database does not have."""


async def no_key(tenant_id: str) -> bytes:
    """For writers whose streams nobody is kept out of.

    Raises:
        Broken: Always; a writer that gets here has one after all.
    """
    raise Broken("KEY_MISSING", f"This writer keeps nobody out of the streams of {tenant_id}.")


async def withheld(cursor: _Cursor, writer: Writer, effects: Effects, key_of: KeyOf) -> Effects:
    """What of a batch's effects may be stored: nothing that tells of a person who was erased."""
    if not effects.keys:
        return effects
    await cursor.execute(_KNOWN, {"tenant": writer.tenant_id, "stream": writer.stream})
    row = await cursor.fetchone()
    assert row is not None, "a list of values is one row"
    pepper, is_keyed, markers, removing, told = row
    scrubber = personal(unpacked(merged(told or [""])))
    if not markers or not scrubber:
        return effects
    removes = dict(zip(map(bytes, markers), removing, strict=True))
    mark = partial(mark_of, bytes(pepper), await key_of(writer.tenant_id) if is_keyed else b"")
    kept: list[tuple[bytes, bytes, int]] = []
    for key, line, index in zip(effects.keys, effects.lines, effects.indexes, strict=True):
        done = _judged(key, line, mark, removes, scrubber)
        if done is None:
            kept.append((key, line, index))
        elif done.line is not None:
            kept.append((key, done.line.encode(), index))
    keys, lines, indexes = zip(*kept, strict=True) if kept else ((), (), ())
    return replace(effects, keys=keys, lines=lines, indexes=indexes, text=b"")


def _judged(
    key: bytes, line: bytes, mark: Callable[[str], bytes], removes: dict[bytes, bool], scrubber: Any
) -> Erased | None:
    met: list[bool] = []

    def is_person(value: str) -> bool:
        found = removes.get(mark(value))
        met.extend([] if found is None else [found])
        return found is not None

    name = key.decode(errors="replace")
    done = judged(line, name, scrubber, is_person, removes=False)
    return Erased(None) if done is not None and any(met) else done


__all__ = ["KeyOf", "no_key", "withheld"]
