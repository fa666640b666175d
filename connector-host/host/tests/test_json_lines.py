"""Mapped records travel as lines of JSON to who takes them: the same bytes, in one text."""

from typing import Any

import msgspec
import pytest
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits, Piece, Unit, request_of
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
            {"target": "rest", "source": "rest", "nulls": "keep"},
        ],
    }
)
LINES = Limits(1000, 1024 * 1024, takes_json_lines=True)


def page_of(*records: dict[str, Any]) -> SourcePage:
    """Decode records into the shape that the mapping reads, as a source does."""
    typed = PLAN.typed(["id"])
    assert typed is not None
    raw = msgspec.json.encode(records)
    kind: Any = list[typed.record_type]  # type: ignore[name-defined]
    shaped = ShapedRecords(msgspec.json.decode(raw, type=kind), typed, raw, "")
    return SourcePage(shaped, [record["id"] for record in records], position=batch.Position(state=b"x"))


def numbered(first: int, last: int) -> SourcePage:
    """A page of usual records."""
    return page_of(*({"id": f"n{number}", "kind": "a", "rest": [number]} for number in range(first, last)))


def pieces_of(page: SourcePage, limits: Limits = LINES, key: tuple[str, ...] = ("id",)) -> list[Piece]:
    """Map a page."""
    return list(PageMapper(PLAN, key).pieces(page, "p", limits))


@pytest.mark.parametrize("key", [("id",), ()], ids=["key of the flow", "key of the source"])
def test_lines_hold_the_same_records_as_json(key: tuple[str, ...]):
    """Whoever needs single records gets the very bytes and keys that the other way gives."""
    odd = [
        {"id": "1", "kind": "left out", "rest": 1},
        {"id": "2", "kind": '\n\\"é', "rest": {"deep": [1.5, None, "\n"]}},
        {"id": "3", "kind": None, "rest": 1e300},
    ]

    (lines,) = pieces_of(page_of(*odd), LINES, key)
    (json,) = pieces_of(page_of(*odd), Limits(), key)

    assert lines.lines is not None
    assert not lines.records
    same = lines.as_json()
    assert (same.records, same.keys, same.size) == (json.records, json.keys, json.size)
    assert list(same.sources) == list(json.sources) == odd[1:]
    assert (same.read, same.filtered, list(same.source_keys)) == (json.read, json.filtered, json.source_keys)


def test_a_batch_of_lines_is_one_text():
    """The lines of several pages follow one another, and so do their keys."""
    mapper = PageMapper(PLAN, ("id",))
    pieces = [piece for page in (numbered(0, 2), numbered(2, 3)) for piece in mapper.pieces(page, "p", LINES)]

    request = request_of(pieces, 7)

    assert request is not None
    one = request.batch
    assert (one.encoding, one.line_count, one.key_lines) == (batch.ENCODING_JSON_LINES, 3, "n0\nn1\nn2\n")
    assert list(one.records) == [
        b"".join(b'{"id":"n%d","kind":"a","rest":[%d]}\n' % (number, number) for number in range(3))
    ]


def test_lines_are_cut_to_the_limits_of_a_batch():
    """Each part has its own records, keys and sources, in order."""
    (piece,) = pieces_of(numbered(0, 30))

    parts = piece.split(Limits(4, 10**6, takes_json_lines=True))

    assert [part.count for part in parts] == [4] * 7 + [2]
    assert [key for part in parts for key in part.as_json().keys] == [f"n{n}" for n in range(30)]
    assert [source["id"] for part in parts for source in part.sources] == [f"n{n}" for n in range(30)]


@pytest.mark.parametrize(
    "records",
    [
        [{"id": "a\nb", "kind": "a", "rest": 1}],
        [{"id": "1", "kind": "a", "rest": "x" * 300}, {"id": "2", "kind": "a", "rest": 1}],
    ],
    ids=["line feed in a key", "larger than a batch"],
)
def test_what_lines_cannot_say_goes_one_by_one(records: list[dict[str, Any]]):
    """It ends as it would if lines were not taken."""
    limits = Limits(1000, 200, takes_json_lines=True)

    (piece,) = pieces_of(page_of(*records), limits)

    (json,) = pieces_of(page_of(*records), Limits(1000, 200))
    assert piece.lines is None
    assert (piece.records, piece.keys, len(piece.rejects)) == (json.records, json.keys, len(json.rejects))


def test_lines_become_single_records_for_a_host_that_does_not_take_them():
    """A batch keeps its number, whoever gets it."""
    (piece,) = pieces_of(numbered(0, 3))
    unit = Unit([piece], 7, request_of([piece], 7))

    unit.fit(LINES)
    assert unit.batch is not None
    assert unit.batch.encoding == batch.ENCODING_JSON_LINES
    unit.fit(Limits(takes_lines=True))

    assert (unit.batch.encoding, unit.batch.sequence, list(unit.batch.keys)) == (
        batch.ENCODING_JSON,
        7,
        ["n0", "n1", "n2"],
    )
    assert list(unit.batch.records) == piece.as_json().records
