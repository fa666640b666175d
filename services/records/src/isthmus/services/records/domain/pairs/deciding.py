"""Decides what both sides of a pair are to hold; knows nothing of how it gets there.

The state in which both sides were last the same tells who has changed what since. It moves on only
when both are known to hold the same again, so a round that was cut short is decided again from what
the sides hold by then.
"""

from dataclasses import replace

from isthmus.services.records.domain.pairs.forms import Form, at, differences, merge, same, with_value
from isthmus.services.records.domain.pairs.model import (
    Choice,
    Decision,
    DeleteKind,
    Deletes,
    Outcome,
    Pair,
    Policy,
    Rules,
    Ruling,
    Side,
)


def decide(pair: Pair, rules: Rules, choice: Choice | None = None) -> Decision:
    """Decide about one pair.

    Args:
        pair: What both sides hold, and held when they were last the same.
        rules: What the flow's owner decided.
        choice: What a person has decided about the pair.
    """
    source, destination = pair.source.form, pair.destination.form
    if same(source, destination):
        return Decision(Outcome.AGREED, source)
    if pair.is_parted and (source is None or destination is None):
        return Decision(Outcome.PARTED, source if destination is None else destination)
    if choice is not None and choice.fits(pair):
        return _written(pair, choice.result)
    changed = [side for side in Side if _has_changed(pair.held(side).form, pair.base, rules)]
    if len(changed) == len(Side):
        return _disagreement(pair, rules)
    return _follow(pair, changed[0] if changed else _named_by(pair, rules), rules.deletes)


def _has_changed(form: Form | None, base: Form | None, rules: Rules) -> bool:
    """Tell whether somebody has changed the record.

    A key field that was empty and is not any more says which id a system gave to what was written
    there, and nothing about anybody's doing.
    """
    if form is None or base is None:
        return form is not base
    for path in rules.key:
        if at(base, path) is None and at(form, path) is not None:
            base = with_value(base, path, at(form, path))
    return not same(form, base)


def _named_by(pair: Pair, rules: Rules) -> Side:
    """Give the side that knows the key fields, so that the other one learns them."""
    form = pair.source.form or {}
    return Side.SOURCE if all(at(form, path) is not None for path in rules.key) else Side.DESTINATION


def _follow(pair: Pair, leader: Side, deletes: Deletes) -> Decision:
    """Bring the side that did not change to where the other one is."""
    wanted = pair.held(leader).form
    if wanted is not None:
        return Decision(Outcome.WRITE, wanted, frozenset({leader.other}))
    return _deletion(pair, leader, deletes)


def _deletion(pair: Pair, gone_from: Side, deletes: Deletes) -> Decision:
    left = pair.held(gone_from.other).form
    if deletes.kind is DeleteKind.IGNORE or left is None:
        return Decision(Outcome.PARTED, left)
    sides = frozenset({gone_from.other})
    if deletes.kind is DeleteKind.TOMBSTONE:
        marked = with_value(left, deletes.field, deletes.value)
        if same(marked, left):
            return Decision(Outcome.PARTED, left)
        return Decision(Outcome.WRITE, marked, sides, parts=True)
    return Decision(Outcome.WRITE, None, sides)


def _written(pair: Pair, wanted: Form | None, ruling: Ruling | None = None) -> Decision:
    sides = frozenset(side for side in Side if not same(pair.held(side).form, wanted))
    return Decision(Outcome.WRITE, wanted, sides, ruling=ruling)


def _disagreement(pair: Pair, rules: Rules) -> Decision:
    source, destination = pair.source.form, pair.destination.form
    if source is None or destination is None:
        return _deleted_and_changed(pair, rules)
    ruling = _ruling(pair, rules, source, destination)
    ruling = replace(ruling, fields=tuple(differences(source, destination)))
    if ruling.waits:
        return Decision(Outcome.REVIEW, ruling=ruling)
    return _written(pair, ruling.result, ruling)


