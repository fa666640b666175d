"""Keys and cursors of whole pages are those of their records one by one."""

from hypothesis import given
from hypothesis import strategies as st
from isthmus.sdk.keying import Keying
from isthmus.sdk.records import at_path, greatest, key_of

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "b\u001fc", "ü"]),
    st.just([]),
    st.just({"b": 1}),
)
MOMENTS = st.datetimes().map(str) | st.sampled_from(
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.5Z",
        "2026-01-31 12:00:00",
        "2026-02-01",
        "7",
        "2026-01-31T12:00:00+02:00",
    ]
)
RECORDS = st.lists(
    st.fixed_dictionaries({"a": VALUES}, optional={"a.b": VALUES, "c": st.fixed_dictionaries({"d": VALUES})}),
    max_size=5,
)
EVEN = st.sampled_from([st.integers(), st.text(min_size=1, max_size=3), st.sampled_from(["a", "b"])]).flatmap(
    lambda values: st.lists(st.fixed_dictionaries({"a": values, "c": st.fixed_dictionaries({"d": values})}))
)
PATHS = st.lists(st.sampled_from(["a", "a.b", "c.d"]), max_size=2, unique=True)


@given(RECORDS | EVEN, PATHS)
def test_keys_of_a_page(records, paths):
    """
    They are the same, and a single part that is missing leaves them to the careful way.
    """
    try:
        expected = [key_of(record, paths) for record in records]
    except LookupError:
        expected = None

    keys = Keying(paths).keys(records)

    assert keys == expected


@given(st.lists(st.one_of(MOMENTS, VALUES)) | st.lists(MOMENTS, min_size=2), st.none() | MOMENTS)
def test_greatest_cursor_of_a_page(values, before):
    """
    Whatever forms are mixed, no record is passed by.
    """
    records = [{"at": value} for value in values]

    top = Keying((), "at").top(records, before)

    assert top == greatest((at_path(record, "at") for record in records), before)


@given(st.lists(st.datetimes().map(lambda moment: str(moment)[:19]), min_size=1), st.sampled_from([" ", "T"]))
def test_moments_of_one_form(moments, between):
    """
    The latest is found among texts of any length.
    """
    records = [{"at": moment.replace(" ", between)} for moment in moments]

    top = Keying((), "at").top(records, None)

    assert top == max(record["at"] for record in records)
