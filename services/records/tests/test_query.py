"""Questions about records: filters, pages, forms, streams."""

import json
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from isthmus.kit import encode_token
from isthmus.records.v1 import records_pb2 as pb
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain.filters import parse_filter

PEOPLE = {
    "ann": {"n": 1, "city": "Bern", "tags": ["a", "b"], "o": {"vip": True, "x.y": 1}},
    "bob": {"n": 2.5, "city": "Basel", "tags": [], "o": {"vip": False}},
    "cid": {"n": 10, "city": None, "tags": ["b", 7]},
    "dan": {"n": "10", "city": "bern"},
}
FILTERS = {
    "": "ann bob cid dan",
    "n = 1": "ann",
    "n = 1.0": "ann",
    "n > 2": "bob cid",
    "n >= 2.5 AND n < 10": "bob",
    'n = "10"': "dan",
    "n != 10": "ann bob dan",
    'city = "Bern"': "ann",
    'city >= "Bb"': "ann dan",
    "city = null": "cid",
    "missing = null": "ann bob cid dan",
    "city != null": "ann bob dan",
    "city:*": "ann bob dan",
    'city:"er"': "ann dan",
    'tags:"b"': "ann cid",
    "tags:7": "cid",
    'tags.0 = "a"': "ann",
    'o:"vip"': "ann bob",
    "o.vip = true": "ann",
    "o.vip = false": "bob",
    'o."x.y" = 1': "ann",
    "NOT o.vip = true": "bob cid dan",
    "-o.vip = true AND n:*": "bob cid dan",
    "n = 1 OR n = 10": "ann cid",
    'n = 1 AND city = "Basel" OR city = "Bern"': "ann",
    '(n = 1 AND city = "Basel") OR city = "bern"': "dan",
    "NOT (n = 1 OR n > 2)": "dan",
    "n = true": "",
    'city = "\' OR 1=1 --"': "",
    'city = "%"': "",
    'city:"_"': "",
}
BROKEN = {
    "n": 2,
    "n =": 4,
    "n = 1 AND": 10,
    "= 1": 1,
    "n == 1": 4,
    "n = 'x'": 5,
    'n = "x': 5,
    "n = 1 2": 7,
    "(n = 1": 7,
    "n = 1)": 6,
    "n < true": 5,
    "n > null": 5,
    "n : null": 5,
    "n = 1e999": 5,
    'n = "\\u0000"': 5,
    'n = "\\ud800"': 5,
    "n = *": 5,
    "a..b = 1": 3,
    "AND = 1": 1,
    "n = 1; DROP TABLE records": 6,
    "(" * 40 + "n = 1" + ")" * 40: 34,
    " AND ".join(["n = 1"] * 101): 1001,
    "x" * 9000: 8193,
}


@pytest.fixture
async def people(hub):
    await hub.put("people", list(PEOPLE.values()), list(PEOPLE))
    return hub


@pytest.mark.parametrize(("text", "expected"), FILTERS.items())
async def test_filter(people, text, expected):
    """
    A filter finds what it says, and counting agrees.
    """
    found = await people.content("people", text)
    counted = await people.records.CountRecords(pb.CountRecordsRequest(stream="people", filter=text))

    assert " ".join(found) == expected
    assert counted.records == len(found)


@pytest.mark.parametrize(("text", "position"), BROKEN.items())
def test_broken_filter_tells_where(text, position):
    """
    A filter that cannot be read is refused with the character at which it breaks.
    """
    with pytest.raises(FixRequest) as caught:
        parse_filter(text)

    assert caught.value.reason == "FILTER_INVALID"
    assert caught.value.metadata["position"] == str(position)


