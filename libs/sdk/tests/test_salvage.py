"""Pages with records that cannot be read among good ones."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.sdk import Api, Connector, DataFailure, Page, source
from isthmus.sdk.api import NextLink, Offset, PageNumber
from isthmus.sdk.runtime import ReadMode, Session
from isthmus.sdk.salvage import decode_readable
from pydantic import BaseModel, HttpUrl

TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | st.sampled_from(['"},{"', "\\", "]"])
)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
TROUBLE = st.sampled_from(
    [
        rb'"\ud800"',
        rb'"a\udfffb"',
        b"1e999999",
        b"-1e999999",
        b"NaN",
        b'"M\xfcller"',
        b'"\xff]},{["',
        b'"a\x00b"',
        b'"\\x"',
        b'{"k":1,"k":2}',
        b'{"k":1,"\\u006b":2}',
        b"[" * 3000 + b"]" * 3000,
    ]
)
SPELLINGS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.none() | st.integers(0, 2),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : "), (",\n", "\t:")]),
    }
)


@st.composite
def good(draw):
    """A record that can be read."""
    return json.dumps(draw(st.dictionaries(TEXTS, TREES, max_size=4)), **draw(SPELLINGS)).encode()


@st.composite
def bad(draw):
    """A record that cannot, somewhere deep inside."""
    record = {"before": draw(TREES), "deep": [1, {"here": "TROUBLE"}], "behind": draw(TREES)}
    return json.dumps(record, **draw(SPELLINGS)).encode().replace(b'"TROUBLE"', draw(TROUBLE))


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RECORDS = st.lists(st.tuples(st.just(True), good()) | st.tuples(st.just(False), bad()), max_size=12)


def parted(records):
    return [raw for is_good, raw in records if is_good], [raw for is_good, raw in records if not is_good]


@patient
@given(RECORDS, st.sampled_from([b",", b" ,\r\n", b", "]))
def test_exactly_the_bad_records_are_put_aside(records, comma):
    """
    Whatever a page holds, the good records are read, and the bad ones are kept byte for byte.
    """
    kept, aside = parted(records)
    page = b'{"a": {"items": [ ' + comma.join(raw for _, raw in records) + b' ], "n": 1}, "next": null}'

    body, unread = decode_readable(page, "x", "a.items")

    assert body == {"a": {"items": [json.loads(raw) for raw in kept], "n": 1}, "next": None}
    assert [one.reject.record for one in unread] == aside
    assert [one.place for one in unread] == [n for n, (is_good, _) in enumerate(records, 1) if not is_good]
    assert all(one.reject.reason.startswith("RECORD_") and "deep.1.here" in one.reject.path
               for one in unread if one.reject.reason != "RECORD_TOO_DEEP")  # fmt: skip


@patient
@given(
    st.lists(st.tuples(st.just(True), good()) | st.tuples(st.just(False), bad()), max_size=6), st.booleans()
)
def test_maps_and_plain_lists_are_parted_too(records, is_map):
    """
    The records may be the document itself, by name or by number.
    """
    kept, aside = parted(records)
    items = [b'"n%d" : %b' % (n, raw) if is_map else raw for n, (_, raw) in enumerate(records)]
    page = (b"{%b}" if is_map else b"[%b]") % b",".join(items)

    body, unread = decode_readable(page, "x", "", "map" if is_map else "list")

    assert list(body.values() if is_map else body) == [json.loads(raw) for raw in kept]
    assert [one.reject.record for one in unread] == aside


@patient
@given(
    st.binary(max_size=60),
    st.sampled_from(["list", "map", "object", "any"]),
    st.sampled_from(["", "a", None]),
)
def test_any_bytes_are_parted_or_a_data_failure(raw, shape, path):
    """
    Nothing else can come out, and what is put aside stands in the page.
    """
    for page in (raw, b'{"a":[1,' + raw + b"]}", b"[" + raw + b"]", b'{"a":' + raw + b"}"):
        try:
            _, unread = decode_readable(page, "x", path, shape)
        except DataFailure:
            continue
        assert all(one.reject.record in page for one in unread)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b'{"items": [{"id": 1}, {"id": 1e999999}', "ANSWER_NOT_JSON"),
        (b'{"items": [{"id": "a"b"}, {"id": "c"d"}, {"id": 1}]}', "ANSWER_NOT_JSON"),
        (b'{"items": [{"id": 1} {"id": 2}]}', "ANSWER_NOT_JSON"),
        (b'{"items": [{"id": 1}], "next": "\xff"}', "ANSWER_NOT_UTF8"),
        (b'{"items": [{"id": 1}], "items": []}', "ANSWER_DUPLICATE_KEYS"),
        (b"<html>[]</html>", "ANSWER_IS_HTML"),
    ],
)
def test_broken_framing_fails_the_page(page, reason):
    """
    Where nobody can tell the records apart, or the trouble is outside of them, nothing is guessed.
    """
    with pytest.raises(DataFailure) as raised:
        decode_readable(page, "x", "items")

    assert raised.value.reason in {reason, "ANSWER_TRUNCATED"}


def test_parts_of_a_single_object_are_no_records():
    """
    A record that is the body itself loses none of its lists' elements; it is put aside whole.
    """
    page = b'{"id": 1, "tags": ["a", "\\ud800"]}'

    with pytest.raises(DataFailure):
        decode_readable(page, "x")
    body, (one,) = decode_readable(page, "x", "", "object")

    assert (body, one.reject.record, one.reject.path) == (None, page, "tags.1")


class Settings(BaseModel):
    url: HttpUrl


class Vendor(Connector[Settings]):
    """A system with bad records."""

    connector_id = "vendor"

    @source(key="id")
    async def offset(self):
        """By offset."""
        async for body in Api(self.settings.url).pages("/items", follow=Offset(size=2, records="items")):
            yield Page(body["items"])

    @source(key="id")
    async def number(self):
        """By number."""
        async for body in Api(self.settings.url).pages("/items", follow=PageNumber(records="items")):
            yield Page(body["items"])

    @source(key="id")
    async def link(self):
        """By link, and only pages with something in them are given."""
        async for body in Api(self.settings.url).pages("/items", follow=NextLink(), records="items"):
            if body["items"]:
                yield Page(body["items"])


@pytest.mark.parametrize("stream", ["offset", "number", "link"])
async def test_paging_goes_on_behind_pages_that_nobody_can_read(server, stream):
    """
    Bad records count as records, and go with the next page of the reading, or with a last one.
    """
    bad = [
        b'{"id": 1e999999}',
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b'{"id": NaN}',
        b'{"id": 7, "id": 8}',
    ]
    items = [b'{"id": 0}', *bad[:3], b'{"id": 4}', b'{"id": 5}', *bad[3:]]
    asked = {
        "offset": lambda query: int(query.get("offset", 0)),
        "number": lambda query: 2 * int(query["page"]) - 2,
    }

    def answer(request):
        start = asked.get(stream, lambda query: int(query.get("at", 0)))(request.query)
        follows = b'"/items?at=%d"' % (start + 2) if start < 6 else b"null"
        return b'{"items": [%b], "next": %b}' % (b",".join(items[start : start + 2]), follows)

    server.on("/items", answer)
    async with Session(Vendor, {"url": server.url}) as session:
        pages = [page async for page in await session.read(stream, mode=ReadMode.FULL)]

    assert [record["id"] for page in pages for record in page.records] == [0, 4, 5]
    assert [one.record for page in pages for one in page.rejected] == bad
    assert pages[-1].position.state["done"]
