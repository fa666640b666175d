"""The legs of a reconciliation: both sides are announced to the hub, and compared and repaired there."""

from dataclasses import dataclass, replace

from isthmus.resilience.faults import Precondition
from isthmus.services.scheduling.domain.flow import HUB, Direction, Endpoint, FlowSpec, ReadMode, WriteMode
from isthmus.services.scheduling.domain.legs import Leg, connector_of, movement

COMPARE_STREAM = "compare:"
"""Begins the names of the hub's streams through which both sides are announced."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """What a reconciliation does about what it finds.

    Attributes:
        repair: Missing and different records are written again.
        delete_extra: Extra records are removed.
        source_connector_id: Whose hosts read the flow's source.
    """

    repair: bool = False
    delete_extra: bool = False
    source_connector_id: str = ""

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The legs in their order: the destination first, because not every one can be read."""
        compare = (Leg.COMPARE_DESTINATION, Leg.COMPARE_SOURCE)
        repair = (Leg.REPAIR,) if self.repair else ()
        return (*compare, *repair, *((Leg.DELETE_EXTRA,) if self.repair and self.delete_extra else ()))

    def following(self, leg: Leg) -> Leg | None:
        """Give the leg that comes after another; None at the end."""
        place = self.legs.index(leg) + 1
        return self.legs[place] if place < len(self.legs) else None

    def connector_of(self, spec: FlowSpec, leg: Leg, destination: str) -> str:
        """Tell whose hosts carry a leg out; `destination` is the connector of the flow's destination."""
        if leg is Leg.DELETE_EXTRA:
            return HUB
        reads_destination = leg is Leg.COMPARE_DESTINATION
        is_reverse = spec.direction is Direction.REVERSE
        return destination if reads_destination != is_reverse else self.source_connector_id


def reconciling_movement(execution_id: str, flow_id: str, spec: FlowSpec, leg: Leg) -> FlowSpec:
    """Give a leg as a flow that goes one way; both sides are read whole."""
    base = replace(movement(flow_id, spec, Leg.WHOLE), read_mode=ReadMode.FULL)

    def stream(name: str) -> Endpoint:
        return Endpoint(HUB, f"{COMPARE_STREAM}{execution_id}:{name}")

    match leg:
        case Leg.COMPARE_DESTINATION:
            announced = stream("destination")
            return replace(base, source=base.destination, destination=announced, write_mode=WriteMode.UPSERT)
        case Leg.COMPARE_SOURCE:
            return replace(base, destination=stream("source"), write_mode=WriteMode.UPSERT)
        case Leg.DELETE_EXTRA:
            return replace(
                base,
                source=stream("extra"),
                mapping_id="",
                mapping_version=0,
                read_mode=ReadMode.DELTA,
                write_mode=WriteMode.UPSERT,
            )
        case _:
            return base


def known_source(reconcile: Reconcile | None, source_connector_id: str) -> Reconcile | None:
    """Keep whose hosts read the flow's source, which later legs have to know."""
    return reconcile and replace(reconcile, source_connector_id=source_connector_id)


def spec_for(spec: FlowSpec, reconcile: Reconcile | None) -> FlowSpec:
    """Give a flow in the form of its execution; what cannot be compared does not end a comparison."""
    if reconcile is None:
        return spec
    return replace(spec, failure_policy=replace(spec.failure_policy, max_quarantined=0))


def connector_for(
    spec: FlowSpec, leg: Leg, source: str, destination: str, *, reconcile: Reconcile | None
) -> str:
    """Tell whose hosts carry a leg of any execution out."""
    if reconcile is not None:
        return reconcile.connector_of(spec, leg, destination)
    return connector_of(spec, leg, source, destination)


def refuse_repair(flow_id: str, spec: FlowSpec, reconcile: Reconcile | None) -> None:
    """Let a two-way flow repair itself.

    Raises:
        Precondition: `REPAIR_ONE_WAY_ONLY`.
    """
    if reconcile is not None and reconcile.repair and spec.direction is Direction.BOTH:
        message = (
            f'Flow "{spec.name}" goes both ways and repairs itself: reset it and start it, '
            "or reconcile it without repair."
        )
        raise Precondition("REPAIR_ONE_WAY_ONLY", message, metadata={"flow_id": flow_id})


__all__ = [
    "COMPARE_STREAM",
    "Reconcile",
    "connector_for",
    "known_source",
    "reconciling_movement",
    "refuse_repair",
    "spec_for",
]
