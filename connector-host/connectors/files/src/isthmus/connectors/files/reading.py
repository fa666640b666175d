"""Reads files page by page; a page ends at a place from which reading can go on."""

import hashlib
import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from isthmus.connectors.files.lines import LONGEST, Line, Row, Rows, lines, whole
from isthmus.connectors.files.settings import StreamSettings
from isthmus.connectors.files.threads import in_thread
from isthmus.sdk import ConfigurationFailure, DataFailure, Guard, Page, ReadMode, ReadReject
from isthmus.sdk.decode import decode_json
from isthmus.sdk.diagnosis import refusal_of
from isthmus.sdk.folder import Root
from isthmus.sdk.records import at_path
from isthmus.sdk.salvage import decode_readable

LARGEST_DOCUMENT = 64 * 1024 * 1024
# Each followed file takes about 100 bytes of a position, which may have 64 KiB.
MOST_FILES = 400
_MOST_PARTITIONS = 100
_HEAD = 256
_SETTLED_SECONDS = 60.0
_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """How far one file was read; `head` tells whether it is still the same file."""

    offset: int = 0
    line: int = 0
    head: str = ""

    def told(self) -> dict[str, Any]:
        """As it travels in a position."""
        return {"offset": self.offset, "line": self.line, "head": self.head}


@dataclass(frozen=True, slots=True)
class Entry:
    """One record or reject of a file and the place behind it."""

    record: dict[str, Any] | None
    reject: ReadReject | None
    end: int
    line: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """The next page of the file with this mark, and the place behind it; no page when it is at its end."""

    mark: str
    page: Page[dict[str, Any]] | None = None
    place: Place = field(default_factory=Place)


class FileReader:
    """Reads the files of one stream.

    Files are known by device, inode and their first bytes: one that was
    renamed goes on where it was, one that was replaced or cut starts again.
    """

    def __init__(self, root: Root, told: StreamSettings, guard: Guard) -> None:
        self._root = root
        self._told = told
        self._guard = guard

    async def partitions(self, known: Sequence[str]) -> list[str]:
        """The files by their marks, to be read side by side; a single part where there is one, or very many.

        Whoever began to follow all files as one part goes on so: only there stands how far each was read.
        """
        if "" in known:
            return [""]
        marks = list((await self._marked()).values())
        divided = bool(known) or 1 < len(marks) <= _MOST_PARTITIONS
        return marks if marks and divided else [""]

    async def read(
        self, resume: dict[str, Any] | None, state: dict[str, Any], mode: ReadMode, partition: str = ""
    ) -> AsyncGenerator[Page[dict[str, Any]], None]:
        """Pages of all files, one file after another, or of the file with a mark."""
        known: dict[str, Any] = dict(resume or state.get("files") or {})
        alive: set[str] = set()
        paths = await self._paths()
        if partition:
            paths = [path for path, mark in (await self._marked()).items() if mark == partition]
        for path in paths:
            async with aclosing(self._file(path, known, mode)) as taking:
                async for taken in taking:
                    alive.add(taken.mark)
                    if taken.page is not None:
                        known[taken.mark] = taken.place.told()
                        taken.page.resume = dict(known)
                        yield taken.page
        state["files"] = {mark: place for mark, place in known.items() if mark in alive}

    async def _marked(self) -> dict[Path, str]:
        """The files with their marks; of several names of one file the first counts."""
        paths = await self._paths()

        def look() -> dict[Path, str]:
            found: dict[str, Path] = {}
            for path in paths:
                with suppress(FileNotFoundError):
                    told = path.stat()
                    found.setdefault(f"{told.st_dev}:{told.st_ino}", path)
            return {path: mark for mark, path in found.items()}

        return await self._guard.run(lambda: in_thread(look), what=f"Finding {self._told.path}")

    async def _paths(self) -> list[Path]:
        paths = await self._guard.run(
            lambda: in_thread(partial(self._root.find, self._told.path)), what=f"Finding {self._told.path}"
        )
        if len(paths) > MOST_FILES:
            message = f"{self._told.path} names {len(paths):,} files; at most {MOST_FILES} are followed."
            raise ConfigurationFailure("FILES_TOO_MANY", message, path="path")
        return paths

    async def _file(self, path: Path, known: dict[str, Any], mode: ReadMode) -> AsyncGenerator[Taken, None]:
        """What is new in one file; after a failure it is opened anew, at the place behind the last page."""
        held: OpenFile | None = None

        async def take() -> Taken:
            nonlocal held
            mine, held = held or OpenFile(self._root, self._told, path, known, mode), None
            taken = await in_thread(mine.take, abandoned=mine.close)
            held = mine
            return taken

        try:
            while True:
                taken = await self._guard.run(take, what=f"Reading {self._root.name(path)}")
                yield taken
                if taken.page is None:
                    return
        finally:
            if held is not None:
                held.close()


