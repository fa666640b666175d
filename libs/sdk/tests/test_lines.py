"""Records that stay lines of text until somebody looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.sdk import Batch, LineColumn, Lines, LineType
from isthmus.sdk.lines import LinesInvalid
from isthmus.testing.lines import lines_of

TEXTS = st.sampled_from(["None", "\\None", "\\", "\x1f", "\n", "\r\n", "\\n", "", "\0"]) | st.text()
VALUES = {"text": TEXTS, "number": st.integers(), "flag": st.booleans(), "more": TEXTS}
RECORDS = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=5)
AB = [LineColumn("a"), LineColumn("b")]


@given(records=RECORDS)
def test_what_was_written_is_read(records):
    """
    With its types, and without what has no value.
    """
    lines = lines_of(records, sorted(VALUES))

    assert list(lines) == records
    texts = [None if record.get("more") is None else record["more"] for record in records]
    assert lines.values("more") == texts


def test_nothing_is_decoded_before_it_is_looked_at():
    """
    What can use the text itself pays for no dictionaries.
    """
    batch = Batch(Lines(b"1\x1f\xff\n2\n", AB, 2))

    assert batch.lines.text == b"1\x1f\xff\n2\n"
    assert (len(batch), batch.records.expected, batch.encoded) == (2, 2, ())
    with pytest.raises(LinesInvalid, match="UTF-8"):
        batch.records[0]


@pytest.mark.parametrize(
    ("text", "columns", "count"),
    [
        (b"1\x1f2", AB, 1),
        (b"1\x1f2\n3\x1f4", AB, 2),
        (b"", AB, 0),
        (b"\n", [], 1),
        (b"1\x1f2\n", [AB[0], AB[0]], 1),
        (b"1\x1f2\r\n", AB, 1),
        (b"1\x1f2\r", AB, 1),
        (b"1\x1f2\n\\.\n", AB, 1),
        (b"\\.\n", AB, 1),
        (b"1\x1f\\t\n", AB, 1),
        (b"1\x1f2\\\n", AB, 1),
        (b"1\x1f2\\\\\\\n", AB, 1),
    ],
)
def test_text_that_cannot_be_lines_is_refused_at_once(text, columns, count):
    """
    Whoever copies it would take it for something else.
    """
    with pytest.raises(LinesInvalid) as refused:
        Lines(text, columns, count)

    assert refused.value.reason == "BATCH_INVALID"


@pytest.mark.parametrize(
    ("text", "type_", "why"),
    [
        (b"1\n", LineType.STRING, "Line 1 has 1 values for 2 columns"),
        (b"1\x1f2\x1f3\n", LineType.STRING, "Line 1 has 3 values for 2 columns"),
        (b"1\\\\\n", LineType.STRING, "Line 1 has 1 values for 2 columns"),
        (b"1\x1f\xff\n", LineType.STRING, "not UTF-8"),
        (b"1\x1f\xed\xa0\x80\n", LineType.STRING, "not UTF-8"),
        (b"1\x1f01\n", LineType.INTEGER, "no integer in column b"),
        (b"1\x1f1_0\n", LineType.INTEGER, "no integer in column b"),
        (b"1\x1f\n", LineType.INTEGER, "no integer in column b"),
        (b"1\x1f" + b"9" * 5000 + b"\n", LineType.INTEGER, "no integer in column b"),
        (b"1\x1ftrue\n", LineType.BOOLEAN, "no boolean in column b"),
        (b"1\x1f2\n3\x1f4\n", LineType.STRING, "2 lines, where 1"),
        (b"1\x1fx\\None\n", LineType.STRING, "backslash"),
        (b"1\x1f\\Nonex\n", LineType.STRING, "backslash"),
        (b"1\x1f\\N\x1f\n", LineType.STRING, "backslash"),
    ],
    ids=range(14),
)
def test_lines_that_are_not_what_is_described_are_refused_by_who_looks(text, type_, why):
    """
    The message tells the line and never what it holds.
    """
    lines = Lines(text, [LineColumn("a"), LineColumn("b", type_)], 1)

    with pytest.raises(LinesInvalid, match=why) as refused:
        list(lines)
    assert "_0" not in refused.value.message
