"""What two-way flows decide, tried on plain values."""

from datetime import UTC, datetime, timedelta

import pytest
from isthmus.services.records.domain.pairs import (
    Choice,
    DeleteKind,
    Deletes,
    Held,
    Outcome,
    Pair,
    Policy,
    Rules,
    Side,
    decide,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
BASE = {"id": "1", "title": "old", "state": "open", "notes": {"a": 1}}
OURS = {"id": "1", "title": "ours", "state": "open", "notes": {"a": 1}}
THEIRS = {"id": "1", "title": "theirs", "state": "closed", "notes": {"a": 1}}
BOTH = frozenset(Side)


def pair(source, destination, base=None, *, times=(None, None), parted=False):
    """Make a pair out of what both sides hold."""
    return Pair(
        "p1", base, Held("1", "1", source, times[0]), Held("1", "1", destination, times[1]), is_parted=parted
    )


@pytest.mark.parametrize(
    ("source", "destination", "wanted", "sides"),
    [
        (OURS, None, OURS, {Side.DESTINATION}),
        (None, THEIRS, THEIRS, {Side.SOURCE}),
    ],
    ids=["source", "destination"],
)
def test_a_new_record_goes_to_the_other_side(source, destination, wanted, sides):
    """
    What one side has and the other never had is created there.
    """
    decision = decide(pair(source, destination), Rules())

    assert (decision.outcome, decision.wanted, decision.sides) == (Outcome.WRITE, wanted, sides)


@pytest.mark.parametrize("policy", Policy)
def test_a_change_on_one_side_is_no_conflict(policy):
    """
    Whoever changed the record is followed, whatever the policy.
    """
    rules = Rules(policy)

    assert decide(pair(OURS, BASE, BASE), rules).wanted == OURS
    assert decide(pair(BASE, THEIRS, BASE), rules).wanted == THEIRS
    assert decide(pair(BASE, THEIRS, BASE), rules).ruling is None


@pytest.mark.parametrize("policy", Policy)
def test_the_same_change_on_both_sides_is_agreement(policy):
    """
    Nothing is written when both came to the same by themselves.
    """
    decision = decide(pair(OURS, {**OURS, "extra": None}, BASE), Rules(policy))

    assert (decision.outcome, decision.sides) == (Outcome.AGREED, frozenset())


@pytest.mark.parametrize(
    ("policy", "wanted", "sides"),
    [(Policy.SOURCE, OURS, {Side.DESTINATION}), (Policy.DESTINATION, THEIRS, {Side.SOURCE})],
    ids=["source", "destination"],
)
def test_a_side_wins_by_policy(policy, wanted, sides):
    """
    The winner's version goes to the other side, and the ruling says so.
    """
    decision = decide(pair(OURS, THEIRS, BASE), Rules(policy))

    assert (decision.wanted, decision.sides) == (wanted, sides)
    assert decision.ruling is not None
    assert decision.ruling.fields == ("state", "title")
    assert decision.ruling.reason == f"The {policy} wins."


@pytest.mark.parametrize(
    ("apart", "wanted"),
    [(timedelta(seconds=-61), THEIRS), (timedelta(seconds=61), OURS), (timedelta(seconds=60), None)],
    ids=["earlier", "later", "within"],
)
def test_the_newest_wins_beyond_the_clocks_tolerance(apart, wanted):
    """
    Times too close together tell nothing; a person is asked.
    """
    rules = Rules(Policy.NEWEST, skew=timedelta(seconds=60))

    decision = decide(pair(OURS, THEIRS, BASE, times=(NOON + apart, NOON)), rules)

    assert decision.wanted == wanted
    assert (decision.outcome is Outcome.REVIEW) == (wanted is None)


def test_what_the_times_do_not_tell_the_fallback_decides():
    """
    A missing time is no time; the side named for that case wins.
    """
    rules = Rules(Policy.NEWEST, otherwise=Policy.DESTINATION)

    decision = decide(pair(OURS, THEIRS, BASE, times=(NOON, None)), rules)

    assert decision.wanted == THEIRS
    assert decision.ruling is not None
    assert "destination gave no time" in decision.ruling.reason


def test_changes_of_different_fields_are_merged():
    """
    Each field comes from the side that changed it, nested ones too, and both sides get the whole.
    """
    ours = {**BASE, "title": "ours", "notes": {"a": 1, "b": 2}}
    theirs = {**BASE, "state": "closed", "notes": {"a": 5}}

    decision = decide(pair(ours, theirs, BASE), Rules(Policy.MERGE))

    assert decision.wanted == {"id": "1", "title": "ours", "state": "closed", "notes": {"a": 5, "b": 2}}
    assert decision.sides == BOTH


@pytest.mark.parametrize(
    ("otherwise", "title"),
    [(Policy.SOURCE, "ours"), (Policy.DESTINATION, "theirs"), (Policy.NEWEST, "ours"), (Policy.REVIEW, None)],
    ids=["source", "destination", "newest", "review"],
)
def test_a_field_that_both_changed_is_decided_by_the_fallback(otherwise, title):
    """
    The other fields are merged all the same.
    """
    rules = Rules(Policy.MERGE, otherwise=otherwise)

    decision = decide(pair(OURS, THEIRS, BASE, times=(NOON, NOON - timedelta(1))), rules)

    assert (decision.wanted or {}).get("title") == title
    assert (decision.wanted or {"state": "closed"})["state"] == "closed"
    assert (decision.outcome is Outcome.REVIEW) == (title is None)


def test_an_id_that_a_system_gives_is_no_change():
    """
    The other side learns it; a record that was deleted there meanwhile stays deleted.
    """
    base, rules = {"title": "t"}, Rules(key=("ref.id",))
    named = {"title": "t", "ref": {"id": "5"}}

    assert decide(pair(named, base, base), rules).wanted == named
    assert decide(pair(named, None, base), rules).wanted is None
    assert decide(pair(named, {"title": "u"}, base), rules).ruling is None


def test_a_decision_holds_until_a_side_changes_again():
    """
    Carried out in part it is finished; with other versions it is asked for again.
    """
    choice, rules = Choice(OURS, THEIRS, BASE), Rules(Policy.REVIEW)

    assert decide(pair(OURS, THEIRS, {}), rules, choice).sides == BOTH
    assert decide(pair(BASE, THEIRS, {}), rules, choice).sides == {Side.DESTINATION}
    assert decide(pair(OURS, {"id": "1"}, {}), rules, choice).outcome is Outcome.REVIEW


@pytest.mark.parametrize(
    ("kind", "outcome", "wanted"),
    [
        (DeleteKind.PROPAGATE, Outcome.WRITE, None),
        (DeleteKind.TOMBSTONE, Outcome.WRITE, {**BASE, "state": "gone"}),
        (DeleteKind.IGNORE, Outcome.PARTED, BASE),
    ],
    ids=["propagate", "tombstone", "ignore"],
)
def test_deletions_follow_the_flows_policy(kind, outcome, wanted):
    """
    The record goes too, is marked, or is left to itself.
    """
    rules = Rules(deletes=Deletes(kind, "state", "gone"))

    decision = decide(pair(None, BASE, BASE), rules)

    assert (decision.outcome, decision.wanted) == (outcome, wanted)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (Policy.SOURCE, None),
        (Policy.DESTINATION, THEIRS),
        (Policy.NEWEST, THEIRS),
        (Policy.MERGE, THEIRS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_outweighs_a_deletion_unless_the_deleting_side_wins(policy, wanted):
    """
    Nobody's work is thrown away by a rule that does not say so.
    """
    decision = decide(pair(None, THEIRS, BASE), Rules(policy))

    assert (decision.outcome, decision.wanted) == (Outcome.WRITE, wanted)


def test_parted_records_are_left_alone_until_one_comes_back():
    """
    The side that kept its record may change it; a record that comes back is followed again.
    """
    rules = Rules(deletes=Deletes(DeleteKind.IGNORE))

    assert decide(pair(None, THEIRS, BASE, parted=True), rules).outcome is Outcome.PARTED
    assert decide(pair(OURS, BASE, BASE, parted=True), rules).wanted == OURS
