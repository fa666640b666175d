"""What is around the records of a page: found once, and from then on decoded together with them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from isthmus.sdk.decode import decode_json
from isthmus.sdk.framing import FramingBroken, member_of, space_end, value_end

KEY = b'":'
"""What every name ends with."""

Levels = tuple[tuple[str, frozenset[str]], ...]
"""For each object on the way to the records, the member that leads there and the others."""
_Found = list[tuple[str, dict[str, msgspec.Raw]]]
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Envelope:
    """The members around the records, decoded and known to have no name twice in themselves.

    Attributes:
        levels: Where the records are.
        names: How many names there are outside of the records.
    """

    def __init__(self, found: _Found, where: str) -> None:
        self.levels: Levels = tuple((name, frozenset(others)) for name, others in found)
        self.names = len(found)
        self._around: list[tuple[str, dict[str, Any]]] = []
        for name, others in found:
            texts = {other: bytes(raw) for other, raw in others.items()}
            self.names += len(texts) + sum(text.count(KEY) for text in texts.values())
            self._around.append((name, {other: decode_json(text, where) for other, text in texts.items()}))

    def around(self, records: Any) -> Any:
        """The document with these records in it."""
        inside = records
        for name, members in reversed(self._around):
            inside = {**members, name: inside}
        return inside


def find_records(raw: bytes, path: str) -> tuple[_Found, bytes | msgspec.Raw]:
    """Finds the list at a dotted path; a member whose own name has dots is found first.

    Raises:
        MsgspecError: There is nothing.
    """
    found: _Found = []
    records: bytes | msgspec.Raw = raw
    if not path:
        return found, records
    members = _members(raw)
    for name in [path] if path in members else path.split("."):
        if found:
            members = _members(records)
        if name not in members:
            raise msgspec.ValidationError(name)
        records = members.pop(name)
        found.append((name, members))
    return found, records


def first_record(raw: bytes, levels: Levels) -> bytes:
    """The first of the records as it came.

    Raises:
        FramingBroken: It is not where it should be.
    """
    at: int | None = space_end(raw, 0)
    for name, _ in levels:
        at = member_of(raw, at, name) if at is not None else None
    if at is None:
        raise FramingBroken
    begin = space_end(raw, at + 1)
    return raw[begin : value_end(raw, begin)]


@lru_cache(maxsize=256)
def decoder_of(
    record_type: type[msgspec.Struct], levels: Levels
) -> Callable[[bytes], tuple[_Found, list[Any]]]:
    """Decodes documents with records at a known place in one go, as long as nothing new is in them.

    The function raises `msgspec.MsgspecError` where something is.
    """
    kind: Any = list[record_type]  # type: ignore[valid-type]
    for name, others in reversed(levels):
        names = {"inside": name, **{f"f{number}": other for number, other in enumerate(sorted(others))}}
        members: list[Any] = [
            (own, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for own in names if own != "inside"
        ]
        kind = msgspec.defstruct(
            "Level", [("inside", kind), *members], rename=names, forbid_unknown_fields=True, gc=False
        )
    decode = msgspec.json.Decoder(kind).decode

    def decoded(raw: bytes) -> tuple[_Found, list[Any]]:
        inside = decode(raw)
        found: _Found = []
        for name, others in levels:
            values = ((other, getattr(inside, f"f{number}")) for number, other in enumerate(sorted(others)))
            found.append((name, {other: value for other, value in values if value is not msgspec.UNSET}))
            inside = inside.inside
        return found, inside

    return decoded


__all__ = ["KEY", "Envelope", "Levels", "decoder_of", "find_records", "first_record"]
