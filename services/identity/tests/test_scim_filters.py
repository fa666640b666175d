"""Filters of SCIM: what is read is what was meant, and nothing that is sent makes the reader fail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.resilience.faults import FixRequest
from isthmus.services.identity.domain.scim import (
    AttributePath,
    Compare,
    Entry,
    Joined,
    Negated,
    matches,
    parse_filter,
    parse_target,
)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
urns = st.sampled_from(["", "urn:ietf:params:scim:schemas:core:2.0:User"])
paths = st.builds(AttributePath, names, st.one_of(st.just(""), names), urns)
values = st.one_of(st.text(max_size=12), st.booleans(), st.none(), st.integers(-999, 999))
compared = st.one_of(
    st.builds(
        Compare, paths, st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]), values
    ),
    st.builds(Compare, paths, st.just("pr")),
)


def larger(parts):
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    lists = st.builds(AttributePath, names)
    return st.one_of(
        st.builds(Joined, st.sampled_from(["and", "or"]), several),
        st.builds(Negated, parts),
        st.builds(Entry, lists, parts),
    )


filters = st.recursive(compared, larger, max_leaves=12)


@settings(max_examples=60, deadline=None)
@given(filters)
def test_a_filter_is_read_as_it_was_written(item):
    """
    Whatever a filter says, writing it down and reading it again changes nothing.
    """
    assert parse_filter(str(item)) == item


def reason(read, text, **options):
    """Return why a text is refused; empty when it is not."""
    try:
        read(text, **options)
    except FixRequest as refused:
        return refused.reason
    return ""


pieces = st.sampled_from(
    [
        "userName",
        " eq ",
        '"a"',
        "(",
        ")",
        "[",
        "]",
        " and ",
        " or ",
        "not ",
        ".value",
        " pr",
        '"',
        "\\",
        "1",
        "é",
        "\x00",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=14).map("".join)), st.booleans())
def test_what_is_no_filter_is_refused_with_a_reason(text, bare_words):
    """
    Any text is a filter or is refused as one; so is any path.
    """
    reasons = {reason(read, text, bare_words=bare_words) for read in (parse_filter, parse_target)}

    assert reasons <= {"", "SCIM_INVALID_FILTER", "SCIM_INVALID_PATH"}


@pytest.mark.parametrize("text", ["(" * 5000 + "a pr" + ")" * 5000, "a pr and " * 101 + "a pr", "not (" * 40])
def test_a_filter_has_a_size(text):
    """
    What nests too deeply, compares too often or is too long is refused before it costs anything.
    """
    with pytest.raises(FixRequest):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('type eq "work" and value co "B"', True),
        ('type eq "home" or primary eq true and value pr', True),
        ('(type eq "home" or primary eq true) and display pr', False),
        ('not (type eq "home") and value ne "x"', True),
        ("primary eq 1", False),
        ('value ge "a@b" and value le "a@c"', True),
    ],
)
def test_entries_of_lists_match_by_themselves(text, expected):
    """
    `and` binds tighter than `or`, `not` tightest; texts compare whatever their case.
    """
    entry = {"type": "Work", "value": "a@b.example", "primary": True}

    assert matches(parse_filter(text), entry) is expected
