"""Records decoded into structs end as they do when they are read as dictionaries."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.connectors.http_json import HttpJson
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits, Piece
from isthmus.host.local import LocalReading
from isthmus.mapper import compile_mapping
from isthmus.sdk.runtime import Session, ShapedRecords

FIELDS = [
    {"target": "id", "source": "id"},
    {"target": "title", "template": "{number}: {title}"},
    {"target": "owner", "source": "owner.name"},
    {"target": "state", "source": "state", "table": "state"},
    {"target": "tags", "source": "tags", "steps": [{"join": ", "}], "nulls": "keep"},
    {"target": "since", "source": "since", "cast": "timestamp"},
]
TABLES = {"state": {"entries": {"1": "new", "2": "closed"}}}
PLAN = compile_mapping(
    {
        "version": "isthmus/v1",
        "transformations": {"tables": TABLES, "where": {"path": "state", "not_equals": "9"}},
        "field_mappings": FIELDS,
    }
)
KEYS = st.sampled_from(["a", "b", "ü", "印", "", "a\u001fb", 7, 7.0, 2**70, True, None, ["a"], {"x": 1}])
TEXTS = st.sampled_from(
    ["plain", 'a ":', 'say \\"hi\\"', "Zürich\u2028", "x" * 300, ": :", "😀", "\\", "\\u003a"]
)
ODD = st.sampled_from([None, 1, "text", [], {}, ["a", 1], {"name": {"deep": 1}}, 1e300])


def record(number: int) -> dict[str, Any]:
    """A record that has everything and maps."""
    return {
        "id": f"id-{number}",
        "number": f"N{number}",
        "title": "Disk full",
        "owner": {"name": "Ada", "phone": None},
        "state": "1",
        "tags": ["a", "b"],
        "since": f"2026-01-{number % 28 + 1:02} 10:00:00",
        "note": {"text": "nobody reads this"},
    }


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("id"), KEYS),
        st.tuples(st.sampled_from(["title", "number", "note"]), TEXTS),
        st.tuples(st.sampled_from(["owner", "state", "tags", "since", "number", "title", "note"]), ODD),
        st.tuples(st.sampled_from(["state"]), st.sampled_from(["2", "9", "unknown"])),
        st.tuples(
            st.sampled_from(["since"]), st.sampled_from(["2026-01-01T00:00:00Z", "2025-12-31", "never"])
        ),
        st.tuples(st.sampled_from(["@removed"]), st.sampled_from([None, {"reason": "changed"}])),
    ),
    max_size=2,
)
MISSING = st.sampled_from(["id", "title", "owner", "state", "note", "since"])
SPELLINGS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.none() | st.just(1),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    }
)


@st.composite
def changed_records(draw: Any) -> list[str]:
    """Records of which some are odd, each in a spelling of its own or all in one."""
    one = draw(SPELLINGS)
    spelling = st.just(one) if draw(st.booleans()) else SPELLINGS
    texts = []
    for number in range(draw(st.integers(0, 6))):
        changed = {**record(number), **dict(draw(CHANGES))}
        if draw(st.integers(0, 5)) == 0:
            changed.pop(draw(MISSING), None)
        texts.append(json.dumps(changed, **draw(spelling)))
    return texts


EVEN = {
    "id": st.sampled_from(["a", "b", "ü", "印", 7, 7, True, "a\u001fb", 2**70]),
    "title": st.sampled_from(["plain", "Zürich", "x" * 300, "\\", 'a "', 1, 1.0, None, "😀"]),
    "owner": st.builds(lambda name: {"name": name, "phone": 1}, ODD),
    "state": st.sampled_from(["1", "2", "9", "unknown", None]),
    "tags": st.sampled_from([["a"], [], None, "text", [1, None]]),
    "since": st.sampled_from(["2026-01-01 10:00:00", "2026-01-01T00:00:00Z", "2025-12-31", "never", None, 3]),
    "note": st.builds(lambda text: {"text": text}, ODD),
}


@st.composite
def even_records(draw: Any) -> list[str]:
    """Records with the same members, whatever is in them."""
    texts = []
    for number in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from([*EVEN, ""]))
        texts.append(json.dumps({**record(number), **({name: draw(EVEN[name])} if name else {})}))
    return texts


@st.composite
def damaged_records(draw: Any) -> list[str]:
    """Records of one form, of which some have a name twice or something that cannot be read."""
    texts = []
    for number in range(draw(st.integers(1, 6))):
        text = json.dumps(record(number))
        damage = draw(
            st.sampled_from(["", "", '"note": 1, ', '"id": "x", ', '"\\u0069d": "x", ', "NaN", "\\ud800"])
        )
        if damage in {"NaN", "\\ud800"}:
            text = text.replace('"Disk full"', damage if damage == "NaN" else f'"{damage}"')
        elif damage:
            text = "{" + damage + text[1:]
        texts.append(text)
    return texts


ENVELOPES = st.sampled_from(
    [
        ("", "%s"),
        ("items", '{"next": null, "items": %s, "total": 3}'),
        ("data.items", '{"data": {"items": %s, "more": false}, "links": [{"self": "x"}]}'),
        ("a.b", '{"a.b": %s, "a": {"b": []}}'),
        ("items", '{"items": [], "items": %s}'),
        ("items", '{"meta": {"a": 1, "a": 2}, "items": %s}'),
        ("items", '\ufeff{"items": %s}'),
    ]
)
patient = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


async def pieces_of(
    path: str, *pages: bytes, mapper: PageMapper, shaped: bool, limits: Limits | None = None
) -> tuple[Any, bool]:
    """What becomes of pages: all that is told of each piece, and whether the last one came as structs."""
    left, end = list(pages), b"{}" if path else b"[]"
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=left.pop(0) if left else end))
    stream = {
        **{"name": "s", "path": "/s", "records_path": path, "key": ["id"], "cursor": {"field": "since"}},
        **{"paging": {"kind": "offset"}, "records_optional": True},
    }
    configuration = {"base_url": "http://acme.example", "streams": [stream]}
    seen: list[Any] = []
    met = False
    async with Session(HttpJson, configuration, transport=transport) as session:
        reading = await session.read("s", shaper=mapper.shaper if shaped else None)
        try:
            async for found in LocalReading(reading):
                met = isinstance(found.records, ShapedRecords) if found.records else met
                pieces = mapper.pieces(found, "p", limits or Limits(4, 900))
                seen += [told(piece.as_json()) for piece in pieces]
        except Exception as error:
            seen.append((type(error), str(error)))
        finally:
            await reading.aclose()
    return seen, met


def told(piece: Piece) -> Any:
    """Everything about a piece, in a form that tells 1 from 1.0."""
    position = piece.position.SerializeToString() if piece.position is not None else None
    return (
        *(piece.read, piece.filtered, piece.records, piece.keys, piece.operations, piece.size, position),
        *(
            json.dumps(list(piece.sources), default=repr),
            list(piece.source_keys),
            repr(piece.rejects),
            piece.boundary,
        ),
    )


@patient
@given(
    st.integers(0, 4).flatmap(lambda one: st.just([json.dumps(record(-1))]) if one else changed_records()),
    st.integers(0, 3).flatmap(
        lambda one: [changed_records, damaged_records, even_records, even_records][one]()
    ),
    ENVELOPES,
    st.sampled_from([(), ("id",), ("id", "owner")]),
)
async def test_structs_and_dictionaries_end_alike(
    before: list[str], texts: list[str], envelope: tuple[str, str], destination_key: tuple[str, ...]
) -> None:
    """Whatever a page holds, the same is sent, rejected, left out and counted."""
    path, around = envelope
    pages = [
        (around % f"[{', '.join(records)}]").encode(errors="surrogatepass") for records in (before, texts)
    ]
    mapper = PageMapper(PLAN, destination_key)

    by_struct, _ = await pieces_of(path, *pages, mapper=mapper, shaped=True)

    by_dictionary, _ = await pieces_of(path, *pages, mapper=mapper, shaped=False)
    assert by_struct == by_dictionary


@patient
@given(
    st.lists(
        st.integers(0, 3).flatmap(lambda one: [changed_records, *[even_records] * 3][one]()), max_size=3
    ),
    st.sampled_from([("id",), ("id", "owner")]),
    st.sampled_from(["takes_lines", "takes_json_lines"]),
)
async def test_lines_and_dictionaries_end_alike(
    several: list[list[str]], destination_key: tuple[str, ...], form: str
) -> None:
    """What travels as lines stands for what would be sent, and the rest is told of alike."""
    pages = [f"[{', '.join(texts)}]".encode(errors="surrogatepass") for texts in several]
    mapper = PageMapper(PLAN, destination_key)

    limits = Limits(4, 10**6, **{form: True})
    by_lines, _ = await pieces_of("", *pages, mapper=mapper, shaped=True, limits=limits)

    by_dictionary, _ = await pieces_of("", *pages, mapper=mapper, shaped=False, limits=Limits(4, 10**6))
    assert by_lines == by_dictionary


@pytest.mark.parametrize("path", ["", "items", "data.items"])
async def test_even_pages_are_decoded_into_structs(path: str) -> None:
    """Null differs from missing, texts may hold anything, and fields that nobody reads have any value."""
    records: Any = [record(number) for number in range(5)]
    records[1]["owner"]["name"] = records[2]["since"] = None
    records[3]["title"], records[4]["note"]["text"] = 'Zürich: "quoted" \\', 1e300
    for name in reversed(path.split(".") if path else []):
        records = {name: records, "more": {"x": 1}}

    raw, mapper = json.dumps(records).encode(), PageMapper(PLAN, ("id",))

    pieces, met = await pieces_of(path, raw, raw, mapper=mapper, shaped=True)

    assert met
    assert [piece[0] for piece in pieces] == [4, 1, 4, 1, 0, 0]


def _first(**change: Any) -> list[dict[str, Any]]:
    return [record(0), {**record(1), **change}, record(2)]


@pytest.mark.parametrize(
    "page",
    [
        json.dumps(_first(more=1)),
        json.dumps([{key: value for key, value in one.items() if key != "title"} for one in _first()]),
        json.dumps(_first(owner="text")),
        json.dumps(_first(id="")),
        json.dumps(_first(**{"@removed": {}})),
        json.dumps(_first()).replace('"note"', '"id": 1, "note"', 1),
        json.dumps(_first()).replace(": ", " : "),
        json.dumps(_first()).replace("nobody", "\xff"),
    ],
    ids=["more names", "missing", "another kind", "no key", "removed", "twice", "spaces", "not UTF-8"],
)
async def test_odd_pages_are_read_as_dictionaries(page: str) -> None:
    """Where there is any doubt, each record is looked at with care."""
    raw = page.encode("latin-1")

    _, met = await pieces_of("", raw, mapper=PageMapper(PLAN, ("id",)), shaped=True)

    assert not met


async def test_numbers_that_nobody_reads_may_be_out_of_range() -> None:
    """What cannot be read and is not wanted is in nobody's way; put aside, the record is kept as it came."""
    text = json.dumps(_first(since="never"))
    page = "1e999".join(text.rsplit('"nobody reads this"', 2)).encode()

    pieces, met = await pieces_of("", page, mapper=PageMapper(PLAN, ("id",)), shaped=True)

    assert met
    assert [piece[3] for piece in pieces if piece[0]] == [["id-0", "id-2"]]
    assert "1e999" in pieces[0][9]


async def test_what_is_around_the_records_may_change() -> None:
    """Members come and go from page to page, and a page that brings a name twice is looked at with care."""
    items = json.dumps(_first())
    pages = [
        f'{{"next": "x", "items": {items}}}',
        f'{{"items": {items}, "total": {{"a": 1}}, "next": null}}',
        f'{{"items": {items}}}',
    ]
    twice = f'{{"items": {items}, "next": {{"a": 1, "a": 2}}}}'
    mapper = PageMapper(PLAN, ("id",))

    pieces, met = await pieces_of("items", *map(str.encode, pages), mapper=mapper, shaped=True)
    refused, _ = await pieces_of("items", *map(str.encode, [*pages, twice]), mapper=mapper, shaped=True)

    assert met
    assert [piece[0] for piece in pieces] == [3, 3, 3, 0, 0]
    assert "twice in one object" in refused[-1][1]
