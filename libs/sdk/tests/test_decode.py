"""JSON of every spelling, with and without keys that occur twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.sdk import DataFailure
from isthmus.sdk.decode import decode_json

TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
SPELLINGS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.none() | st.integers(0, 2),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : "), (",\n", "\t:")]),
    }
)


class Twice(dict):
    """A dictionary that writes one of its keys twice."""

    def items(self):
        pairs = list(super().items())
        return [*pairs, (pairs[0][0], 1)]


@given(TREES, SPELLINGS)
def test_documents_read_back(tree, spelling):
    """
    Whatever the spelling, what was written is read.
    """
    assert decode_json(json.dumps(tree, **spelling).encode(), "x") == tree


@given(TREES, st.dictionaries(TEXTS, PLAIN, min_size=1, max_size=3), SPELLINGS)
def test_keys_twice_are_found_in_every_spelling(tree, doubled, spelling):
    """
    However deep and however spelt, a key that would be lost is told about.
    """
    raw = json.dumps([tree, {"deep": [Twice(doubled)]}], **spelling).encode()

    with pytest.raises(DataFailure) as raised:
        decode_json(raw, "x")

    assert raised.value.reason == "ANSWER_DUPLICATE_KEYS"


@pytest.mark.parametrize("colon", ["\\u003a", "\\u003A"])
def test_escaped_colons_hide_nothing(colon):
    """
    A colon that shows in the re-encoding only does not stand in for a key that was lost.
    """
    raw = f'{{"a":1,"{colon}":2,"a":3}}'.encode()

    with pytest.raises(DataFailure, match="twice"):
        decode_json(raw, "x")


@given(st.binary())
def test_any_bytes_are_json_or_a_data_failure(raw):
    """
    Nothing else can come out.
    """
    try:
        value = decode_json(raw, "x")
    except DataFailure:
        return
    assert json.loads(raw.removeprefix(b"\xef\xbb\xbf")) == value
