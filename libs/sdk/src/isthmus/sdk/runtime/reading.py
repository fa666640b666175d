"""Reads one partition of a stream, page by page, with a position after each page."""

import asyncio
import copy
import inspect
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.sdk.connector import Connector
from isthmus.sdk.context import PLACE, WORK, Context, Place, Stats, Work
from isthmus.sdk.declared import hints_of
from isthmus.sdk.failures import ConfigurationFailure, DataFailure, TransientFailure
from isthmus.sdk.keying import Keying
from isthmus.sdk.model import POSITION_SCHEMA_VERSION, Between, Operation, Position, ReadMode, Stream
from isthmus.sdk.page import Page, ReadReject
from isthmus.sdk.records import as_dict, key_of
from isthmus.sdk.runtime.failing import failure_from
from isthmus.sdk.shaped import ShapedRecords, Shaper
from pydantic import TypeAdapter, ValidationError

_PARAMETERS: WeakKeyDictionary[Any, dict[tuple[int, frozenset[str]], frozenset[str]]] = WeakKeyDictionary()
"""By function, and what is given of its parameters: the names of the others. Looking takes long."""


@dataclass(frozen=True)
class PageRead:
    """Records that become one checkpoint.

    A page may hold no records: its position still counts. `position` is what to
    commit once everything up to and including this page is durable. A page that
    is sent in several batches has its position on the last one only.

    Attributes:
        records: Dictionaries; or `ShapedRecords` where the reading has a shaper.
        keys: The key of each record, parts joined by U+001F; empty texts for streams without a key.
        operations: None means that all are upserts.
        rejected: Records that the source gave and that cannot travel on; they belong in quarantine.
    """

    records: list[Any]
    keys: list[str]
    operations: list[Operation] | None
    position: Position
    rejected: list[ReadReject] = field(default_factory=list)


@dataclass
class _Progress:
    """What the position is made of while a reading goes on."""

    since: Any
    top: Any
    kept: dict[str, Any]
    resume: Mapping[str, Any] | None
    saved_place: dict[str, Any] | None
    number: int = 0

    @classmethod
    def load(cls, position: Position | None, mode: ReadMode, *, ordered: bool) -> "_Progress":
        if position is not None and position.schema_version > POSITION_SCHEMA_VERSION:
            message = (
                "The saved position was made by a newer version; upgrade, or reset the flow's checkpoint."
            )
            raise ConfigurationFailure("POSITION_UNREADABLE", message, path="position")
        saved = dict(position.state) if position is not None else {}
        done = saved.get("done", False)
        if done and mode == ReadMode.FULL:
            saved = {}
        top = saved.get("cursor")
        resume, place = saved.get("resume"), saved.get("place")
        within = not done and not (ordered and resume is None and place is None)
        since = saved.get("since") if within else top
        return cls(since, top, dict(saved.get("state") or {}), resume, place, int(saved.get("page", 0)))

    def position(self, stream: Stream, resume: Any, place: dict[str, Any] | None) -> Position:
        state = {"since": self.since, "cursor": self.top, "state": self.kept, "page": self.number}
        state |= {"resume": resume} if resume is not None else {}
        state |= {"place": place} if place is not None else {}
        return Position(state, POSITION_SCHEMA_VERSION, self._summary(stream, f"page {self.number}"))

    def final(self, stream: Stream, state: dict[str, Any]) -> Position:
        content = {"cursor": self.top, "state": state, "done": True}
        return Position(content, POSITION_SCHEMA_VERSION, self._summary(stream, "end"))

    def _summary(self, stream: Stream, where: str) -> str:
        cursor = f", {stream.cursor_field} {self.top}" if self.top is not None else ""
        return f"{where} of {stream.stream}{cursor}"[:200]


