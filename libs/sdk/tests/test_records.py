"""Keys and cursors, over input that nobody foresaw."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.sdk.records import at_path, cursor_order, key_of, later


@pytest.mark.parametrize(
    ("earlier", "later_one"),
    [
        ("9", "10"),
        (9, "10"),
        ("-2", "1.5"),
        ("1.25", Decimal("1.5")),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
        ("2026-01-01T00:30:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01", "2026-01-01T00:00:01"),
        ("a", "b"),
    ],
)
def test_cursor_values_are_compared_as_what_they_are(earlier, later_one):
    """
    Numbers as numbers, moments as moments, the rest as text.
    """
    assert later(earlier, later_one) == later(later_one, earlier) == later_one


@given(st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.none(), st.booleans())))
def test_any_values_have_one_greatest(values):
    """
    Whatever a field holds, comparing never fails and the order of reading does not matter.
    """
    forwards = backwards = None
    for value in values:
        forwards = later(forwards, value)
    for value in reversed(values):
        backwards = later(backwards, value)

    assert (forwards is None) == (backwards is None)
    assert forwards is None or cursor_order(forwards) == cursor_order(backwards)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(9999)),
)
def test_moments_keep_their_order_as_text(moment, more):
    """
    A moment's text stands for the moment, to the microsecond.
    """
    try:
        after = moment + more
    except OverflowError:
        after = datetime.max.replace(tzinfo=UTC)

    assert cursor_order(moment.isoformat()) <= cursor_order(after.isoformat())


@given(st.dictionaries(st.text(), st.text()), st.text())
def test_paths_never_fail(record, path):
    """
    A path gives what stands there, or the default.
    """
    found = at_path(record, path, "nothing")

    assert found == record.get(path, "nothing") or found in record.values()


def test_keys_tell_parts_apart():
    """
    A separator inside a part cannot make two records one.
    """
    one = key_of({"a": "x\u001fy", "b": "z"}, ("a", "b"))
    other = key_of({"a": "x", "b": "y\u001fz"}, ("a", "b"))

    assert one != other


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_missing_key_parts_are_named(value):
    """
    Nothing and empty identify nobody.
    """
    with pytest.raises(LookupError, match=r"a\.b"):
        key_of({"a": {"b": value}}, ("a.b",))


@pytest.mark.parametrize(("value", "key"), [(True, "true"), (1.0, "1"), (0, "0"), ("0", "0"), (1.5, "1.5")])
def test_plain_values_become_keys(value, key):
    """
    Zero is a key; a whole float is the number that it is.
    """
    assert key_of({"id": value}, ("id",)) == key