async def test_broken_filter_over_the_wire(hub, refused):
    """
    Query and count refuse a broken filter alike.
    """
    query = hub.records.QueryRecords(pb.QueryRecordsRequest(stream="s", filter="n ="))
    count = hub.records.CountRecords(pb.CountRecordsRequest(stream="s", filter="n ="))

    assert await refused(query) == (grpc.StatusCode.INVALID_ARGUMENT, "FILTER_INVALID")
    assert await refused(count) == (grpc.StatusCode.INVALID_ARGUMENT, "FILTER_INVALID")


_MARKS = [
    ".",
    "(",
    ")",
    "=",
    "!=",
    "<",
    ">=",
    ":",
    "*",
    "-",
    '"',
    "'",
    "\\",
    ";",
    "--",
    "%s",
    ":tenant",
    "%(x)s",
]
_NAMES = [
    "n",
    "city",
    "o",
    "AND",
    "OR",
    "NOT",
    '"Bern"',
    "1",
    "-2.5e3",
    "true",
    "null",
    "0",
    "\0",
    "é",
    "\ud800",
]
_words = st.sampled_from([*_MARKS, *_NAMES])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=30), st.lists(_words, max_size=12).map(" ".join)))
@example(text="n.0.1 = 1")
async def test_any_text_is_a_filter_or_refused(people: Any, text: str):
    """
    Whatever somebody types finds records or is refused with a position; nothing else can happen.
    """
    text = text.encode(errors="replace").decode()
    request = pb.CountRecordsRequest(stream="people", filter=text)
    refusal = None
    try:
        assert 0 <= (await people.records.CountRecords(request)).records <= len(PEOPLE)
    except grpc.aio.AioRpcError as error:
        refusal = error

    assert refusal is None or refusal.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal is None or "at character" in str(refusal.details())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
)
async def test_a_stored_value_is_found_by_its_own_json(hub: Any, value: Any):
    """
    A value written as JSON in a filter finds the record that holds it.
    """
    if isinstance(value, str):
        value = value.encode(errors="replace").decode().replace("\0", "")
    await hub.put("values", [{"v": value}], ["k"])

    assert await hub.content("values", f"v = {json.dumps(value)}") == {"k": {"v": value}}


async def test_pages_follow_the_keys(hub):
    """
    Pages give every record once, in the order of the keys.
    """
    await hub.put("rows", [{"n": n} for n in range(25)], [f"k{n:02}" for n in range(25)])
    keys, token = [], ""
    for _ in range(3):
        request = pb.QueryRecordsRequest(stream="rows", page_size=10, page_token=token)
        page = await hub.records.QueryRecords(request)
        keys, token = [*keys, *(record.key for record in page.records)], page.next_page_token

    assert keys == [f"k{n:02}" for n in range(25)]
    assert token == ""


async def test_pages_of_keys_that_no_token_could_hold(hub):
    """
    Composite keys, keys with control characters and keys of 2 KB page like all others.
    """
    keys = sorted(
        ["a\x1f1", "a\x1f2", "b\n", "d\u2028", *("e" + mark * 682 for mark in "\u4e00\u4e01\u4e02")]
    )
    await hub.put("rows", [{"n": n} for n in range(len(keys))], keys)
    found, token = [], None
    while token != "":
        request = pb.QueryRecordsRequest(stream="rows", page_size=1, page_token=token or "")
        page = await hub.records.QueryRecords(request)
        found, token = [*found, *(record.key for record in page.records)], page.next_page_token

    assert found == keys


async def test_pages_hold_while_others_write(hub):
    """
    Records that come and go between pages neither repeat nor hide the others.
    """
    await hub.put("rows", [{"n": n} for n in range(20)], [f"k{n:02}" for n in range(20)])
    first = await hub.records.QueryRecords(pb.QueryRecordsRequest(stream="rows", page_size=10))
    await hub.put("rows", [{}, b"", {"n": 99}], ["a", "k03", "k15"], operations=[1, 3, 1])
    request = pb.QueryRecordsRequest(stream="rows", page_size=100, page_token=first.next_page_token)
    second = await hub.records.QueryRecords(request)

    assert [record.key for record in second.records] == [f"k{n:02}" for n in range(10, 20)]


