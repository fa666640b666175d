"""Reads catalogues in which single controls cannot be read."""

from functools import partial
from typing import Any

from isthmus.sdk import DataFailure, ReadReject
from isthmus.sdk.decode import decode_json
from isthmus.sdk.framing import FramingBroken
from isthmus.sdk.salvage import Unread, without_unreadable

_LISTS = ("controls", "groups")


def read_catalogue(raw: bytes, where: str) -> tuple[Any, list[ReadReject]]:
    """The document without the controls that cannot be read, and these as they came.

    An enhancement that cannot be read costs itself, not its control; trouble in a group's own fields
    costs the group.

    Raises:
        DataFailure: The trouble is not inside of controls and groups.
    """
    try:
        return decode_json(raw, where), []
    except DataFailure:
        rest, unread = _mended(raw, where, "catalog.")
        if not unread:
            raise
        return decode_json(rest, where), [one.reject for one in unread]


def _mended(raw: bytes, where: str, prefix: str = "") -> tuple[bytes, list[Unread]]:
    """Takes what cannot be read out of the lists of a catalogue, group or control, however deep."""
    unread: list[Unread] = []
    for name in _LISTS:
        try:
            raw, found = without_unreadable(raw, where, prefix + name, mend=partial(_mended, where=where))
        except FramingBroken:
            continue
        unread += found
    return raw, unread
