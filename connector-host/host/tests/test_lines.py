"""Mapped records travel as lines of text to who takes them, and as JSON to everybody else."""

import asyncio
from typing import Any

import grpc.aio
import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.delivery import Delivery
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits, Piece, Unit, request_of
from isthmus.host.attempt.settling import rejects_of
from isthmus.host.backend import SourcePage
from isthmus.mapper import compile_mapping
from isthmus.sdk.runtime import ShapedRecords
from isthmus.type.v1 import batch_pb2 as batch

PLAN = compile_mapping(
    {
        "version": "isthmus/v1",
        "transformations": {"where": {"path": "kind", "not_equals": "left out"}},
        "field_mappings": [
            {"target": "id", "source": "id"},
            {"target": "kind", "source": "kind"},
            {"target": "count", "source": "count", "cast": "integer"},
        ],
    }
)
LINES = Limits(1000, 1024 * 1024, takes_lines=True)


def page_of(*records: dict[str, Any]) -> SourcePage:
    """Decode records into the shape that the mapping reads, as a source does."""
    typed = PLAN.typed(["id"])
    assert typed is not None
    raw = msgspec.json.encode(records)
    kind: Any = list[typed.record_type]  # type: ignore[name-defined]
    shaped = ShapedRecords(msgspec.json.decode(raw, type=kind), typed, raw, "")
    return SourcePage(shaped, [record["id"] for record in records], position=batch.Position(state=b"x"))


def numbered(first: int, last: int, kind: str = "a") -> SourcePage:
    """A page of usual records."""
    return page_of(*({"id": f"n{number}", "kind": kind, "count": number} for number in range(first, last)))


def pieces_of(page: SourcePage, limits: Limits = LINES, key: tuple[str, ...] = ("id",)) -> list[Piece]:
    """Map a page."""
    return list(PageMapper(PLAN, key).pieces(page, "p", limits))


def records_in(piece: Piece) -> list[Any]:
    """The records of a piece, in whichever form they are."""
    return [msgspec.json.decode(record) for record in piece.as_json().records]


def test_lines_become_the_same_records_as_json():
    """Whoever needs single records gets the very bytes and keys that the other way gives."""
    odd = [
        {"id": "1", "kind": "None", "count": 1},
        {"id": "2\\\n", "kind": "left out", "count": 2},
        {"id": "3\\\n\x1f", "kind": None, "count": 3},
        {"id": "é", "kind": "a", "count": "no number"},
        {"id": "5", "kind": "a", "count": None},
    ]

    (lines,) = pieces_of(page_of(*odd))
    (json,) = pieces_of(page_of(*odd), Limits())

    assert lines.lines is not None
    assert not lines.records
    same = lines.as_json()
    assert (same.records, same.keys, same.size) == (json.records, json.keys, json.size)
    assert list(same.sources) == list(json.sources) == [odd[0], odd[2], odd[4]]
    assert (same.read, same.filtered, list(same.source_keys)) == (json.read, json.filtered, json.source_keys)
    assert (
        [reject.record for reject in same.rejects] == [reject.record for reject in json.rejects] == [odd[3]]
    )


@pytest.mark.parametrize(
    ("limits", "key"),
    [(Limits(), ("id",)), (LINES, ()), (LINES, ("nowhere",))],
    ids=["not taken", "no key", "no column"],
)
def test_without_a_need_or_a_way_records_are_json(limits: Limits, key: tuple[str, ...]):
    """Lines are for destinations that take them, and that find keys in the columns."""
    (piece,) = pieces_of(numbered(0, 3), limits, key)

    assert piece.lines is None


def test_a_page_in_which_nothing_remains_has_no_lines():
    """What is left out is counted all the same."""
    (piece,) = pieces_of(numbered(0, 3, "left out"))

    assert (piece.lines, piece.count, piece.filtered, piece.read) == (None, 0, 3, 3)


@pytest.mark.parametrize("limits", [Limits(4, 10**6, True), Limits(1000, 50, True)], ids=["records", "bytes"])
def test_lines_are_cut_to_the_limits_of_a_batch(limits: Limits):
    """Each part has its own records and their sources, in order."""
    (piece,) = pieces_of(numbered(0, 30))

    parts = piece.split(limits)

    assert len(parts) > 3
    assert all(part.count <= limits.records and part.size <= limits.size for part in parts)
    assert [record["id"] for part in parts for record in records_in(part)] == [f"n{n}" for n in range(30)]
    assert [source["id"] for part in parts for source in part.sources] == [f"n{n}" for n in range(30)]
    assert [part.boundary for part in parts] == [False] * (len(parts) - 1) + [True]


def test_a_line_larger_than_a_batch_goes_the_careful_way():
    """It is put aside, as it would be as JSON."""
    page = page_of({"id": "1", "kind": "a" * 500, "count": 1}, {"id": "2", "kind": "a", "count": 2})

    (piece,) = pieces_of(page, Limits(1000, 300, takes_lines=True))

    assert piece.keys == ["2"]
    assert [reject.reasons[0].reason for reject in piece.rejects] == ["RECORD_TOO_LARGE"]


def test_only_lines_with_the_same_columns_travel_together():
    """A batch says once what the values of its lines are."""
    mapper = PageMapper(PLAN, ("id",))
    pages = [numbered(0, 2), numbered(2, 4), page_of({"id": "5", "kind": None, "count": 1})]
    first, second, other = (piece for page in pages for piece in mapper.pieces(page, "p", LINES))
    (json,) = pieces_of(numbered(4, 6), Limits())

    assert second.joins(first, first, first.count, first.size, LINES)
    assert not other.joins(first, first, first.count, first.size, LINES)
    assert not json.joins(first, first, first.count, first.size, LINES)