def _deleted_and_changed(pair: Pair, rules: Rules) -> Decision:
    gone_from = Side.SOURCE if pair.source.form is None else Side.DESTINATION
    left = pair.held(gone_from.other).form
    if rules.deletes.kind is DeleteKind.IGNORE:
        return Decision(Outcome.PARTED, left)
    policy = rules.policy
    what = f"The {gone_from} has deleted the record and the {gone_from.other} has changed it"
    if policy is Policy.REVIEW:
        ruling = Ruling(policy, f"{what}; a person has to decide.", waits=True)
        return Decision(Outcome.REVIEW, ruling=ruling)
    if policy.value == gone_from.value:
        decision = _deletion(pair, gone_from, rules.deletes)
        ruling = Ruling(policy, f"{what}; the {gone_from} wins.", result=decision.wanted)
        return replace(decision, ruling=ruling)
    why = f"the {policy} wins" if policy.value == gone_from.other.value else "a change outweighs a deletion"
    ruling = Ruling(policy, f"{what}; {why}.", result=left)
    return _written(pair, left, ruling)


def _ruling(pair: Pair, rules: Rules, source: Form, destination: Form) -> Ruling:
    match rules.policy:
        case Policy.SOURCE | Policy.DESTINATION:
            winner = Side(rules.policy.value)
            return Ruling(rules.policy, f"The {winner} wins.", result=pair.held(winner).form)
        case Policy.NEWEST:
            return _newest(pair, rules)
        case Policy.MERGE:
            return _merge(pair, rules, source, destination)
        case Policy.REVIEW:
            return Ruling(Policy.REVIEW, "Both sides changed the record; a person has to decide.", waits=True)


def _newest(pair: Pair, rules: Rules) -> Ruling:
    winner, why = later_side(pair, rules)
    if winner is not None:
        return Ruling(Policy.NEWEST, why, result=pair.held(winner).form)
    fallback = Side(rules.otherwise.value) if rules.otherwise.value in set(Side) else None
    if fallback is None:
        return Ruling(Policy.NEWEST, f"{why} A person has to decide.", waits=True)
    return Ruling(Policy.NEWEST, f"{why} The {fallback} wins.", result=pair.held(fallback).form)


def later_side(pair: Pair, rules: Rules) -> tuple[Side | None, str]:
    """Tell which side changed the record later, with a sentence why; None where that cannot be told."""
    ours, theirs = pair.source.time, pair.destination.time
    if ours is None or theirs is None:
        missing = " and the ".join(side for side in Side if pair.held(side).time is None)
        return None, f"The {missing} gave no time of the change."
    apart = abs(ours - theirs)
    if apart <= rules.skew:
        return (
            None,
            f"Both changed it within {apart.total_seconds():g} s, which the clocks' tolerance covers.",
        )
    winner = Side.SOURCE if ours > theirs else Side.DESTINATION
    return winner, f"The {winner} changed it {apart.total_seconds():g} s later."


def _merge(pair: Pair, rules: Rules, source: Form, destination: Form) -> Ruling:
    contested: list[str] = []

    def choose(path: str) -> bool:
        contested.append(path)
        return winner is not Side.DESTINATION

    winner, why = _arbiter(pair, rules)
    merged = merge(pair.base or {}, source, destination, choose)
    if not contested:
        return Ruling(Policy.MERGE, "The sides changed different fields.", result=merged)
    listed = ", ".join(contested)
    if winner is None:
        return Ruling(Policy.MERGE, f"Both sides changed {listed}. {why}", waits=True)
    return Ruling(Policy.MERGE, f"Both sides changed {listed}. {why}", result=merged)


def _arbiter(pair: Pair, rules: Rules) -> tuple[Side | None, str]:
    """Tell which side decides about fields that both changed."""
    if rules.otherwise.value in set(Side):
        winner = Side(rules.otherwise.value)
        return winner, f"There the {winner} wins."
    if rules.otherwise is Policy.NEWEST:
        side, why = later_side(pair, rules)
        return side, why if side else f"{why} A person has to decide."
    return None, "A person has to decide."


__all__ = ["decide", "later_side"]
