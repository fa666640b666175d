"""The legs of two-way flows: what is special about reading for pairs and writing from them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.binding import HUB
from isthmus.mapper import Mapped, Plan, identity_plan
from isthmus.resilience import Fault
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.records import at_path

BACK = ":back"
"""Follows the flow's id towards its source: each side remembers writes, and links, of its own."""
_PAIR_STREAM = "pair:"
_READING = frozenset(
    {
        scheduling.LEG_READ_SOURCE,
        scheduling.LEG_READ_DESTINATION,
        scheduling.LEG_COMPARE_DESTINATION,
    }
)
_WRITING = frozenset({scheduling.LEG_WRITE_DESTINATION, scheduling.LEG_WRITE_SOURCE})
# They read what was noted of both sides, which has one form, or the destination, whose form is its own.
_UNWATCHED = _WRITING | {scheduling.LEG_COMPARE_DESTINATION, scheduling.LEG_DELETE_EXTRA}
_PASSING_ON = frozenset(
    {scheduling.LEG_READ_DESTINATION, scheduling.LEG_COMPARE_DESTINATION, scheduling.LEG_WRITE_SOURCE}
)


class RecordPlan(Protocol):
    """What turns records into others, many at once."""

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map records; each is in the result, rejected, or left out."""
        ...


class SidePlan:
    """Gives what one side of a two-way flow holds: the mapped record and the time of its last change.

    A record that the mapping leaves out is told of all the same, because it has not been deleted.

    Args:
        plan: Gives the form in which both sides are compared.
        time_field: Dotted path in the record as the side gives it; empty where times do not matter.
    """

    def __init__(self, plan: RecordPlan, time_field: str) -> None:
        self._plan = plan
        self._time_field = time_field

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map records into notes."""
        given = list(records)
        mapped = self._plan.apply_many(given)
        notes = {
            index: {"record": record, "time": self._time(given[index])}
            for index, record in zip(mapped.indexes, mapped.records, strict=True)
        }
        rejected = {one.index for one in mapped.rejected}
        for index in range(len(given)):
            if index not in notes and index not in rejected:
                notes[index] = {"left_out": True}
        indexes = sorted(notes)
        return Mapped([notes[index] for index in indexes], indexes, mapped.rejected, 0, mapped.notes)

    def _time(self, record: Any) -> Any:
        found = at_path(record, self._time_field) if self._time_field and isinstance(record, dict) else None
        return found.isoformat() if isinstance(found, datetime) else found


class TargetFields:
    """Keeps of a destination's record the fields that the mapping makes; the others are its own business.

    Args:
        plan: The mapping from source to destination.
    """

    def __init__(self, plan: Plan) -> None:
        self._keeps_all = plan.keeps_unmapped
        self._tree: dict[str, Any] = {}
        for line in plan.lineage:
            _plant(self._tree, target_names(line.target))

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map records."""
        given = identity_plan().apply_many(records)
        if self._keeps_all:
            return given
        kept = [_kept(record, self._tree) for record in given.records]
        return Mapped(kept, given.indexes, given.rejected, 0)


class _Stampless:
    """Leaves out the time of the last change where nothing else does: each side stamps its own."""

    def __init__(self, plan: RecordPlan, time_field: str) -> None:
        self._plan = plan
        self._path = time_field.split(".") if time_field else []

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map records."""
        mapped = self._plan.apply_many(records)
        if self._path:
            kept = [_without(record, self._path) for record in mapped.records]
            return replace(mapped, records=kept)
        return mapped


def _without(record: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    name, *rest = path
    inner = record.get(name)
    if rest and isinstance(inner, dict):
        return {**record, name: _without(inner, rest)}
    return record if rest else {other: value for other, value in record.items() if other != name}


def side_plan(flow: scheduling.Flow, leg: int, plan: Plan | None) -> RecordPlan | None:
    """Give the plan of a leg, made out of the flow's mapping."""
    rules = flow.conflict_rules
    if leg == scheduling.LEG_READ_SOURCE:
        return _side_plan(plan or identity_plan(), plan, rules.source_time_field)
    if leg == scheduling.LEG_READ_DESTINATION:
        fields = TargetFields(plan) if plan is not None else identity_plan()
        return _side_plan(fields, plan, rules.destination_time_field)
    return plan


def _side_plan(form: RecordPlan, plan: Plan | None, time_field: str) -> SidePlan:
    if plan is None or plan.keeps_unmapped:
        return SidePlan(_Stampless(form, time_field), time_field)
    return SidePlan(form, time_field)


def read_paths(plan: Plan | None, leg: int) -> tuple[str, ...] | None:
    """Name the paths that a leg reads of a record; None stands for everything."""
    if plan is None or plan.keeps_unmapped:
        return None
    if leg == scheduling.LEG_READ_DESTINATION:
        return tuple(line.target for line in plan.lineage)
    return plan.sources


def pair_stream(flow: scheduling.Flow, leg: int) -> connector.StreamSpec | None:
    """Describe the stream of pairs that a leg reads; None where it reads another."""
    if leg not in _WRITING or not flow.source.stream.startswith(_PAIR_STREAM):
        return None
    return connector.StreamSpec(
        stream=flow.source.stream,
        primary_key=flow.destination_key,
        read_modes=[connector.READ_MODE_DELTA],
    )


def is_watched(leg: int) -> bool:
    """Tell whether a leg reads records as the source gives them, whose schema may change."""
    return leg not in _UNWATCHED


def maps_forward(leg: int) -> bool:
    """Tell whether a leg writes what the mapping makes; the others pass records on."""
    return leg not in _PASSING_ON


def begins_empty(flow: scheduling.Flow, leg: int, fault: Fault) -> bool:
    """Tell whether a side has nothing yet: a stream of the hub comes into being by the first write."""
    reads = leg in _READING
    return reads and flow.source.instance_id == HUB and fault.reason == "STREAM_UNKNOWN"


def writer_id(flow: scheduling.Flow, leg: int) -> str:
    """Name the writer as the destination of a leg remembers it."""
    towards_source = leg == scheduling.LEG_WRITE_SOURCE or flow.direction == scheduling.DIRECTION_REVERSE
    return flow.flow_id + BACK if towards_source else flow.flow_id


def target_names(path: str) -> list[str]:
    """The members that lead to a target; what lies inside a list belongs to the list."""
    names = path.replace("[*]", "[]").split(".")
    for place, name in enumerate(names):
        if "[" in name:
            return [*names[:place], name.partition("[")[0]]
    return names


def _plant(tree: dict[str, Any], names: Sequence[str]) -> None:
    for name in names[:-1]:
        inner = tree.setdefault(name, {})
        if inner is None:
            return
        tree = inner
    tree[names[-1]] = None


def _kept(record: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, inner in tree.items():
        if name in record:
            value = record[name]
            kept[name] = _kept(value, inner) if inner is not None and isinstance(value, dict) else value
    return kept


__all__ = [
    "BACK",
    "RecordPlan",
    "SidePlan",
    "TargetFields",
    "begins_empty",
    "is_watched",
    "maps_forward",
    "pair_stream",
    "read_paths",
    "side_plan",
    "target_names",
    "writer_id",
]
