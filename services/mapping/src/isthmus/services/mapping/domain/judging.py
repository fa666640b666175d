"""What a flow does when the schema of what it reads has changed."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.mapper.drift import (
    Change,
    ChangeKind,
    Reads,
    Shape,
    compare,
    merged,
    moved,
    schema_of,
    shape_of_schema,
    without,
)
from isthmus.mapper.paths import parse_path
from isthmus.services.mapping.domain.schemas import (
    Judgement,
    Known,
    Observation,
    Policy,
    SchemaChange,
    Status,
    Verdict,
)

EVIDENCE = 100
"""A member is gone when the records that had it, times those that have it no more, reach this."""
_MOST_DROPPED = 1000


@dataclass(frozen=True, slots=True)
class _Step:
    """What an observation changes, before anybody judges it."""

    differences: list[Change] = field(default_factory=list)
    after: Known | None = None


def judge(
    known: Known | None, opened: SchemaChange | None, met: Observation, policy: Policy, new_id: str
) -> Judgement:
    """Tell what follows from an observation.

    Args:
        known: The stream as remembered; None at the first meeting.
        opened: The open change.
        met: What a host has met.
        policy: What the flow does about changes.
        new_id: Id for a change, where there is one.
    """
    if met.declared and not _shape(met.declared).members:
        met = replace(met, declared="")  # "an object" says nothing
    if known is None:
        return Judgement(Verdict.PASS, _first(met))
    known = replace(known, last_seen=met.now)
    if opened is not None and not met.seen and _declares(opened.after, met):
        return _again(known, opened, met)
    step = _seen(known, met, policy) if met.seen else _declared(known, met)
    breaking = [one for one in step.differences if one.is_breaking]
    judging = _Judging(known, met, policy, new_id)
    if opened is not None:
        return judging.while_open(opened, step)
    stops = bool(step.differences) if policy.stops_on_additive else bool(breaking)
    if not stops:
        change = judging.change(step, Status.PASSED) if step.differences else None
        return Judgement(Verdict.PASS, _adopted(step, policy) or known, change)
    return judging.opened(step)


def accepted(known: Known, change: SchemaChange) -> Known:
    """The stream as it is known once a change is accepted; what is dropped by policy stays dropped."""
    shape = without(_shape(change.after.expected), map(parse_path, known.dropped))
    return replace(
        change.after,
        expected=_text(shape) if known.dropped else change.after.expected,
        dropped=known.dropped,
        first_seen=known.first_seen,
        last_seen=known.last_seen,
        change_id="",
    )


def _first(met: Observation) -> Known:
    return Known(
        met.flow_id,
        met.instance_id,
        met.stream,
        met.now,
        met.now,
        expected=met.seen or met.declared,
        declared=met.declared,
        primary_key=met.primary_key,
        cursor_field=met.cursor_field,
        records=met.records,
    )


def _declares(known: Known, met: Observation) -> bool:
    """Whether the source declares what is known."""
    is_same = not met.declared or met.declared == known.declared
    return is_same and (known.primary_key, known.cursor_field) == (met.primary_key, met.cursor_field)


def _again(known: Known, opened: SchemaChange, met: Observation) -> Judgement:
    """An attempt begins while a change is open: another mapping may have taken care of it."""
    is_other = met.mapping_fingerprint != opened.mapping_fingerprint
    if is_other and (opened.status is Status.AWAITS_MAPPING or not _still_breaks(opened, met)):
        done = replace(opened, status=Status.MAPPED)
        return Judgement(Verdict.PASS, accepted(known, opened), settled=done)
    verdict = Verdict.QUARANTINE if opened.status is Status.QUARANTINING else Verdict.STOP
    return Judgement(verdict, known)


def _still_breaks(opened: SchemaChange, met: Observation) -> bool:
    reads = _reads(met)
    return not opened.is_breaking or any(
        one.path == "$" or reads.reads(parse_path(one.path)) for one in opened.differences if one.is_breaking
    )


@dataclass(frozen=True, slots=True)
class _Judging:
    """What the parts of one judgement have in common."""

    known: Known
    met: Observation
    policy: Policy
    new_id: str

    def while_open(self, opened: SchemaChange, step: _Step) -> Judgement:
        """Something is met while a change is open: the same, more of it, or nothing any more."""
        known, met = self.known, self.met
        met_now = {(one.path, one.kind) for one in step.differences if one.is_breaking}
        decided = {(one.path, one.kind) for one in opened.differences if one.is_breaking}
        if opened.status is Status.QUARANTINING and met_now <= decided:
            # Records that show it are kept out; what the others show besides harms nothing, and is told.
            if met_now or not met.seen:
                return Judgement(Verdict.QUARANTINE, known)
            passed = self.change(step, Status.PASSED) if step.differences else None
            return Judgement(Verdict.QUARANTINE, _adopted(step, self.policy) or known, passed)
        was_declared = _declared_parts(opened.after) != _declared_parts(known)
        if not met_now and not met.seen and was_declared:
            done = replace(opened, status=Status.WITHDRAWN)
            adopted = _adopted(step, self.policy) or known
            return Judgement(Verdict.PASS, replace(adopted, change_id=""), settled=done)
        if met_now <= decided:
            return Judgement(Verdict.STOP, known)
        done = replace(opened, status=Status.SUPERSEDED)
        both = _Step(_union(opened.differences, step.differences), step.after)
        if met.seen:
            both = replace(both, after=_learnt(opened.after, met))
        return replace(self.opened(both), settled=done)

    def opened(self, step: _Step) -> Judgement:
        """A change that the flow does not simply pass."""
        change = self.change(step, Status.WAITING)
        if self.policy.quarantines_breaking and change.is_breaking and change.shows_in_records:
            change = replace(change, status=Status.QUARANTINING)
        verdict = Verdict.QUARANTINE if change.status is Status.QUARANTINING else Verdict.STOP
        return Judgement(verdict, replace(self.known, change_id=self.new_id), change)

    def change(self, step: _Step, status: Status) -> SchemaChange:
        """What is stored of a change."""
        known, met = self.known, self.met
        return SchemaChange(
            self.new_id,
            met.flow_id,
            met.instance_id,
            met.stream,
            status,
            tuple(step.differences),
            step.after or known,
            known.expected,
            met.mapping_fingerprint,
            met.now,
        )


def _declared_parts(known: Known) -> tuple[Any, ...]:
    return known.declared, known.primary_key, known.cursor_field


def _union(one: Iterable[Change], other: Iterable[Change]) -> list[Change]:
    """Both, with what the other says of a place where both say something."""
    return list({**{(x.path, x.kind): x for x in one}, **{(x.path, x.kind): x for x in other}}.values())


def _declared(known: Known, met: Observation) -> _Step:
    """The source declares something: compared with what it declared last."""
    after = replace(known, primary_key=met.primary_key, cursor_field=met.cursor_field)
    found: list[Change] = []
    if known.primary_key and known.primary_key != met.primary_key:
        found.append(moved(ChangeKind.KEY_CHANGED, known.primary_key, met.primary_key))
    if known.cursor_field and known.cursor_field != met.cursor_field:
        found.append(moved(ChangeKind.CURSOR_CHANGED, [known.cursor_field], [met.cursor_field]))
    if met.declared and met.declared != known.declared:
        if known.declared:
            old, new = _shape(known.declared), _shape(met.declared)
            found = [*compare(old, new, _reads(met)), *found]
        # What records have shown besides is learnt anew, without a word, from the next page.
        after = replace(after, declared=met.declared, expected=met.declared, records=0)
    return _Step(found, after)


def _seen(known: Known, met: Observation, policy: Policy) -> _Step:
    """A page of records shows something: compared with what is expected."""
    if not known.records:
        return _Step(after=_learnt(known, met))
    old, new = _shape(known.expected), _shape(met.seen)
    is_enough = known.records * met.records >= EVIDENCE
    found = compare(old, new, _reads(met), is_inferred=True, tells_removals=is_enough)
    if not policy.keeps_unknown:
        told = {*known.dropped}
        found = [one for one in found if one.kind is not ChangeKind.FIELD_ADDED or one.path not in told]
    return _Step(found, _learnt(known, met, drops_missing=is_enough))


def _learnt(known: Known, met: Observation, *, drops_missing: bool = True) -> Known:
    new = _shape(met.seen)
    if known.expected:
        old = _shape(known.expected)
        both = merged(old, new)
        if not drops_missing:
            both.required |= {name for name in old.required if name not in new.members}
        new = both
    return replace(known, expected=_text(new), records=min(known.records + met.records, 1 << 40))


def _adopted(step: _Step, policy: Policy) -> Known | None:
    """The stream as it is remembered when a change passes; without fields that are to be dropped."""
    if step.after is None or policy.keeps_unknown:
        return step.after
    added = {one.path for one in step.differences if one.kind is ChangeKind.FIELD_ADDED}
    dropped = tuple(sorted({*step.after.dropped, *added})[:_MOST_DROPPED])
    if not dropped:
        return step.after
    shape = without(_shape(step.after.expected), map(parse_path, dropped))
    return replace(step.after, expected=_text(shape), dropped=dropped)


def _reads(met: Observation) -> Reads:
    return Reads(met.source_paths, [*met.primary_key, *([met.cursor_field] if met.cursor_field else [])])


def _shape(schema: str) -> Shape:
    return shape_of_schema(json.loads(schema)) if schema else Shape()


def _text(shape: Shape) -> str:
    """A shape as compact JSON Schema."""
    return json.dumps(schema_of(shape), separators=(",", ":"), ensure_ascii=False)


__all__ = ["EVIDENCE", "accepted", "judge"]