class OpenFile:
    """One file in hand, from the place on that is known of it; used by one thread at a time.

    A failure closes it, because neither its descriptor nor what was read ahead can be relied on then.
    """

    def __init__(
        self, root: Root, told: StreamSettings, path: Path, known: Mapping[str, Any], mode: ReadMode
    ) -> None:
        self._root = root
        self._told = told
        self._path = path
        self._known = known
        self._mode = mode
        self._descriptor = -1
        self._mark = ""
        self._start = Place()
        self._fingerprint = ""
        self._entries_left: Iterator[Entry] = iter(())

    def close(self) -> None:
        """Closes it; may be repeated."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def take(self) -> Taken:
        """The next page; opens the file where that has not been done."""
        try:
            if self._descriptor < 0:
                self._open()
            return self._taken(_some(self._entries_left, self._told.page_records))
        except BaseException:
            self.close()
            raise

    def _taken(self, batch: list[Entry]) -> Taken:
        if batch:
            records = [entry.record for entry in batch if entry.record is not None]
            rejected = [entry.reject for entry in batch if entry.reject is not None]
            last = batch[-1]
            place = Place(last.end, last.line, self._fingerprint or _head(self._descriptor, last.end))
            return Taken(self._mark, Page(records, rejected=rejected), place)
        whole = Place(0, 0, self._fingerprint)
        if self._fingerprint and self._start != whole:
            self._start = whole
            return Taken(self._mark, Page(), whole)
        return Taken(self._mark)

    def _open(self) -> None:
        descriptor = self._descriptor = self._root.open(self._path)
        name = self._root.name(self._path)
        self._mark = _mark(descriptor)
        self._start = _place(descriptor, self._known.get(self._mark))
        if self._told.form == "json":
            self._entries_left, self._fingerprint = _document(descriptor, name, self._told, self._start)
        else:
            settled = _settled(descriptor, self._mode)
            self._entries_left = self._entries(descriptor, name, self._start, settled=settled)

    def _entries(self, descriptor: int, name: str, start: Place, *, settled: bool) -> Iterator[Entry]:
        if self._told.form == "csv":
            table = Rows(descriptor, name, self._told.delimiter)
            for row in table.rows(start.offset, start.line):
                if not row.complete and not settled:
                    return
                if row.cells or row.fault:
                    yield self._row(descriptor, table.header, row, name)
            return
        for line in lines(descriptor, start.offset, start.line):
            entry = self._line(descriptor, line, name, settled=settled)
            if entry is not None:
                yield entry

    def _line(self, descriptor: int, line: Line, name: str, *, settled: bool) -> Entry | None:
        if not line.raw.strip():
            return Entry(None, None, line.end, line.number)
        where = f"Line {line.number} of {name}"
        if line.cut:
            if not line.complete and not settled:
                return None
            raw = whole(descriptor, line.begin, line.end, where)
            return _bad(line, raw, "LINE_TOO_LONG", f"{where} is longer than {LONGEST:,} bytes.")
        try:
            record = decode_json(line.raw, where)
        except DataFailure:
            if not line.complete and not settled:
                # Somebody is still writing it; the next reading finds it whole.
                return None
            record = None
        if not isinstance(record, dict):
            refusal = refusal_of(line.raw, where, "LINE")
            assert refusal is not None
            return _bad(line, line.raw, refusal.reason, refusal.message, refusal.path)
        return Entry(self._placed(record, name, line.number), None, line.end, line.number, len(line.raw))

    def _row(self, descriptor: int, header: list[str], row: Row, name: str) -> Entry:
        where = f"Line {row.line} of {name}"
        size = row.end - row.begin
        if row.fault or len(row.cells) != len(header):
            cells = f"{where} has {len(row.cells)} cells where the header has {len(header)}."
            raw = whole(descriptor, row.begin, row.end, where)
            reject = ReadReject(raw, "ROW_INVALID", f"{where}: {row.fault}." if row.fault else cells)
            return Entry(None, reject, row.end, row.line, size)
        record = dict(zip(header, row.cells, strict=True))
        return Entry(self._placed(record, name, row.line), None, row.end, row.line, size)

    def _placed(self, record: dict[str, Any], name: str, line: int) -> dict[str, Any]:
        return {**record, "_file": name, "_line": line} if self._told.place_fields else record


def _document(descriptor: int, name: str, told: StreamSettings, start: Place) -> tuple[Iterator[Entry], str]:
    """The records of a JSON document and the fingerprint of its content.

    Raises:
        DataFailure: It is too large, no JSON, or has no records where the settings say.
    """
    size = os.fstat(descriptor).st_size
    if size > LARGEST_DOCUMENT:
        message = f"{name} has {size:,} bytes; a JSON document may have {LARGEST_DOCUMENT:,}. Use JSON Lines."
        raise DataFailure("DOCUMENT_TOO_LARGE", message)
    raw = os.pread(descriptor, size, 0)
    fingerprint = hashlib.sha256(raw).hexdigest()
    if start.head == fingerprint and start.line == 0:
        return iter(()), fingerprint
    found, unread = decode_readable(raw, name, told.records_path, "any")
    if told.records_path:
        found = at_path(found, told.records_path)
    found = [found] if isinstance(found, dict) else found
    if found is None and unread:
        found = []
    if not isinstance(found, list):
        at = told.records_path or "its top"
        message = f"{name} has no list of records at {at}; correct records_path."
        raise DataFailure("RECORDS_MISSING", message, path="records_path")
    for bad in unread:
        found.insert(bad.place - 1, bad.reject)
    skip = start.line if start.head == fingerprint else 0
    return (
        _item(name, told, number, item) for number, item in enumerate(found, 1) if number > skip
    ), fingerprint


def _item(name: str, told: StreamSettings, number: int, item: Any) -> Entry:
    if isinstance(item, ReadReject):
        return Entry(None, item, 0, number, len(item.record))
    if not isinstance(item, dict):
        reject = ReadReject(item, "RECORD_NOT_OBJECT", f"Record {number} of {name} is no JSON object.")
        return Entry(None, reject, 0, number)
    placed = {**item, "_file": name, "_line": number} if told.place_fields else item
    return Entry(placed, None, 0, number)


def _bad(line: Line, raw: bytes, reason: str, message: str, path: str = "") -> Entry:
    return Entry(None, ReadReject(raw, reason, message, path), line.end, line.number, len(raw))


def _some(entries: Iterator[Entry], most: int) -> list[Entry]:
    """The entries of one page: by number, and by bytes for long lines."""
    taken: list[Entry] = []
    size = 0
    for entry in islice(entries, most):
        taken.append(entry)
        size += entry.size
        if size >= _PAGE_BYTES:
            break
    return taken


def _mark(descriptor: int) -> str:
    told = os.fstat(descriptor)
    return f"{told.st_dev}:{told.st_ino}"


def _head(descriptor: int, offset: int) -> str:
    """Fingerprint of the first bytes, as far as they were read."""
    length = min(_HEAD, offset)
    return f"{length}:{hashlib.sha256(os.pread(descriptor, length, 0)).hexdigest()[:16]}"


def _place(descriptor: int, told: dict[str, Any] | None) -> Place:
    """Where to go on; the beginning when the file is not the one that was read."""
    if not told:
        return Place()
    place = Place(int(told["offset"]), int(told["line"]), str(told["head"]))
    if ":" not in place.head:
        return place
    same = os.fstat(descriptor).st_size >= place.offset and _head(descriptor, place.offset) == place.head
    return place if same else Place()


def _settled(descriptor: int, mode: ReadMode) -> bool:
    """Whether nobody writes the file any more, so that its last line is as it will be."""
    age = time.time() - os.fstat(descriptor).st_mtime
    return mode == ReadMode.FULL or age > _SETTLED_SECONDS
