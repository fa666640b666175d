"""What batches would do: keys and content are compared, nothing is written."""

from collections.abc import Sequence
from typing import Any

import psycopg
from isthmus.services.records.domain.batches import Screened, WriteMode
from isthmus.services.records.domain.folding import Effects, fold, patched_keys
from isthmus.services.records.domain.records import Applied, Foreseen, Writer
from isthmus.services.records.store import generations
from isthmus.services.records.store import statements as sql
from isthmus.services.records.store.raw import TextArray, raw_cursor
from isthmus.services.records.store.writes import RecordWriter, reject_by_mode

_SAMPLES = 5
_Cursor = psycopg.AsyncCursor[Any]


class RecordPreviewer(RecordWriter):
    """Tells what `RecordWriter` would do with batches; each is compared with what is there now."""

    async def _apply(
        self, writer: Writer, batches: Sequence[Screened], *, are_new: bool = False
    ) -> list[Applied]:
        del are_new
        async with self._database.tenant(writer.tenant_id) as connection:
            cursor = await raw_cursor(connection)
            return [await self._compare(cursor, writer, batch) for batch in batches]

    async def foresee(
        self, writer: Writer, limits: generations.Absence, shown: Sequence[str]
    ) -> tuple[int, list[tuple[str, str]]]:
        """Tell how many records would be absent, had a reading shown these keys, and a few of them.

        Raises:
            Precondition: `DELETIONS_SUSPICIOUS`, more would go than may.
        """
        async with self._database.tenant(writer.tenant_id) as connection:
            cursor = await raw_cursor(connection)
            absent = await generations.foreseen_keys(cursor, writer, limits, shown)
            held = await self._present(cursor, writer, absent[:_SAMPLES])
        return len(absent), [(key.decode(), data.decode()) for key, data in held.items()]

    async def _compare(self, cursor: _Cursor, writer: Writer, screened: Screened) -> Applied:
        present = await self._present(cursor, writer, patched_keys(screened))
        effects = fold(screened, writer.mode, present)
        created, updated = await self._written(cursor, writer, screened, effects)
        held = await self._present(cursor, writer, effects.deleted)
        deleted = [key for key in effects.deleted if key in held]
        index_of = {key: index for index, key in enumerate(screened.keys)}
        samples = [*created[:_SAMPLES], *updated[:_SAMPLES]]
        samples += [Foreseen(index_of[key], held[key].decode()) for key in deleted[:_SAMPLES]]
        batch = screened.batch
        return Applied(
            batch.partition,
            batch.sequence,
            len(batch.records),
            len(created),
            len(updated),
            len(deleted),
            rejections=screened.rejections,
            foreseen=samples,
        )

    async def _written(
        self, cursor: _Cursor, writer: Writer, screened: Screened, effects: Effects
    ) -> tuple[list[Foreseen], list[Foreseen]]:
        """The records that are new and those that differ from what is there."""
        created: list[Foreseen] = []
        updated: list[Foreseen] = []
        if not effects.keys:
            return created, updated
        values = {
            "tenant": writer.tenant_id,
            "stream": writer.stream,
            "keys": TextArray(effects.keys),
            "lines": TextArray(effects.lines),
        }
        await cursor.execute(sql.COMPARE, values)
        for ordinal, before, is_new in await cursor.fetchall():
            index = effects.indexes[ordinal - 1]
            if writer.mode == (WriteMode.UPDATE if is_new else WriteMode.CREATE):
                reject_by_mode(screened, index, writer.mode)
                continue
            after = effects.lines[ordinal - 1].decode()
            if is_new:
                created.append(Foreseen(index, "", after))
            else:
                updated.append(Foreseen(index, before, after))
        return created, updated


__all__ = ["RecordPreviewer"]
