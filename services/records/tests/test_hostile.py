"""Records that somebody made to hurt: each is rejected with its reason, and never fails its batch."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
HOSTILE = {
    "nul escape": (b'{"a": "x\\u0000y"}', "CHARACTER_UNSTORABLE"),
    "nul in a name": (b'{"a\\u0000": 1}', "CHARACTER_UNSTORABLE"),
    "nul byte": (b'{"a": "x\0y"}', "JSON_INVALID"),
    "high surrogate": (b'{"a": "\\ud800"}', "JSON_INVALID"),
    "low surrogate": (b'{"a": "\\uDC00x"}', "JSON_INVALID"),
    "surrogates reversed": (b'{"a": "\\udc00\\ud800"}', "JSON_INVALID"),
    "huge number": (b'{"a": 1e999999}', "NUMBER_OUT_OF_RANGE"),
    "tiny number": (b'{"a": 1E-99999}', "NUMBER_OUT_OF_RANGE"),
    "long number": (b'{"a": ' + b"9" * 140_000 + b"}", "NUMBER_OUT_OF_RANGE"),
    "long fraction": (b'{"a": 0.' + b"1" * 12_000 + b"e-9999}", "NUMBER_OUT_OF_RANGE"),
    "deep objects": (DEEP, "JSON_TOO_DEEP"),
    "deep arrays": (b'{"a":' + b"[" * 400_000 + b"}", "JSON_TOO_DEEP"),
    "not a number": (b'{"a": NaN}', "JSON_INVALID"),
    "infinity": (b'{"a": -Infinity}', "JSON_INVALID"),
    "no utf-8": (b'{"a": "\xff\xfe"}', "ENCODING_INVALID"),
    "overlong utf-8": (b'{"a": "\xc0\xaf"}', "ENCODING_INVALID"),
    "surrogate in utf-8": (b'{"a": "\xed\xa0\x80"}', "ENCODING_INVALID"),
    "half a character": (b'{"a": "\xc3', "ENCODING_INVALID"),
    "array": (b"[1]", "JSON_NOT_AN_OBJECT"),
    "text": (b'"{}"', "JSON_NOT_AN_OBJECT"),
    "nothing": (b"", "JSON_NOT_AN_OBJECT"),
    "html": (b"<html>", "JSON_NOT_AN_OBJECT"),
    "truncated": (b'{"a": [1, 2', "JSON_INVALID"),
    "two documents": (b'{"a": 1}{"b": 2}', "JSON_INVALID"),
    "comment": (b'{"a": 1 /* x */}', "JSON_INVALID"),
    "single quotes": (b"{'a': 1}", "JSON_INVALID"),
    "control character": (b'{"a": "x\ny"}', "JSON_INVALID"),
    "byte order mark": (b'\xef\xbb\xbf{"a": 1}', "JSON_NOT_AN_OBJECT"),
}
HARMLESS = {
    "escaped backslash before u0000": b'{"a": "\\\\u0000"}',
    "proper surrogates": b'{"a": "\\ud83d\\ude00"}',
    "digest that looks like a number": b'{"sha": "0e123456789012345e12345"}',
    "large exponent": b'{"a": 1e300, "b": 1E-300}',
    "many digits": b'{"a": 1.' + b"7" * 5000 + b"}",
    "repeated member": b'{"a": 1, "a": 2}',
    "line break between members": b'{"a": 1,\n\t"b": 2}\n',
    "many brackets in a text": b'{"a": "' + b"[{" * 5000 + b'"}',
    "500 levels": b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
    "empty": b"{}",
    "sql": b'{"a": "\'); DROP TABLE records; --"}',
}


async def test_hostile_records_are_rejected_one_by_one(hub):
    """
    A batch of nothing but traps between good records stores the good ones and names each trap.
    """
    stream, traps = await hub.open("rows"), list(HOSTILE.items())
    told: dict[str, str] = {}
    for name, (record, _) in traps:
        ack = await stream.put([{"before": name}, record, {"after": name}], [f"{name}1", name, f"{name}2"])
        assert ack.created == 2, name
        told[name] = " ".join(one.reason for one in ack.outcomes if one.index == 1 and one.message)

    assert told == {name: reason for name, (_, reason) in traps}
    assert len(await hub.content("rows")) == 2 * len(traps)


async def test_harmless_records_are_stored(hub):
    """
    What only looks dangerous is stored as it came.
    """
    ack = await hub.put("rows", list(HARMLESS.values()), list(HARMLESS))

    assert (ack.created, list(ack.outcomes)) == (len(HARMLESS), [])
    assert {record.key: record.data.encode() for record in await hub.query("rows")} == HARMLESS


async def test_unusable_keys_are_rejected(hub):
    """
    A key that is empty, longer than 2 KB or holds a NUL costs its record only.
    """
    ack = await hub.put("rows", [{"n": n} for n in range(4)], ["ok", "", "k" * 2049, "a\0b"])

    told = [(one.index, one.reason) for one in ack.outcomes]
    assert told == [(1, "KEY_MISSING"), (2, "KEY_TOO_LONG"), (3, "KEY_INVALID")]
    assert list(await hub.content("rows")) == ["ok"]


async def test_longest_key_fits(hub):
    """
    A key of 2,048 bytes that does not compress can be stored, read and found again.
    """
    key = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(682))
    await hub.put("s" * 255, [{"n": 1}], [key])
    ack = await hub.put("s" * 255, [{"n": 2}], [key])

    assert ack.updated == 1


async def test_patch_with_broken_json_is_rejected(hub):
    """
    A patch that cannot be read leaves the record as it is.
    """
    await hub.put("rows", [{"n": 1}], ["a"])
    ack = await hub.put("rows", [b'{"n": '], ["a"], operations=[2])

    assert [one.reason for one in ack.outcomes] == ["JSON_INVALID"]
    assert await hub.content("rows") == {"a": {"n": 1}}


async def test_patch_may_not_grow_a_record_without_end(hub):
    """
    A record that patches would make larger than a batch is left as it is.
    """
    await hub.put("rows", [{"a": "x" * 900_000}], ["k"])
    ack = await hub.put("rows", [{"b": "x" * 900_000}], ["k"], operations=[2])

    assert [one.reason for one in ack.outcomes] == ["RECORD_TOO_LARGE"]


_MARKS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b":",
    b",",
    b"-",
    b"0",
    b" ",
    b"\0",
    b"\n",
    b"[[[[[[",
    b"]]]]]]",
]
_WORDS = [
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"1e99999",
    b"9" * 5000,
    b"\xff",
    b"\xc3\xa9",
    b"null",
    b'"a"',
    b"NaN",
]
_pieces = st.sampled_from([*_MARKS, *_WORDS])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_records = st.one_of(
    st.binary(max_size=40),
    st.lists(_pieces, max_size=12).map(lambda parts: b'{"a": ' + b"".join(parts) + b"}"),
    st.dictionaries(st.text(), _json, max_size=4).map(lambda record: json.dumps(record).encode()),
    st.dictionaries(st.text(), _json, max_size=4).map(
        lambda record: json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(_records, min_size=1, max_size=6))
async def test_whatever_comes_never_fails_its_batch(hub: Any, records: list[bytes]):
    """
    Any bytes are stored or rejected, the counts add up, and what is stored PostgreSQL can read.
    """
    keys = [f"k{n}" for n in range(len(records))]
    ack = await hub.put("any", records, keys)

    assert ack.created + ack.updated + ack.unchanged + len(ack.outcomes) == len(records)
    hub.sql(f"SELECT count(data::jsonb::text) FROM records.records WHERE tenant_id = '{hub.tenant}'")
