"""Compares what was announced of both sides, and tells what has to be done about it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from isthmus.kit import Database
from isthmus.services.records.domain.reconciling import (
    MOST_SAMPLES,
    Report,
    Sample,
    SampleKind,
    by_name,
    differing,
    report_unknown,
)
from isthmus.services.records.store.raw import raw_cursor
from isthmus.services.records.store.reconciling import statements as sql
from isthmus.services.records.store.reconciling.reports import Reports

_Cursor = psycopg.AsyncCursor[Any]


@dataclass(frozen=True, slots=True)
class ExtraPage:
    """Records to be removed from the destination.

    Attributes:
        places: Their keys in the destination.
        keys: Their keys in the flow.
        is_last: Nothing follows.
    """

    places: Sequence[str]
    keys: Sequence[str]
    is_last: bool


class Comparisons:
    """Compares both sides of a flow.

    Args:
        database: Where the announcements are kept.
        reports: Where the figures go.
    """

    def __init__(self, database: Database, reports: Reports) -> None:
        self._database = database
        self._reports = reports

    async def conclude(
        self, tenant_id: str, report_id: str, fencing_token: int, unreadable: int, flow_id: str = ""
    ) -> Report:
        """Compare everything that was announced and store the figures.

        Args:
            tenant_id: Whose.
            report_id: Which report.
            fencing_token: Of the attempt.
            unreadable: How many records could not be compared.
            flow_id: Whose report it has to be; empty is not looked at.

        Raises:
            Missing: `REPORT_UNKNOWN`.
            Precondition: `FENCED` or `REPORT_CLOSED`.
        """
        async with self._database.tenant(tenant_id) as connection:
            report = await self._reports.get(connection, tenant_id, report_id, lock=True)
            if flow_id and report.flow_id != flow_id:
                raise report_unknown(report_id)
            report.admit(fencing_token)
            cursor = await raw_cursor(connection)
            place = {"tenant": tenant_id, "report": report_id, "writer": report.writer_id}
            await cursor.execute(sql.PATIENT)
            await self._relate(cursor, place, report)
            for statement in (sql.RESET, sql.JUDGE):
                await cursor.execute(statement, place)
            await cursor.execute(sql.COUNT, place)
            missing, extra, different, equal, unrelated = await cursor.fetchone() or (0, 0, 0, 0, 0)
            samples = await _samples(cursor, place) if missing or extra or different else []
            values = {
                **place,
                "missing": missing,
                "extra": extra,
                "different": different,
                "equal": equal,
                "unrelated": unrelated,
                "unreadable": unreadable,
                "samples": json.dumps([asdict(one) for one in samples]),
            }
            await cursor.execute(sql.CONCLUDE, values)
            return await self._reports.get(connection, tenant_id, report_id)

    async def _relate(self, cursor: _Cursor, place: Mapping[str, Any], report: Report) -> None:
        """Find out which records of the destination are the flow's."""
        values = {**place, "destination": report.destination, "stream": report.hub_stream}
        for statement in (sql.FOLLOW_LINKS, sql.MARK_UNLINKED):
            await cursor.execute(statement, values)
        if report.hub_stream:
            await cursor.execute(sql.MARK_OTHERS, values)

    async def select(self, tenant_id: str, report_id: str, keys: Sequence[str]) -> Sequence[int]:
        """Tell which of some records were missing or different, by their places."""
        async with self._database.tenant(tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(sql.SELECT, {"tenant": tenant_id, "report": report_id, "keys": list(keys)})
            return [int(row[0]) for row in await cursor.fetchall()]

    async def extras(self, tenant_id: str, report_id: str, after: str, limit: int) -> ExtraPage:
        """Read what the destination has and the source has not, in the order of the destination's keys."""
        values = {"tenant": tenant_id, "report": report_id, "after": after, "limit": limit}
        async with self._database.tenant(tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(sql.EXTRAS, values)
            rows = await cursor.fetchall()
        return ExtraPage([row[0] for row in rows], [row[1] for row in rows], len(rows) < limit)


async def _samples(cursor: _Cursor, place: Mapping[str, Any]) -> list[Sample]:
    await cursor.execute(sql.SAMPLE, {**place, "most": MOST_SAMPLES})
    rows = await cursor.fetchall()
    shapes = {row[at] for row in rows for at in (3, 5) if row[at]}
    await cursor.execute(sql.NAMES, {**place, "shapes": list(shapes)})
    names = {shape: list(told) for shape, told in await cursor.fetchall()}
    found = []
    for kind, key, held, source_shape, source_marks, shape, marks in rows:
        fields: list[str] = []
        if kind == SampleKind.DIFFERENT:
            ours = by_name(names.get(source_shape, ()), bytes(source_marks))
            fields = differing(ours, by_name(names.get(shape, ()), bytes(marks)))
        found.append(Sample(kind, key, held if held != key else "", fields))
    return found


__all__ = ["Comparisons", "ExtraPage"]
