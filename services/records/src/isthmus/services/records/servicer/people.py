"""Exports and erases one person's data, place after place."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from isthmus.kit import Database, current_principal, encode_token
from isthmus.kit.paging import PageRequest
from isthmus.mapper.privacy import Classes, DataClass
from isthmus.records.v1 import privacy_pb2 as pb
from isthmus.services.records.domain.classes import FLOW, STREAM, as_json, unpacked
from isthmus.services.records.servicer.elsewhere import Elsewhere
from isthmus.services.records.store.classes import ClassStore
from isthmus.services.records.store.privacy import Erasures, Page, PersonStore, Place, Running
from sqlalchemy.ext.asyncio import AsyncConnection

_COUNTS = {"quarantine": "quarantined"}
_INNER = ("_form", "base", "result", "record", "data", "reasons")
_HIDDEN = frozenset({"place", "nr", "last", "seen", "change", "is_addition", "is_binary", "classes"})


class People:
    """Finds all that is held about a person.

    Args:
        database: Opens the transactions in which data is erased.
        persons: Looks through the tables.
        erasures: Knows how far erasures are.
        classes: Knows which fields are personal.
        elsewhere: Looks through texts that quote a person.
        announce: Tells of what was erased, in the same transaction.
    """

    def __init__(
        self,
        database: Database,
        persons: PersonStore,
        erasures: Erasures,
        classes: ClassStore,
        *,
        elsewhere: Elsewhere,
        announce: Callable[[AsyncConnection, str, pb.PersonErased], Awaitable[None]],
    ) -> None:
        self._database = database
        self._persons = persons
        self.erasures = erasures
        self._classes = classes
        self._elsewhere = elsewhere
        self._announce = announce

    async def export(
        self, tenant_id: str, subject: str, token: str
    ) -> AsyncIterator[pb.ExportPersonDataResponse]:
        """Give what is held about a person, page by page."""
        start = PageRequest.parse(1, token, keys=("kind", "stream", "row")).after or {}
        position = [str(start["kind"]), str(start["stream"]), *json.loads(str(start["row"]))] if start else []
        looked = 0
        async for place, page in self._pages(tenant_id, subject, position):
            looked += page.seen
            lines = [_line(place, dict(found.row)) for found in page.found]
            where = _behind(place, page)
            resume = encode_token({"kind": where[0], "stream": where[1], "row": json.dumps(where[2:])})
            yield pb.ExportPersonDataResponse(lines=lines, looked_at=looked, resume_token=resume)
        async for met, seen in self._elsewhere.texts(tenant_id, subject, is_dry_run=True):
            looked += seen
            yield pb.ExportPersonDataResponse(lines=[one.line for one in met], looked_at=looked)

    async def count(self, tenant_id: str, subject: str) -> AsyncIterator[pb.ErasePersonDataResponse]:
        """Count what would be erased."""
        counts, looked = dict[str, int](), 0
        async for place, page in self._pages(tenant_id, subject, []):
            looked += page.seen
            _add(counts, place.kind, len(page.found))
            yield pb.ErasePersonDataResponse(counts=_message(counts), looked_at=looked)
        async for met, seen in self._elsewhere.texts(tenant_id, subject, is_dry_run=True):
            looked += seen
            for one in met:
                _add(counts, one.kind, 1)
        yield pb.ErasePersonDataResponse(counts=_message(counts), looked_at=looked, is_done=True)

    async def erase(
        self, tenant_id: str, subject: str, request_id: str, *, removes: bool
    ) -> AsyncIterator[pb.ErasePersonDataResponse]:
        """Erase what is held about a person; each page is a transaction that also remembers how far it is."""
        streams = [place.stream for place in await self._places(tenant_id) if place.kind == "records"]
        running = await self.erasures.begin(tenant_id, request_id, subject, streams, removes=removes)
        looked = 0
        if not running.is_done:
            async for place, page in self._pages(tenant_id, subject, running.position):
                looked += page.seen
                await self._erase_page(tenant_id, place, subject, page, running, removes=removes)
                yield pb.ErasePersonDataResponse(counts=_message(running.counts), looked_at=looked)
            async for met, seen in self._elsewhere.texts(tenant_id, subject, is_dry_run=False):
                looked += seen
                for one in met:
                    _add(running.counts, one.kind, 1)
                yield pb.ErasePersonDataResponse(counts=_message(running.counts), looked_at=looked)
            await self._end(tenant_id, running)
        yield pb.ErasePersonDataResponse(counts=_message(running.counts), looked_at=looked, is_done=True)

    async def _erase_page(
        self, tenant_id: str, place: Place, subject: str, page: Page, running: Running, *, removes: bool
    ) -> None:
        if not page.found and page.after is not None:
            return
        async with self._database.tenant(tenant_id) as connection:
            count = len(page.found)
            if place.kind != "pairs":
                count = await self._persons.erase(
                    connection, tenant_id, place, subject, page, removes=removes
                )
            _add(running.counts, place.kind, count)
            running.position = _behind(place, page)
            await self.erasures.store(connection, tenant_id, running)

    async def _end(self, tenant_id: str, running: Running) -> None:
        async with self._database.tenant(tenant_id) as connection:
            running.is_done = True
            await self.erasures.store(connection, tenant_id, running)
            told = pb.PersonErased(
                erasure_id=running.erasure_id,
                counts=_message(running.counts),
                erased_by=current_principal().subject,
            )
            await self._announce(connection, tenant_id, told)

    async def _places(self, tenant_id: str) -> list[Place]:
        """Where to look, in an order that stays the same."""
        numbers = await self._persons.numbers(tenant_id)
        told = await self._classes.everything(tenant_id, STREAM)
        flows = await self._classes.everything(tenant_id, FLOW)
        places = []
        for stream, number in numbers.items():
            classes = unpacked(told.get(stream, ""))
            if classes.default >= DataClass.PERSONAL or classes.paths(DataClass.PERSONAL):
                places += [Place(kind, stream, number, classes) for kind in ("records", "history")]
        by_flow: dict[str, Classes] = {flow: unpacked(text) for flow, text in flows.items()}
        return [*places, *(Place(kind, by_flow=by_flow) for kind in ("quarantine", "conflicts", "pairs"))]

    async def _pages(
        self, tenant_id: str, subject: str, position: Sequence[str]
    ) -> AsyncIterator[tuple[Place, Page]]:
        """Look through all places from a position on; a place that is gone begins the next one anew."""
        places = await self._places(tenant_id)
        after: list[str] | None = list(position[2:])
        for index, place in enumerate(places):
            if [place.kind, place.stream] == list(position[:2]):
                places, begins = places[index:], position[2:] != ["end"]
                if not begins:
                    places, after = places[1:], []
                break
        else:
            after = []
        for place in places:
            while after is not None:
                page = await self._persons.page(tenant_id, place, subject, after)
                yield place, page
                after = page.after
            after = []


def _behind(place: Place, page: Page) -> list[str]:
    return [place.kind, place.stream, *(page.after if page.after is not None else ["end"])]


def _add(counts: dict[str, int], kind: str, count: int) -> None:
    name = _COUNTS.get(kind, kind)
    counts[name] = counts.get(name, 0) + count


def _message(counts: dict[str, int]) -> pb.PersonCounts:
    return pb.PersonCounts(**counts)


def _line(place: Place, row: dict[str, Any]) -> str:
    told: dict[str, Any] = {"place": place.kind}
    if place.stream:
        told["stream"] = place.stream
    return _json({**told, **dict(_told(row))})


def _told(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in _HIDDEN or value is None:
            continue
        yield name, as_json(value) if name.endswith(_INNER) else value


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


__all__ = ["People"]
