"""Which batch may take effect: fencing of older attempts, order, and repetition."""

from dataclasses import dataclass

from isthmus.resilience.faults import FixRequest, Precondition


@dataclass(frozen=True, slots=True)
class WritePosition:
    """What is remembered about one flow and partition.

    Attributes:
        fencing_token: The newest attempt that has written.
        last_sequence: Its last batch.
    """

    fencing_token: int = 0
    last_sequence: int = 0


def admit(position: WritePosition, fencing_token: int, sequence: int) -> bool:
    """Tell whether a batch is to take effect; False means that it did already.

    Raises:
        Precondition: `FENCED`, a newer attempt writes the flow.
        FixRequest: `BATCH_INVALID`, a batch before this one is missing.
    """
    if fencing_token < position.fencing_token:
        message = (
            f"Attempt {position.fencing_token} writes this flow now; attempt {fencing_token} must stop"
            " and not retry."
        )
        raise Precondition("FENCED", message, metadata={"fencing_token": str(position.fencing_token)})
    last = position.last_sequence if fencing_token == position.fencing_token else 0
    if sequence < 1 or sequence > last + 1:
        message = f"Batch {sequence} came where batch {last + 1} was due; send the batches in order."
        raise FixRequest("BATCH_INVALID", message)
    return sequence == last + 1


__all__ = ["WritePosition", "admit"]
