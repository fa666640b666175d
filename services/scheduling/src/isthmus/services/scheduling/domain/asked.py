"""What a caller asks of one execution that its flow does not say."""

from dataclasses import dataclass, replace

from isthmus.resilience.faults import Precondition
from isthmus.services.scheduling.domain.flow import Direction, FlowSpec


@dataclass(frozen=True, slots=True)
class Asked:
    """What is special about an execution.

    Attributes:
        dry_run: Nothing is written anywhere.
        record_limit: Reading stops after so many records; 0 means no limit.
        since: Only records of this time and later are read, as ISO 8601; empty means all.
        until: Only records before this time are read; goes with `since`.
        field: Where a record's time stands; empty leaves it to the stream.
    """

    dry_run: bool = False
    record_limit: int = 0
    since: str = ""
    until: str = ""
    field: str = ""

    @property
    def stands_alone(self) -> bool:
        """Whether it must neither read nor move the positions of the flow's other executions."""
        return bool(self.since)


NOTHING_ASKED = Asked()


def as_asked(spec: FlowSpec, asked: Asked) -> FlowSpec:
    """Give the form of the flow that an execution uses; a dry run counts rejects and puts none aside."""
    if not asked.dry_run:
        return spec
    return replace(spec, failure_policy=replace(spec.failure_policy, max_quarantined=0))


def refuse_two_way(flow_id: str, spec: FlowSpec, asked: Asked) -> None:
    """Refuse a dry run or a backfill of a flow that goes both ways.

    Raises:
        Precondition: `ONE_WAY_ONLY`.
    """
    if (asked.dry_run or asked.since) and spec.direction is Direction.BOTH:
        message = (
            f'Flow "{spec.name}" goes both ways, and what it writes depends on all that it notes of '
            "both sides; use a flow that goes one way."
        )
        raise Precondition("ONE_WAY_ONLY", message, metadata={"flow_id": flow_id})


__all__ = ["NOTHING_ASKED", "Asked", "as_asked", "refuse_two_way"]
