"""Complete refreshes of a destination, at whose end goes what they have not shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.resilience.absence import too_many_absent
from isthmus.sdk.failures import ConfigurationFailure, DeletionsSuspicious


@dataclass(frozen=True, slots=True)
class Generation:
    """A complete refresh whose batches are all written.

    Attributes:
        generation_id: As in the id of each of its batches.
        mark: What is set in a record that was not shown; None removes the record.
        most_records: Most that may go; 0 means no limit.
        most_percent: Most of what there was, in per cent; 0 means the usual part.
    """

    flow_id: str
    generation_id: str
    fencing_token: int
    mark: Mapping[str, Any] | None = None
    most_records: int = 0
    most_percent: int = 0

    def check(self, shown: int, absent: int) -> None:
        """Refuses to take for deleted what is rather a mistake; call it before anything is removed.

        Raises:
            DeletionsSuspicious: more would go than may.
        """
        why = too_many_absent(shown, absent, most_records=self.most_records, most_percent=self.most_percent)
        if why:
            raise DeletionsSuspicious(why)


@dataclass(frozen=True, slots=True)
class Finished:
    """What the end of a generation did.

    Attributes:
        shown: Records that it has shown.
        removed: Records that were removed or marked.
        is_first: Nothing was known of what the flow has written before, so nothing could be missed.
    """

    shown: int
    removed: int
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Foresight:
    """What the end of a generation would do.

    Attributes:
        removed: Records that would be removed or marked.
        is_first: Nothing is known of what the flow has written before.
        samples: A few of them, each with its key and its content as a JSON object.
    """

    removed: int
    is_first: bool = False
    samples: Sequence[tuple[str, str]] = ()


def generations_unsupported(stream: str) -> ConfigurationFailure:
    """Says that a stream cannot tell what a refresh has not shown."""
    message = f"Stream {stream} cannot tell which of its records are absent: take `absent` out of `deletes`."
    return ConfigurationFailure("GENERATIONS_UNSUPPORTED", message, path="deletes.absent")


__all__ = ["Finished", "Foresight", "Generation", "generations_unsupported"]
