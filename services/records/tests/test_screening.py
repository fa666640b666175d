"""What the screening lets pass without asking PostgreSQL, PostgreSQL can read."""

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.services.records.domain.batches import Batch, screen

_JUDGE = """
    SELECT ordinal - 1 FROM unnest(%s::text[]) WITH ORDINALITY AS given (line, ordinal)
    WHERE NOT pg_input_is_valid(line, 'jsonb')
"""
_SURROGATES = (r"\ud800", r"\uDBff", r"\udc00", r"\uDFFF", r"\ud83d\ude00", r"\u0041", r"\u0000", r"\u00e")
_ESCAPES = (*_SURROGATES, *map("\\{}".format, '"\\/bfnrtuxU0aud'), "\t", "\x7f", "é", "😀", "x", "")
_texts = st.lists(st.sampled_from(_ESCAPES), max_size=5).map(lambda parts: f'"{"".join(parts)}"')
_numbers = st.text("0123456789.-+eE", max_size=9) | st.from_regex(
    r"-?\d{1,9}[eE][+-]?\d{1,6}", fullmatch=True
)
_words = st.sampled_from(
    ("true", "false", "null", "tru", "NaN", "Infinity", "", " ", "\n", "\ufeff", "{}", "[]")
)
_leaves = _texts | _numbers | _words
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(_texts, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{name}:{value}" for name, value in items) + "}"
        )
    ),
    max_leaves=6,
)
_records = st.tuples(_texts, _values, st.sampled_from(("}", "}", "}\n", "} x", ",}", ""))).map(
    lambda parts: "{" + parts[0] + ":" + parts[1] + parts[2]
)


@pytest.fixture(scope="module")
def judge(postgres):
    """Tell which of some texts PostgreSQL cannot read."""
    with psycopg.connect(postgres.database()) as connection:
        yield lambda lines: {row[0] for row in connection.execute(_JUDGE, (lines,))}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(_records, min_size=1, max_size=25))
def test_what_passes_is_readable(judge, records: list[str]):
    """
    A record that is neither rejected nor sent to PostgreSQL for its opinion is an object that it can read.
    """
    screened = screen(Batch("", 1, [record.encode() for record in records]), ())

    unreadable = judge(records) - set(screened.rejected) - set(screened.suspects)

    assert [records[index] for index in unreadable] == []
