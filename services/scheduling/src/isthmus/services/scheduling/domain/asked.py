"""What a caller asks of one execution that its flow does not say."""

from dataclasses import dataclass


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

__all__ = ["NOTHING_ASKED", "Asked"]