class Reading:
    """An asynchronous iterator of `PageRead`, with counts; close it with `aclose` when leaving early.

    The next page is asked of the system while the present one is being
    delivered, and no page beyond that.
    """

    def __init__(
        self,
        connector: Connector[Any],
        context: Context,
        stream: Stream,
        *,
        partition: str = "",
        mode: ReadMode = ReadMode.FULL,
        position: Position | None = None,
        limit: int = 0,
        shaper: Shaper | None = None,
        between: Between | None = None,
    ) -> None:
        self.stream = stream
        self._between = between
        self.records = 0
        self._connector = connector
        self._context = context
        self._partition = partition
        self._limit = limit
        self._mode = mode
        self._progress = _Progress.load(position, mode, ordered=stream.ordered)
        self._last = position or Position()
        self._keying = Keying(stream.primary_key, stream.cursor_field)
        self._work = Work(shaper=shaper, keying=self._keying)
        self._state = copy.deepcopy(self._progress.kept)
        self._handed: asyncio.Queue[tuple[Page[Any] | None, dict[str, Any] | None]] = asyncio.Queue(1)
        self._held: Page[Any] | None = None
        self._error: Exception | None = None
        self._closing = False
        self._place = Place(self._progress.saved_place, self._hand_over)
        self._pages = self._run()

    @property
    def stats(self) -> Stats:
        """What this reading asked of the system so far."""
        return self._work.stats

    @property
    def position(self) -> Position:
        """Where the next reading starts; after the last page this is the end."""
        return self._last

    def __aiter__(self) -> "Reading":
        return self

    async def __anext__(self) -> PageRead:
        """The next page.

        Raises:
            Failure: When the reading cannot go on; pages given before it stay good.
        """
        return await anext(self._pages)

    async def aclose(self) -> None:
        """Stops the reading; what was not given did not happen."""
        await self._pages.aclose()

    async def _run(self) -> AsyncGenerator[PageRead, None]:
        pump = asyncio.create_task(self._pump())
        try:
            while True:
                page, place = await self._handed.get()
                self._handed.task_done()
                if page is None:
                    break
                await asyncio.sleep(0)  # the next page is asked for before this one is worked on
                yield self._made(page, place)
                if self._limit and self.records >= self._limit:
                    return
        finally:
            self._closing = True
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if self._error is not None:
            raise await failure_from(self._connector, self._context, self._error) from None
        final = self._progress.final(self.stream, self._state)
        if final.state != self._last.state:
            self._last = final
            yield PageRead([], [], None, final)

    async def _pump(self) -> None:
        """Drives the connector's generator in one task, one page ahead of the taker."""
        PLACE.set(self._place)
        WORK.set(self._work)
        try:
            with self._context.active():
                async with aclosing(self._connector.receive_data(self.stream, **self._given())) as pages:
                    async for page in pages:
                        await self._hand_over()
                        page.rejected.extend(self._work.take_unread())
                        self._held = page
                        if not self._place.open or self._limit:
                            await self._hand_over()
        except asyncio.CancelledError:
            if self._closing:
                raise
            # A library of the connector gave up by itself; the taker must not wait for ever.
            self._error = TransientFailure(
                "CANCELLED", "The connector cancelled its own reading; repeat later."
            )
        except Exception as error:
            self._error = error
        await self._hand_over()
        if self._error is None and self._work.unread:
            self._held = Page(rejected=self._work.take_unread())
            await self._hand_over()
        await self._handed.put((None, None))

    async def _hand_over(self) -> None:
        """Gives the page in hand away and waits until it is taken."""
        if self._held is None:
            return
        held, self._held = self._held, None
        await self._handed.put((held, self._place.at))
        await self._handed.join()

    def _given(self) -> dict[str, Any]:
        """Only what the reader's parameters ask for."""
        reader = self.stream.reader
        names = parameters_of(reader)
        given = {
            "since": self._progress.since,
            "resume": self._progress.resume,
            "state": self._state,
            "partition": self._partition,
            "limit": self._limit,
            "mode": self._mode,
            "between": self._between,
        }
        if "since" in names:
            given["since"] = _as_annotated(reader, given["since"])
        return {name: value for name, value in given.items() if name in names}

    def _made(self, page: Page[Any], place: dict[str, Any] | None) -> PageRead:
        rejected = list(page.rejected)
        deleted_from, deletions = len(page.records), len(page.deleted)
        records, keys = self._together(page)
        if keys is None:
            records, keys, deletions = self._singly(records, deleted_from, rejected)
        self._progress.top = self._keying.top(records, self._progress.top)
        whole = self._cut(records, keys)
        operations = None
        if deletions:
            upserts = max(0, len(records) - deletions) if whole else min(len(records), deleted_from)
            operations = [Operation.UPSERT] * upserts + [Operation.DELETE] * (len(records) - upserts)
        self.records += len(records)
        if whole:
            self._progress.number += 1
            self._last = self._progress.position(self.stream, page.resume, place)
        return PageRead(records, keys, operations, self._last, rejected)

    def _together(self, page: Page[Any]) -> tuple[list[Any], list[str] | None]:
        """All records of a page, and their keys unless one of them is odd."""
        records: list[Any] = page.records
        if isinstance(records, ShapedRecords):
            if not page.deleted:
                return records, records.keys
            records = records.whole()
        records = [*records, *page.deleted]
        are_plain = set(map(type, records)) <= {dict}
        return records, self._keying.keys(records) if are_plain else None

    def _singly(
        self, found: list[Any], deleted_from: int, rejected: list[ReadReject]
    ) -> tuple[list[Any], list[str], int]:
        """The records that can travel with their keys, and how many of them are deletions."""
        records: list[Any] = []
        keys: list[str] = []
        deletions = 0
        for number, record in enumerate(found):
            entry = self._keyed(record, rejected)
            if entry is None:
                continue
            records.append(entry[0])
            keys.append(entry[1])
            deletions += number >= deleted_from
        return records, keys, deletions

    def _cut(self, records: list[Any], keys: list[str]) -> bool:
        """Keeps to the limit; a page that was cut moves no position."""
        room = self._limit - self.records if self._limit else len(records)
        if len(records) <= room:
            return True
        del records[room:], keys[room:]
        return False

    def _keyed(self, record: Any, rejected: list[ReadReject]) -> tuple[dict[str, Any], str] | None:
        try:
            entry = as_dict(record)
            key = key_of(entry, self.stream.primary_key)
        except LookupError as missing:
            path = str(missing.args[0])
            message = f"The key field {path} is missing; every record of {self.stream.stream} needs it."
            rejected.append(ReadReject(entry, "KEY_MISSING", message, path))
            return None
        except TypeError as error:
            rejected.append(ReadReject(record, "RECORD_INVALID", f"The record cannot travel: {error}."))
            return None
        return entry, key


def parameters_of(function: Any) -> frozenset[str]:
    """Names of the parameters that are still open, for functions, methods and partials."""
    given: tuple[Any, ...] = ()
    named: frozenset[str] = frozenset()
    plain: Any = function
    if isinstance(function, partial):
        plain, given, named = function.func, function.args, frozenset(function.keywords)
    if inspect.ismethod(plain):
        given, plain = (plain.__self__, *given), plain.__func__
    if not inspect.isfunction(plain):
        return frozenset(inspect.signature(function).parameters) if function is not None else frozenset()
    known = _PARAMETERS.setdefault(plain, {})
    if (len(given), named) not in known:
        known[len(given), named] = frozenset(inspect.signature(function).parameters)
    return known[len(given), named]


def _as_annotated(reader: Any, value: Any) -> Any:
    if value is None:
        return value
    hint = hints_of(reader).get("since", Any)
    if hint is Any:
        return value
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError:
        message = f"The saved cursor {value!r} cannot be read; reset the flow's checkpoint."
        raise DataFailure("POSITION_UNREADABLE", message, path="position") from None
