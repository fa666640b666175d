"""Names of the streams through which hosts reach the pairs of a flow.

What is written into a side's stream was read from that side; what is read from it is for that side.
These streams belong to the flow: they are not listed, and no other flow may name them.
"""

from dataclasses import dataclass

from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.pairs.model import Side

PREFIX = "pair:"


@dataclass(frozen=True, slots=True)
class PairStream:
    """One side of the pairs of a flow.

    Attributes:
        pairing: The flow together with the two ends it has: other ends make other pairs.
        flow_id: The flow.
        side: Which side.
    """

    pairing: str
    flow_id: str
    side: Side


def is_pair_stream(stream: str) -> bool:
    """Tell whether a stream's name is one of these."""
    return stream.startswith(PREFIX)


def parse_stream(stream: str) -> PairStream:
    """Read a stream's name, `pair:<flow>.<ends>:<side>`.

    Raises:
        Missing: `STREAM_UNKNOWN`.
    """
    pairing, _, side = stream.removeprefix(PREFIX).rpartition(":")
    flow_id, _, ends = pairing.partition(".")
    if not (flow_id and ends and side in set(Side)):
        message = f"Stream {stream!r} belongs to no two-way flow; choose another name."
        raise Missing("STREAM_UNKNOWN", message, path="stream")
    return PairStream(pairing, flow_id, Side(side))


__all__ = ["PREFIX", "PairStream", "is_pair_stream", "parse_stream"]
