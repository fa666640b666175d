"""Points in time come out in one form, whichever way they took."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isthmus.mapper import RecordRejected, compile_mapping
from isthmus.mapper.errors import Refusal
from isthmus.mapper.times import day_of, moment_of, rfc3339, timestamp_text

PLANS = {
    cast: compile_mapping(
        {"version": "isthmus/v1", "field_mappings": [{"target": "at", "source": "at", "cast": cast}]}
    )
    for cast in ("timestamp", "date")
}

numbers = st.integers(0, 61).map("{:02}".format)
dates = st.dates().map(str) | st.sampled_from(
    ["2026-W01-1", "2026W011", "20260131", "2026-02-30", "0001-01-01"]
)
marks = st.sampled_from([" ", "T", "t", "  ", "_", "é"])
times = st.one_of(
    st.times().map(str),
    st.times().map(lambda time: f"{time:%H:%M:%S}"),
    st.builds("{}:{}:{}".format, numbers, numbers, numbers),
    st.builds("{}{}{}".format, numbers, numbers, numbers),
    st.builds("{}:{}".format, numbers, numbers),
    numbers,
)
fractions = st.sampled_from(
    ["", "", "", ".", ".0", ".000", ".5", ".120", ".000000", ".123456", ".123456789", ",5"]
)
offsets = st.sampled_from(
    [
        "",
        "",
        "Z",
        "Z",
        "z",
        "+00:00",
        "-00:00",
        "+02:00",
        "+00:00:00.5",
        "+02",
        "+0000",
        "+00",
        "-12:30",
        " Z",
        "Z ",
        "+24:00",
    ]
)
texts = st.builds("{}{}{}{}{}".format, dates, marks, times, fractions, offsets)
damaged = st.builds(
    lambda text, at, mark: text[: at % (len(text) + 1)] + mark + text[at % (len(text) + 1) + 1 :],
    texts,
    st.integers(0, 40),
    st.sampled_from(["", " ", "0", "-", ":", "T", "Z", "٣", "\x00", "\ud800"]),
)


def outcome(write: Callable[[], str]) -> str:
    """Write a time, or give the reason it cannot be written."""
    try:
        return write()
    except Refusal as refusal:
        return refusal.reason


def mapped(cast: str, value: Any) -> Any:
    """Cast in a mapping, or give the reason that cannot be done."""
    try:
        return (PLANS[cast].apply({"at": value}) or {})["at"]
    except RecordRejected as rejected:
        return rejected.errors[0].reason


@settings(max_examples=1500, deadline=None)
@given(texts | damaged | st.text(max_size=30) | st.integers() | st.floats())
@example("2026-01-31T24:00:00Z")
@example("2026-01-31 24:00:00")
@example("2026-01-31T24:00:00.0Z")
@example("2026-01-31 10:00+02")
@example("2026-01-31 100000.5")
@example(" 2026-01-31 10:00:00")
@example("2026-01-31T10:00:00Z" + " " * 100)
def test_short_ways_lead_where_the_long_way_does(value: Any) -> None:
    """Text that is cut to form is what reading and writing the time would have given."""
    moment = outcome(lambda: rfc3339(moment_of(value)))
    day = outcome(lambda: day_of(value).isoformat())

    assert outcome(lambda: timestamp_text(value)) == moment
    assert mapped("timestamp", value) == moment
    assert mapped("date", value) == day


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
    ],
)
def test_every_usual_spelling_has_one_form(text: str, written: str) -> None:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    assert timestamp_text(text) == written
