"""Moments between the contract and Python."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.resilience.faults import FixRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400


def stamp(moment: datetime | None) -> Timestamp | None:
    """Write a moment as the contract does; None stays unset."""
    if moment is None:
        return None
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return Timestamp(seconds=since.days * _DAY + since.seconds, nanos=since.microseconds * 1000)


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
