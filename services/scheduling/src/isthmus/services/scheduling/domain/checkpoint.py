"""How far one partition of a flow has come, and where the next attempt goes on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from isthmus.services.scheduling.domain.flow import ReadMode


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A durable position.

    Attributes:
        partition: Empty where the stream has one part only.
        state: The connector's own; empty means the beginning.
        schema_version: Layout of `state`.
        summary: For people.
        is_complete: Whether the partition has been read to its end.
    """

    partition: str
    state: bytes = b""
    schema_version: int = 0
    summary: str = ""
    is_complete: bool = False


def resume_points(
    stored: Iterable[tuple[Checkpoint, str]], execution_id: str, read_mode: ReadMode, *, whole: bool = False
) -> list[Checkpoint]:
    """Give the positions from which an attempt goes on.

    Inside one execution a completed partition stays complete. In another execution it begins at
    the position that came with its completion, or anew when that is the beginning; a partition
    that was interrupted goes on in either case, unless one execution has to show everything.

    Args:
        stored: Checkpoints with the execution that stored them.
        execution_id: The execution that is to go on.
        read_mode: How its flow reads the source.
        whole: What an execution does not show counts as deleted, so each begins anew.
    """
    points = []
    for checkpoint, stored_by in stored:
        if whole and stored_by != execution_id:
            continue
        if not checkpoint.is_complete or stored_by == execution_id:
            points.append(checkpoint)
        elif checkpoint.state and read_mode is not ReadMode.FULL:
            points.append(replace(checkpoint, is_complete=False))
    return points


__all__ = ["Checkpoint", "resume_points"]