async def test_large_records_end_a_page_early(hub):
    """
    A page that would not fit into one message ends before, and the next one goes on.
    """
    for n in range(8):
        await hub.put("rows", [{"text": "x" * 900_000}], [f"k{n}"])
    keys, token = [], None
    while token != "":
        request = pb.QueryRecordsRequest(stream="rows", page_size=100, page_token=token or "")
        page = await hub.records.QueryRecords(request)
        keys, token = [*keys, *(record.key for record in page.records)], page.next_page_token

    assert keys == [f"k{n}" for n in range(8)]


async def test_foreign_page_token(hub, refused):
    """
    A token of another list, or none at all, is refused.
    """
    await hub.put("a", [{}], ["k"])
    await hub.put("b", [{}], ["k"])
    streams = await hub.records.ListStreams(pb.ListStreamsRequest(page_size=1))
    for token in ("x", streams.next_page_token, encode_token({"key": "?"}), encode_token({"key": "_w=="})):
        call = hub.records.QueryRecords(pb.QueryRecordsRequest(stream="a", page_token=token))
        assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize("number", ["x", None, 1.5])
async def test_made_up_page_token(hub, refused, number):
    """
    A token that somebody put together is refused by every list that pages by a number.
    """
    await hub.put("rows", [{}], ["k"])
    token = encode_token({"version": number})
    versions = pb.ListRecordVersionsRequest(stream="rows", key="k", page_token=token)
    waiting = pb.ListQuarantineRequest(page_token=encode_token({"position": number}))
    for call in (hub.records.ListRecordVersions(versions), hub.records.ListQuarantine(waiting)):
        assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_earlier_form_of_a_record(hub):
    """
    A record can be read in every form it has had; version 0 is the present one.
    """
    for n in range(3):
        await hub.put("rows", [{"n": n}], ["k"])
    forms = [
        (await hub.records.GetRecord(pb.GetRecordRequest(stream="rows", key="k", version=version))).record
        for version in (0, 1, 2, 3)
    ]

    assert [(form.version, json.loads(form.data)["n"]) for form in forms] == [(3, 2), (1, 0), (2, 1), (3, 2)]


async def test_versions_in_pages(hub):
    """
    The forms of a record come newest first, page by page.
    """
    for n in range(5):
        await hub.put("rows", [{"n": n}], ["k"])
    request = pb.ListRecordVersionsRequest(stream="rows", key="k", page_size=3)
    first = await hub.records.ListRecordVersions(request)
    request.page_token = first.next_page_token
    second = await hub.records.ListRecordVersions(request)

    versions = [form.version for form in (*first.versions, *second.versions)]
    assert (versions, second.next_page_token) == ([5, 4, 3, 2, 1], "")


async def test_unknown_record(hub, refused):
    """
    A record or version that never was is named as such.
    """
    await hub.put("rows", [{"n": 1}], ["k"])
    for key, version in (("none", 0), ("k", 2)):
        call = hub.records.GetRecord(pb.GetRecordRequest(stream="rows", key=key, version=version))
        assert await refused(call) == (grpc.StatusCode.NOT_FOUND, "RECORD_UNKNOWN")
    call = hub.records.ListRecordVersions(pb.ListRecordVersionsRequest(stream="rows", key="none"))
    assert await refused(call) == (grpc.StatusCode.NOT_FOUND, "RECORD_UNKNOWN")


async def test_streams_count_their_records(hub):
    """
    The count of a stream follows creations, deletions and returns.
    """
    await hub.put("b", [{}, {}, {}], ["1", "2", "3"])
    await hub.put("b", [b"", {}], ["1", "4"], operations=[3, 1])
    await hub.put("a", [{}], ["1"])
    page = await hub.records.ListStreams(pb.ListStreamsRequest())

    assert [(stream.stream, stream.records) for stream in page.streams] == [("a", 1), ("b", 3)]