def test_a_batch_of_lines_says_what_they_are():
    """The lines of several pages are one text; keys stand in it."""
    mapper = PageMapper(PLAN, ("id",))
    pieces = [piece for page in (numbered(0, 2), numbered(2, 3)) for piece in mapper.pieces(page, "p", LINES)]

    request = request_of(pieces, 7)

    assert request is not None
    one = request.batch
    assert (one.encoding, one.line_count, list(one.keys)) == (batch.ENCODING_TEXT_LINES, 3, [])
    assert list(one.records) == [b"n0\x1fa\x1f0\nn1\x1fa\x1f1\nn2\x1fa\x1f2\n"]
    assert [(column.name, column.type) for column in one.columns] == [
        ("id", batch.Column.TYPE_STRING),
        ("kind", batch.Column.TYPE_STRING),
        ("count", batch.Column.TYPE_INTEGER),
    ]


def test_a_refused_line_is_quarantined_as_the_source_gave_it():
    """A line's place in the batch leads to its record, over the pages that it is made of."""
    mapper = PageMapper(PLAN, ("id",))
    pages = [page_of({"id": "x", "kind": "left out", "count": 0}, {"id": "a", "kind": "b", "count": 1})]
    pages.append(numbered(0, 2))
    pieces = [piece for page in pages for piece in mapper.pieces(page, "p", LINES)]
    ack = connector.BatchAck(
        outcomes=[
            batch.RecordOutcome(index=index, result=batch.RecordOutcome.RESULT_REJECTED) for index in (0, 2)
        ]
    )

    rejects = rejects_of(Unit(pieces, 1, request_of(pieces, 1)), ack)

    assert [reject.record for reject in rejects] == [
        {"id": "a", "kind": "b", "count": 1},
        {"id": "n1", "kind": "a", "count": 1},
    ]
    assert [reject.key for reject in rejects] == ["a", "n1"]


class Stream:
    """One `Write` as a host of the destination answers it."""

    def __init__(self, host: "Host", *, takes_lines: bool, breaks: bool) -> None:
        self._host = host
        self._encodings = [batch.ENCODING_TEXT_LINES] if takes_lines else []
        self._breaks = breaks
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    async def write(self, request: connector.WriteRequest) -> None:
        """Take a message."""
        if request.HasField("open"):
            ready = connector.WriteReady(credit=4, encodings=self._encodings)
            self._answers.put_nowait(connector.WriteResponse(ready=ready))
            return
        one = request.batch
        self._host.batches.append(one)
        if self._breaks and one.encoding == batch.ENCODING_TEXT_LINES:
            self._answers.put_nowait(grpc.aio.EOF)
            return
        count = one.line_count or len(one.records)
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence, created=count)
        self._answers.put_nowait(connector.WriteResponse(ack=ack))

    async def read(self) -> Any:
        """Give the next answer."""
        return await self._answers.get()

    def cancel(self) -> None:
        """End."""


class Host:
    """Hosts of a destination: the first one takes lines and goes away, those behind it take JSON only."""

    def __init__(self) -> None:
        self.batches: list[batch.Batch] = []
        self._streams = 0

    def Write(self, *, timeout: float) -> Stream:
        """Open a stream."""
        del timeout
        self._streams += 1
        return Stream(self, takes_lines=self._streams == 1, breaks=self._streams == 1)


async def deliver(host: Host, opening: connector.WriteOpen, pages: list[SourcePage]) -> list[int]:
    """Deliver pages; gives how many records each unit had that was settled."""
    settled: list[int] = []

    async def connect() -> Host:
        return host

    async def settle(unit: Unit, _ack: connector.BatchAck) -> None:
        settled.append(unit.count)

    delivery = Delivery(opening, connect, settle)
    mapper = PageMapper(PLAN, ("id",))
    running = asyncio.create_task(delivery.run())
    for page in pages:
        for piece in mapper.pieces(page, "", delivery.limits):
            await delivery.offer(piece)
        while not settled:  # what comes first is mapped before the destination has said anything
            await asyncio.sleep(0)
    await delivery.close()
    await running
    return settled


async def test_lines_that_one_host_did_not_acknowledge_reach_another_as_json():
    """It may be of an older version; batches keep their numbers, and nothing is lost."""
    host = Host()
    pages = [numbered(number * 10, number * 10 + 10) for number in range(5)]

    settled = await deliver(host, connector.WriteOpen(primary_key=["id"]), pages)

    assert sum(settled) == 50
    broken = next(one for one in host.batches if one.encoding == batch.ENCODING_TEXT_LINES)
    again = next(one for one in host.batches if one.sequence == broken.sequence and one is not broken)
    assert again.encoding == batch.ENCODING_JSON
    assert len(again.records) == len(again.keys) == broken.line_count
    arrived = [key for one in host.batches if one.encoding == batch.ENCODING_JSON for key in one.keys]
    assert arrived == [f"n{number}" for number in range(50)]


@pytest.mark.parametrize(
    "opening",
    [connector.WriteOpen(is_preview=True), connector.WriteOpen(generation_id="exe_1")],
    ids=["preview", "generation"],
)
async def test_where_single_records_count_none_travel_as_lines(opening: connector.WriteOpen):
    """A preview tells of records, and a generation notes their keys."""
    host = Host()

    await deliver(host, opening, [numbered(0, 3), numbered(3, 6)])

    assert {one.encoding for one in host.batches} <= {batch.ENCODING_JSON}
