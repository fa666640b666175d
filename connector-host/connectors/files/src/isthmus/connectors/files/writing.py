"""Writes a stream's file so that a crash at any instant neither loses nor doubles a record.

Beside `tickets.jsonl` lies `.tickets.jsonl.isthmus`, a SQLite database with the
records, the position of every flow and the file's committed length. A batch is
one transaction there:

1. bring the file to the committed state: cut what a crash left behind its
   committed length, or build it anew when it is not the file that was committed;
2. refuse an older attempt, recognise a batch that was applied before;
3. take the records; what is held already in the same form changes nothing;
4. append what is new and flush it to the disk, or, where records changed, write
   the whole file anew and put it in the old one's place;
5. commit.

Killed before the commit, the batch did not happen: it comes again, and the next
write first cuts its traces or builds the file from the database.
"""

import asyncio
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.connectors.files.ledger import Changes, Ledger
from isthmus.connectors.files.rendering import JsonArray, JsonLines, Rendering, Table, columns_of, rendered
from isthmus.connectors.files.settings import StreamSettings
from isthmus.connectors.files.threads import in_thread
from isthmus.sdk import Batch, Guard, Operation, WriteMode
from isthmus.sdk.folder import Root
from isthmus.sdk.records import key_of

_BUFFER = 1024 * 1024


class FileWriter:
    """Writes the file of one stream; one batch at a time."""

    def __init__(self, root: Root, told: StreamSettings, guard: Guard) -> None:
        self._root = root
        self._told = told
        self._guard = guard
        self._turn = asyncio.Lock()
        self._closed = False
        self._ledger: Ledger | None = None
        self._path = Path()

    def close(self) -> None:
        """Closes the database beside the file, once nobody writes any more."""
        self._closed = True
        if not self._turn.locked():
            self._put_down()

    async def write(self, batch: Batch[dict[str, Any]]) -> None:
        """Takes one batch; on return it is on the disk."""
        # Without a flow there is no position to recognise a batch by that was applied before.
        safe = bool(batch.id.flow_id)
        what = f"Writing {len(batch)} records to {self._told.path}"
        await self._guard.write(batch, self._once, what=what, safe=safe)

    async def _once(self, batch: Batch[dict[str, Any]]) -> None:
        await self._turn.acquire()
        try:
            await in_thread(partial(self._write, batch), abandoned=self._pass_on)
        except asyncio.CancelledError:
            # The thread is still at it, and keeps the turn until it is done.
            raise
        except BaseException:
            self._pass_on()
            raise
        self._pass_on()

    def _pass_on(self) -> None:
        self._turn.release()
        if self._closed:
            self.close()

    def _put_down(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _write(self, batch: Batch[dict[str, Any]]) -> None:
        try:
            self._apply(self._open(), batch)
        except BaseException:
            # The next try opens the database anew: its descriptor may be what is wrong.
            self._put_down()
            raise

    def _apply(self, ledger: Ledger, batch: Batch[dict[str, Any]]) -> None:
        with ledger.transaction():
            fresh = self._settle(ledger)
            if ledger.seen(batch.id):
                batch.repeated = True
            else:
                changes = self._take(ledger, batch)
                fresh = self._image(ledger, changes, fresh)
                batch.created, batch.updated = len(changes.added), changes.updated
                batch.unchanged, batch.deleted = changes.unchanged, changes.deleted
            if fresh is not None:
                self._replace(fresh)

    def _open(self) -> Ledger:
        if self._ledger is None:
            self._path = self._root.folders_for(self._told.path)
            self._ledger = Ledger(self._path.with_name(f".{self._path.name}.isthmus"))
        return self._ledger

    def _take(self, ledger: Ledger, batch: Batch[dict[str, Any]]) -> Changes:
        changes = Changes()
        for place, record in enumerate(batch.records):
            key = self._key(batch, place)
            operation = batch.operations[place] if batch.operations else Operation.UPSERT
            if batch.mode == WriteMode.DELETE or operation == Operation.DELETE:
                if key:
                    ledger.delete(key, changes)
                else:
                    batch.reject_at(place, "A record without a key cannot be removed.", reason="KEY_MISSING")
            elif operation == Operation.PATCH and key:
                ledger.patch(key, record, changes)
            else:
                ledger.upsert(key, record, changes)
        return changes

    def _key(self, batch: Batch[dict[str, Any]], place: int) -> str:
        if batch.keys:
            return batch.keys[place]
        try:
            return key_of(batch.records[place], self._told.key or batch.primary_key)
        except LookupError:
            return ""

    def _settle(self, ledger: Ledger) -> Path | None:
        """Brings the file to the committed state; gives a new image when it has to be replaced."""
        inode, length = ledger.fact("inode"), int(ledger.fact("length", "0"))
        if not inode:
            return None
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return self._anew(ledger)
        if str(found.st_ino) != inode or found.st_size < length:
            return self._anew(ledger)
        if found.st_size > length:
            descriptor = self._root.open(self._path, os.O_RDWR)
            try:
                os.ftruncate(descriptor, length)
            finally:
                os.close(descriptor)
        return None

    def _image(self, ledger: Ledger, changes: Changes, fresh: Path | None) -> Path | None:
        """Appends where that is enough; otherwise gives a new image of the whole."""
        columns = self._columns(ledger, changes)
        wider = self._told.form == "csv" and columns != ledger.fact("columns").split("\t")
        if not changes.added and changes.only_added and ledger.fact("inode"):
            return fresh
        ledger.remember([("columns", "\t".join(columns))])
        rendering = self._rendering(columns)
        if fresh or wider or not rendering.appendable or not changes.only_added or not ledger.fact("inode"):
            return self._anew(ledger)
        descriptor = self._root.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            _pour(descriptor, (rendering.row(record, first=False) for record in changes.added))
            ledger.remember([("length", str(os.fstat(descriptor).st_size))])
        finally:
            os.close(descriptor)
        return None

    def _anew(self, ledger: Ledger) -> Path:
        """Writes all records into a new file beside the old one and remembers it as the committed one."""
        rendering = self._rendering(ledger.fact("columns").split("\t"))
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            _pour(descriptor, rendered(rendering, ledger.records()))
            told = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        ledger.remember([("inode", str(told.st_ino)), ("length", str(told.st_size))])
        return fresh

    def _replace(self, fresh: Path) -> None:
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _columns(self, ledger: Ledger, changes: Changes) -> list[str]:
        if self._told.form != "csv":
            return []
        if self._told.columns:
            return list(self._told.columns)
        known = [name for name in ledger.fact("columns").split("\t") if name]
        return columns_of(changes.added if changes.only_added else ledger.records(), known)

    def _rendering(self, columns: list[str]) -> Rendering:
        if self._told.form == "csv":
            return Table(columns, self._told.delimiter)
        return JsonLines() if self._told.form == "jsonl" else JsonArray()


def _pour(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Writes all pieces and waits until the disk has them."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _BUFFER:
            _all(descriptor, held)
            held.clear()
    _all(descriptor, held)
    os.fsync(descriptor)


def _all(descriptor: int, data: bytearray) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += os.write(descriptor, view[done:])
