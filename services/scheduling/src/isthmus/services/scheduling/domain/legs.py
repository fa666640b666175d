"""The legs of a two-way flow's round: each is a movement one way, and one follows the other."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from isthmus.services.scheduling.domain.counts import NOTHING, Counts
from isthmus.services.scheduling.domain.flow import HUB, Direction, Endpoint, FlowSpec, ReadMode, WriteMode

PAIR_STREAM = "pair:"
INVERSE = "~inverse"
"""Behind the id of a mapping: the one that undoes it, which the mapping service derives."""


class Leg(StrEnum):
    """One of the movements that make up a round, or a reconciliation."""

    WHOLE = ""
    READ_SOURCE = "read_source"
    READ_DESTINATION = "read_destination"
    WRITE_DESTINATION = "write_destination"
    WRITE_SOURCE = "write_source"
    COMPARE_DESTINATION = "compare_destination"
    COMPARE_SOURCE = "compare_source"
    REPAIR = "repair"
    DELETE_EXTRA = "delete_extra"


_COMPARING = frozenset({Leg.COMPARE_DESTINATION, Leg.COMPARE_SOURCE, Leg.REPAIR, Leg.DELETE_EXTRA})
_ROUND = (Leg.READ_SOURCE, Leg.READ_DESTINATION, Leg.WRITE_DESTINATION, Leg.WRITE_SOURCE)


@dataclass(frozen=True, slots=True)
class LegDone:
    """How a leg went that is complete."""

    leg: Leg
    counts: Counts = NOTHING
    start_time: datetime | None = None
    end_time: datetime | None = None


def first_leg(spec: FlowSpec) -> Leg:
    """Give the leg with which an execution begins."""
    return _ROUND[0] if spec.direction is Direction.BOTH else Leg.WHOLE


def next_leg(leg: Leg) -> Leg | None:
    """Give the leg that follows; None at the end of the execution."""
    following = _ROUND[_ROUND.index(leg) + 1 :] if leg in _ROUND else ()
    return following[0] if following else None


def movement(flow_id: str, spec: FlowSpec, leg: Leg) -> FlowSpec:
    """Give a leg as a flow that goes one way."""
    match leg:
        case Leg.READ_SOURCE:
            return replace(
                spec,
                destination=_pairs(flow_id, spec, "source"),
                destination_key=(),
                write_mode=WriteMode.UPSERT,
            )
        case Leg.READ_DESTINATION:
            # The mapping tells which fields of the destination's records count.
            return replace(
                spec,
                source=spec.destination,
                destination=_pairs(flow_id, spec, "destination"),
                destination_key=(),
                read_mode=spec.reverse_read_mode,
                write_mode=WriteMode.UPSERT,
            )
        case Leg.WRITE_DESTINATION:
            return replace(
                spec,
                source=_pairs(flow_id, spec, "destination"),
                mapping_id="",
                mapping_version=0,
                read_mode=ReadMode.DELTA,
                write_mode=WriteMode.UPSERT,
            )
        case Leg.WRITE_SOURCE:
            return replace(_reversed(spec), source=_pairs(flow_id, spec, "source"), read_mode=ReadMode.DELTA)
        case _:
            is_reverse = spec.direction is Direction.REVERSE
            return replace(_reversed(spec), write_mode=spec.write_mode) if is_reverse else spec


def with_way_back(spec: FlowSpec) -> FlowSpec:
    """Give a two-way flow that names one mapping only what undoes it for the other way.

    What was given so before follows the mapping that is named now.
    """
    if spec.direction is not Direction.BOTH:
        return spec
    there, back = spec.mapping_id, spec.reverse_mapping_id
    if there and not there.endswith(INVERSE) and (not back or back.endswith(INVERSE)):
        undone = f"{there}{INVERSE}"
        return replace(spec, reverse_mapping_id=undone, reverse_mapping_version=spec.mapping_version)
    if back and not back.endswith(INVERSE) and (not there or there.endswith(INVERSE)):
        undone = f"{back}{INVERSE}"
        return replace(spec, mapping_id=undone, mapping_version=spec.reverse_mapping_version)
    return spec


def _reversed(spec: FlowSpec) -> FlowSpec:
    return replace(
        spec,
        source=spec.destination,
        destination=spec.source,
        mapping_id=spec.reverse_mapping_id,
        mapping_version=spec.reverse_mapping_version,
        destination_key=spec.reverse_key,
        read_mode=spec.reverse_read_mode,
        write_mode=WriteMode.UPSERT,
    )


def _pairs(flow_id: str, spec: FlowSpec, side: str) -> Endpoint:
    """Name the stream of pairs; other ends of the flow make other pairs."""
    ends = f"{spec.source.instance_id}/{spec.source.stream}\n"
    ends += f"{spec.destination.instance_id}/{spec.destination.stream}"
    mark = hashlib.sha256(ends.encode()).hexdigest()[:8]
    return Endpoint(HUB, f"{PAIR_STREAM}{flow_id}.{mark}:{side}")


def connector_of(spec: FlowSpec, leg: Leg, source: str, destination: str) -> str:
    """Tell whose hosts carry a leg out.

    Args:
        spec: The flow.
        leg: The leg.
        source: The connector of the flow's source.
        destination: The connector of the flow's destination.
    """
    if leg is Leg.READ_DESTINATION or (leg is Leg.WHOLE and spec.direction is Direction.REVERSE):
        return destination
    return HUB if leg in {Leg.WRITE_DESTINATION, Leg.WRITE_SOURCE} else source


def lineage_of(spec: FlowSpec, leg: Leg, epoch: int, execution_id: str, *, is_requeue: bool) -> str:
    """Name the positions that a leg goes on from.

    What reads a side whole must read all of it in one execution, because what is missing counts as
    deleted; it shares its positions with no other. So does a requeue, which goes back to the beginning.
    """
    if leg is Leg.WHOLE:
        return f"x{execution_id}" if is_requeue else f"e{epoch}"
    if leg in _COMPARING:
        return f"x{execution_id}.{leg}"
    mode = {Leg.READ_SOURCE: spec.read_mode, Leg.READ_DESTINATION: spec.reverse_read_mode}.get(leg)
    alone = mode is ReadMode.FULL or (mode is not None and is_requeue)
    return f"x{execution_id}.{leg}" if alone else f"e{epoch}.{leg}"


__all__ = [
    "PAIR_STREAM",
    "Leg",
    "LegDone",
    "connector_of",
    "first_leg",
    "lineage_of",
    "movement",
    "next_leg",
]
