"""Where reading a stream of the hub goes on; opaque to everybody else."""

from enum import IntEnum

import msgspec
from isthmus.resilience.faults import FixRequest

SCHEMA_VERSION = 1


class ReadMode(IntEnum):
    """How a stream is read; the numbers are the contract's."""

    FULL = 1
    INCREMENTAL = 2
    DELTA = 3


class ReadPosition(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A place in a stream.

    Attributes:
        after_key: For full reading: the last key given.
        after_change: For changes: the number of the last change given.
    """

    after_key: str = ""
    after_change: int = 0

    @property
    def state(self) -> bytes:
        """The position as bytes; empty at the beginning."""
        return b"" if self == ReadPosition() else msgspec.json.encode(self)


def parse_position(state: bytes, schema_version: int, mode: ReadMode) -> ReadPosition:
    """Read a position that this service wrote.

    Raises:
        FixRequest: `POSITION_UNREADABLE`, it is another mode's, another layout's or damaged.
    """
    if not state:
        return ReadPosition()
    try:
        position = msgspec.json.decode(state, type=ReadPosition)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable() from error
    wrong_mode = bool(position.after_key) != (mode == ReadMode.FULL)
    if schema_version != SCHEMA_VERSION or wrong_mode or not 0 <= position.after_change < 1 << 63:
        raise _unreadable()
    if "\0" in position.after_key:
        raise _unreadable()
    return position


def check_within(position: ReadPosition, last_change: int) -> None:
    """Refuse a position behind the stream's last change: the stream was restored from an older copy.

    Raises:
        FixRequest: `POSITION_UNREADABLE`.
    """
    if position.after_change > last_change:
        raise _unreadable()


def _unreadable() -> FixRequest:
    message = "The position is not one of this stream and read mode; start from the beginning."
    return FixRequest("POSITION_UNREADABLE", message, path="position")


__all__ = ["SCHEMA_VERSION", "ReadMode", "ReadPosition", "check_within", "parse_position"]
