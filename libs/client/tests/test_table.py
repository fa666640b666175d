"""Tables at every width."""

from hypothesis import given
from hypothesis import strategies as st
from isthmus.client.cli.output import Format, as_dict
from isthmus.client.cli.table import lines
from isthmus.scheduling.v1 import scheduling_pb2

ID = "exe_01m8140ekbmhc98q95yhkfef01"


def test_what_fits_stands_side_by_side():
    """
    A wide terminal shows one line a row, columns aligned.
    """
    assert lines(("A", "B"), [("long", "1"), ("x", "")], width=80) == ["A     B", "long  1", "x"]


def test_what_does_not_fit_goes_below_whole():
    """
    Ids can be copied at any width, and each value keeps its name.
    """
    laid = lines(("FLOW", "STARTED", "ID"), [("nightly", "2026-11-22 07:52:51", ID)], width=36)

    assert laid == ["FLOW     STARTED", "nightly  2026-11-22 07:52:51", f"  id {ID}"]


def test_sentences_are_folded_between_words():
    """
    A message keeps its own column while there is room, and gets the whole width where there is not.
    """
    message = "The server refused the password: enter it again."

    beside = lines(("N", "WHY"), [("1", message)], width=40, wide=True)
    below = lines(("N", "WHY"), [("1" * 20, message)], width=40, wide=True)

    assert beside == ["N  WHY", "1  The server refused the password:", "   enter it again."]
    assert below == ["N", "1" * 20, "  The server refused the password: enter", "  it again."]


def test_nothing_is_said_about_what_is_not_there():
    """
    Dashes and empty cells do not go below.
    """
    assert lines(("FLOW", "ID", "LAST"), [("f", ID, "-")], width=35) == [
        "FLOW",
        "f",
        f"  id {ID}",
    ]


def test_foreign_text_does_not_steer_the_terminal():
    """
    A record that holds escape sequences or line breaks is shown, not obeyed.
    """
    laid = lines(("DATA",), [("red\x1b[31m\nnext\u202eline",)], width=None)

    assert laid == ["DATA", "red\ufffd[31m next\ufffdline"]


def test_json_has_every_field_and_yaml_only_what_is_there():
    """
    A program finds a count of zero as zero.
    """
    execution = scheduling_pb2.Execution(flow_name="f", counts={"read": 2})

    whole, short = as_dict(execution), as_dict(execution, Format.YAML)

    assert (whole["counts"]["read"], whole["counts"]["created"], whole["status"]) == (
        "2",
        "0",
        "STATUS_UNSPECIFIED",
    )
    assert short == {"flow_name": "f", "counts": {"read": "2"}}


@given(
    rows=st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60)), max_size=5),
    width=st.integers(min_value=1, max_value=200),
    wide=st.booleans(),
)
def test_every_word_of_every_cell_is_shown(rows, width, wide):
    """
    No width and no text costs a single letter.
    """
    laid = "".join("".join(lines(("A", "B", "C"), rows, width=width, wide=wide)).split())

    for row in rows:
        for cell in row:
            shown = lines(("X",), [(cell,)], width=None)[1]
            assert shown == "-" or "".join(shown.split()) in laid
