"""One round of a two-way flow, as the pairs see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.resilience.faults import Precondition
from isthmus.services.records.domain.pairs.model import Rules, Side

BACK = ":back"


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be known of the round that is under way.

    Attributes:
        execution_id: Which execution it is.
        fencing_token: The present attempt's.
        rules: What the flow's owner decided.
        whole: Sides that are read whole: what is missing there has been deleted.
        taken: For each side, the number up to which it has taken what was written for it.
        is_requeue: What was refused is to be tried again.
    """

    execution_id: str
    fencing_token: int
    rules: Rules = field(default_factory=Rules)
    whole: frozenset[Side] = frozenset()
    taken: Mapping[Side, int] = field(default_factory=dict)
    is_requeue: bool = False


@dataclass(frozen=True, slots=True)
class ConflictNews:
    """What happened to conflicts of a flow.

    Attributes:
        flow_id: Which flow.
        conflict_ids: Which conflicts.
        verb: `found` or `resolved`.
        who: Who decided; empty when they were found.
    """

    flow_id: str
    conflict_ids: Sequence[str]
    verb: str
    who: str = ""


def link_flow(flow_id: str, side: Side) -> str:
    """Give the name under which a side's links of a flow are kept: each side has ids of its own."""
    return flow_id if side is Side.DESTINATION else flow_id + BACK


def too_many_deletions(found: int, most: int) -> Precondition:
    """Say why a round stops before it writes."""
    message = (
        f"{found} records would be deleted and the flow allows {most} a round; look whether a system lost "
        "its records or hides them, else raise the limit."
    )
    return Precondition("TOO_MANY_DELETIONS", message, metadata={"found": str(found), "most": str(most)})


__all__ = ["BACK", "ConflictNews", "Round", "link_flow", "too_many_deletions"]
