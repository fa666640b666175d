"""Whatever happens on both sides of a two-way flow, they end the same: tried on a model of it."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.services.records.domain.pairs import (
    Decision,
    DeleteKind,
    Deletes,
    Form,
    Note,
    Outcome,
    Pair,
    Policy,
    Rules,
    Side,
    decide,
    note,
    same,
    tidy,
)
from isthmus.services.records.domain.pairs.forms import emptied
from isthmus.services.records.domain.pairs.noting import match_of


@dataclass
class System:
    """What one side holds, by key; counts what was written from outside."""

    records: dict[str, Form] = field(default_factory=dict)
    writes: int = 0

    def take(self, key: str, wanted: Form | None, present: Form | None) -> None:
        """Be written to, by somebody who thinks to know what is there."""
        self.writes += 1
        if wanted is None:
            self.records.pop(key, None)
        else:
            self.records[key] = tidy({**self.records.get(key, {}), **emptied(wanted, present)})


@dataclass
class Model:
    """The pairs of a flow, kept in a dictionary; both sides are read whole in each round."""

    rules: Rules
    source: System = field(default_factory=System)
    destination: System = field(default_factory=System)
    pairs: dict[str, Pair] = field(default_factory=dict)
    reviews: dict[str, Decision] = field(default_factory=dict)
    rulings: int = 0

    def system(self, side: Side) -> System:
        """Give a side's system."""
        return self.source if side is Side.SOURCE else self.destination

    def round(self, *, lost: frozenset[Side] = frozenset()) -> None:
        """Read both sides, decide, write; the writes of `lost` sides never start."""
        for side in Side:
            self._read(side)
        decided = {key: decide(pair, self.rules) for key, pair in self.pairs.items()}
        self.reviews = {key: one for key, one in decided.items() if one.outcome is Outcome.REVIEW}
        for key, decision in decided.items():
            self._carry_out(key, decision, lost)

    def _read(self, side: Side) -> None:
        system, seen = self.system(side), set()
        for key, form in system.records.items():
            given = Note(key, form, match=match_of(form, self.rules.key))
            noted = note(side, self._known(side, given), given, f"p{len(self.pairs)}")
            assert noted.pair is not None
            self.pairs[noted.pair.pair_id] = noted.pair
            seen.add(noted.pair.pair_id)
        for name in self.pairs.keys() - seen:
            self.pairs[name] = _with(self.pairs[name], side, None)

    def _known(self, side: Side, given: Note) -> Pair | None:
        by_key = (pair for pair in self.pairs.values() if pair.held(side).key == given.key)
        by_match = (pair for pair in self.pairs.values() if pair.match == given.match)
        return next(by_key, None) or next(by_match, None)

    def _carry_out(self, key: str, decision: Decision, lost: frozenset[Side]) -> None:
        pair = self.pairs[key]
        self.rulings += decision.ruling is not None
        if decision.outcome in {Outcome.AGREED, Outcome.PARTED}:
            is_parted = decision.outcome is Outcome.PARTED
            self.pairs[key] = replace(pair, base=decision.wanted, is_parted=is_parted)
        if decision.outcome is not Outcome.WRITE:
            return
        for side in decision.sides - lost:
            held = pair.held(side)
            self.system(side).take(held.key or held.link, decision.wanted, held.form)
            pair = _with(pair, side, decision.wanted)
        if not decision.sides & lost:
            pair = replace(pair, base=decision.wanted, is_parted=pair.is_parted or decision.parts)
        self.pairs[key] = pair

    @property
    def agrees(self) -> bool:
        """Whether both sides hold the same, as far as nobody is asked."""
        held = [pair for key, pair in self.pairs.items() if key not in self.reviews and not pair.is_parted]
        return all(same(pair.source.form, pair.destination.form) for pair in held)


def _with(pair: Pair, side: Side, form: Form | None) -> Pair:
    return pair.having(side, replace(pair.held(side), form=form))


BOTH = frozenset(Side)
KEYS = st.sampled_from(["1", "2", "3"])
FORMS = st.fixed_dictionaries(
    {},
    optional={"title": st.sampled_from("xyz"), "state": st.sampled_from("ab"), "n": st.sampled_from([1, 2])},
)
EDITS = st.lists(st.tuples(st.sampled_from(Side), KEYS, st.none() | FORMS), max_size=4)
RULES = st.builds(
    Rules,
    policy=st.sampled_from(Policy),
    otherwise=st.sampled_from([Policy.SOURCE, Policy.DESTINATION, Policy.REVIEW]),
    deletes=st.builds(Deletes, st.sampled_from(DeleteKind), st.just("state"), st.just("gone")),
    key=st.just(("id",)),
)
LOST = st.sampled_from([frozenset(), frozenset({Side.SOURCE}), frozenset({Side.DESTINATION}), BOTH])


@settings(max_examples=200, deadline=None)
@given(RULES, st.lists(st.tuples(EDITS, LOST), min_size=1, max_size=6))
def test_both_sides_end_the_same_whatever_happens(rules, rounds):
    """
    Edits, creations and deletions on both sides, and writes that never start: after one whole round both
    hold the same or a person is asked, and the round after that writes nothing.
    """
    model = Model(rules)
    for edits, lost in rounds:
        for side, key, form in edits:
            records = model.system(side).records
            if form is None:
                records.pop(key, None)
            else:
                records[key] = {"id": key, **form}
        model.round(lost=lost)
    model.round()
    writes = model.source.writes, model.destination.writes
    model.round()

    assert model.agrees
    assert (model.source.writes, model.destination.writes) == writes
    for one in model.pairs.values():
        for side in Side:
            held = one.held(side)
            assert same(held.form, model.system(side).records.get(held.key or held.link))
