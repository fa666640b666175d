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
    """

    dry_run: bool = False
    record_limit: int = 0


NOTHING_ASKED = Asked()


def as_asked(spec: FlowSpec, asked: Asked) -> FlowSpec:
    """Give the form of the flow that an execution uses; a dry run counts rejects and puts none aside."""
    if not asked.dry_run:
        return spec
    return replace(spec, failure_policy=replace(spec.failure_policy, max_quarantined=0))


def refuse_two_way(flow_id: str, spec: FlowSpec, asked: Asked) -> None:
    """Refuse a dry run of a flow that goes both ways.

    Raises:
        Precondition: `ONE_WAY_ONLY`.
    """
    if asked.dry_run and spec.direction is Direction.BOTH:
        message = (
            f'Flow "{spec.name}" goes both ways, and what it would write depends on what it notes of '
            "both sides; try its mappings with a flow that goes one way."
        )
        raise Precondition("ONE_WAY_ONLY", message, metadata={"flow_id": flow_id})


__all__ = ["NOTHING_ASKED", "Asked", "as_asked", "refuse_two_way"]
