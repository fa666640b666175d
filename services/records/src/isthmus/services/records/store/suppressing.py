"""Keeps erased persons' data from coming back; only streams that are marked ask for it."""

from dataclasses import replace
from typing import Any

import psycopg
from isthmus.services.records.domain.classes import merged, unpacked
from isthmus.services.records.domain.folding import Effects
from isthmus.services.records.domain.persons import Erased, judged, marker_of, personal
from isthmus.services.records.domain.records import Writer

_Cursor = psycopg.AsyncCursor[Any]
_KNOWN = """
    SELECT (SELECT pepper FROM peppers WHERE tenant_id = %(tenant)s),
        ARRAY(SELECT marker FROM suppressions WHERE tenant_id = %(tenant)s ORDER BY marker),
        ARRAY(SELECT removes FROM suppressions WHERE tenant_id = %(tenant)s ORDER BY marker),
        ARRAY(SELECT classes FROM field_classes
            WHERE tenant_id = %(tenant)s AND kind = 'stream' AND name = %(stream)s)
"""


async def withheld(cursor: _Cursor, writer: Writer, effects: Effects) -> Effects:
    """What of a batch's effects may be stored: nothing that tells of a person who was erased."""
    if not effects.keys:
        return effects
    await cursor.execute(_KNOWN, {"tenant": writer.tenant_id, "stream": writer.stream})
    row = await cursor.fetchone()
    assert row is not None, "a list of values is one row"
    pepper, markers, removing, told = row
    scrubber = personal(unpacked(merged(told or [""])))
    if not markers or not scrubber:
        return effects
    removes = dict(zip(map(bytes, markers), removing, strict=True))
    kept: list[tuple[bytes, bytes, int]] = []
    for key, line, index in zip(effects.keys, effects.lines, effects.indexes, strict=True):
        done = _judged(key, line, bytes(pepper), removes, scrubber)
        if done is None:
            kept.append((key, line, index))
        elif done.line is not None:
            kept.append((key, done.line.encode(), index))
    keys, lines, indexes = zip(*kept, strict=True) if kept else ((), (), ())
    return replace(effects, keys=keys, lines=lines, indexes=indexes, text=b"")


def _judged(
    key: bytes, line: bytes, pepper: bytes, removes: dict[bytes, bool], scrubber: Any
) -> Erased | None:
    met: list[bool] = []

    def is_person(value: str) -> bool:
        found = removes.get(marker_of(pepper, value))
        met.extend([] if found is None else [found])
        return found is not None

    name = key.decode(errors="replace")
    done = judged(line, name, scrubber, is_person, removes=False)
    return Erased(None) if done is not None and any(met) else done


__all__ = ["withheld"]
