"""Moments between the contract and Python."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.resilience.faults import FixRequest


def stamp(moment: datetime | None) -> Timestamp | None:
    """Write a moment as the contract does; None stays unset."""
    if moment is None:
        return None
    written = Timestamp()
    written.FromDatetime(moment)
    return written


def moment(written: Timestamp, path: str) -> datetime | None:
    """Read a moment in UTC; an unset one is None.

    Args:
        written: As it was sent.
        path: The field it came in, for the message.

    Raises:
        FixRequest: `FIELD_INVALID`, no calendar has this moment.
    """
    if not written.ByteSize():
        return None
    try:
        return written.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        message = f"Send a time between the years 1 and 9999 in `{path}`."
        raise FixRequest("FIELD_INVALID", message, path=path) from error


__all__ = ["moment", "stamp"]
