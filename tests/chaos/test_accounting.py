"""The account finds what is lost and what is doubled, and is even when nothing is."""

import copy

import pytest
from campaign.accounting import (
    compare_effects,
    compare_executions,
    compare_figures,
    compare_runs,
    compare_states,
    compare_versions,
)

OPEN, CLOSED = {"id": "a", "state": "open"}, {"id": "a", "state": "closed"}
HISTORY = {"a": [OPEN, CLOSED, None], "b": [OPEN]}
TICKETS = {"a": OPEN, "b": CLOSED}


def told(account):
    """Gives kind and key of each difference."""
    return [(one.what, one.key) for one in account.differences]


def test_even_accounts_have_no_differences():
    """
    What is as it should be is not complained about, and everything is counted.
    """
    accounts = [
        compare_versions("hub", HISTORY, copy.deepcopy(HISTORY)),
        compare_states("tickets", TICKETS, list(TICKETS.items())),
        compare_effects("made", ["a", "b"], ["b", "a"]),
        compare_executions("executions", [("x", "completed", {"read": 3, "created": 1, "unchanged": 2})]),
    ]

    assert [account.differences for account in accounts] == [()] * 4
    assert [account.checked for account in accounts] == [4, 2, 2, 3]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": [OPEN, CLOSED, None]}, [("lost", "b")]),
        ({"a": [OPEN, CLOSED], "b": [OPEN]}, [("lost", "a")]),
        ({"a": [OPEN, OPEN, CLOSED, None], "b": [OPEN]}, [("doubled", "a")]),
        ({"a": [OPEN, CLOSED, None], "b": [OPEN], "c": [OPEN]}, [("doubled", "c")]),
        ({"a": [CLOSED, OPEN, None], "b": [OPEN]}, [("wrong", "a")]),
    ],
    ids=["record lost", "change lost", "change doubled", "record from nowhere", "other order"],
)
def test_versions_tell_what_happened(found, expected):
    """
    Each change has to have one version, in its place.
    """
    assert told(compare_versions("hub", HISTORY, found)) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("a", OPEN)], [("lost", "b")]),
        ([("a", OPEN), ("b", CLOSED), ("b", CLOSED)], [("doubled", "b")]),
        ([("a", OPEN), ("b", OPEN)], [("wrong", "b")]),
        ([("a", OPEN), ("b", CLOSED), ("c", OPEN)], [("doubled", "c")]),
    ],
    ids=["lost", "doubled", "other content", "deleted and still there"],
)
def test_states_tell_what_is_there(found, expected):
    """
    Each record is there once, with its last content.
    """
    assert told(compare_states("tickets", TICKETS, found)) == expected


def test_effects_happen_once():
    """
    A ticket that was made twice shows, and so does one that never was.
    """
    assert told(compare_effects("made", ["a", "b"], ["b", "b", "c"])) == [
        ("lost", "a"),
        ("doubled", "b"),
        ("doubled", "c"),
    ]


def test_executions_account_for_what_they_read():
    """
    A record that was read and went nowhere is lost; an execution that never ends is wrong.
    """
    found = [
        ("x", "completed", {"read": 3, "created": 2}),
        ("y", "running", {}),
        ("z", "failed", {"read": 9}),
    ]

    assert told(compare_executions("executions", found)) == [("lost", "x"), ("wrong", "y")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("r", "completed", "a", "completed", 1, 2), ("r", "completed", "b", "completed", 2, 3)], []),
        ([("r", "failed", "a", "failed", 1, 2)], []),
        ([("r", "running", None, None, None, None)], [("wrong", "r")]),
        ([("r", "completed", "a", "completed", 1, 2)], [("lost", "r")]),
        ([("r", "failed", "a", "failed", 1, 2), ("r", "failed", "a", "completed", 2, 3)], [("doubled", "r")]),
        (
            [("r", "completed", "a", "completed", 1, 4), ("r", "completed", "b", "completed", 2, 5)],
            [("wrong", "r")],
        ),
    ],
    ids=["even", "failed", "open", "step lost", "step doubled", "overlap"],
)
def test_runs_of_a_plan_take_every_step_once_and_in_order(found, expected):
    """
    A run that failed may lack steps; none has one twice.
    """
    assert told(compare_runs("plan", ("a", "b"), found)) == expected


def test_figures_of_reconciliations_are_those_of_the_account():
    """
    A flow without a report, other figures, and a report that is still open do not go unnoticed.
    """
    expected = {"a": [0, 0, 1, 9, 0], "b": [0, 0, 0, 3, 0], "c": [0, 0, 0, 1, 0]}

    account = compare_figures("reports", expected, {"a": [0, 0, 1, 9, 0], "b": [1, 0, 0, 2, 0]}, ["exe_1"])

    assert account.checked == 14
    assert told(account) == [("wrong", "exe_1"), ("wrong", "b"), ("wrong", "c")]
