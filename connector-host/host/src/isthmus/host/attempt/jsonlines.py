"""Mapped records as lines of JSON: one text for all records of a piece, and one for their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

_END = "\n"
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Some records, each with the bytes that it would have by itself.

    Attributes:
        text: All records, each ended by a line feed.
        keys: All keys, each ended by a line feed; empty where the destination derives them.
        count: How many records there are.
        indexes: For each of them the input record that it came from.
    """

    text: bytes
    keys: str
    count: int
    indexes: Sequence[int] = ()

    @property
    def columns(self) -> object:
        """What lines need to have in common to travel in one batch."""
        return bool(self.keys)

    def part(self, begin: int, end: int) -> JsonLines:
        """Some of the lines, by themselves."""
        records = b"".join(record + b"\n" for record in self.records()[begin:end])
        keys = "".join(key + _END for key in self.single_keys()[begin:end])
        return JsonLines(records, keys, end - begin)

    def records(self) -> list[bytes]:
        """The bytes of each record."""
        return self.text.split(b"\n")[:-1]

    def single_keys(self) -> list[str]:
        """The key of each record; empty where there are none."""
        return self.keys.split(_END)[:-1]


def json_lines(
    records: Sequence[Any], keys: Sequence[str], indexes: Sequence[int], size: int
) -> JsonLines | None:
    """Write records as lines.

    Args:
        records: What msgspec can encode, and nothing that was encoded before.
        keys: One for each of them, or none at all.
        indexes: The input record that each came from.
        size: Most bytes of one record.

    Returns:
        None where lines cannot say it: a key has a line feed in it, or a record is too large.

    Raises:
        Exception: A record cannot be written as JSON, as the encoder says it.
    """
    text = _encoder.encode_lines(records)
    joined = ""
    if any(keys):
        joined = _END.join((*keys, ""))
        if joined.count(_END) != len(keys):
            return None
    if len(text) > size and max(map(len, text.split(b"\n"))) > size:
        return None
    return JsonLines(text, joined, len(records), indexes)


__all__ = ["JsonLines", "json_lines"]
