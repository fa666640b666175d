"""Records decoded into structs that hold only what somebody wants of them.

A page of a long list is decoded once, straight into such structs; what nobody reads is skimmed over. The
page is read as dictionaries instead, with every check that there is for those, as soon as anything about
it is odd. The page's bytes are kept beside the structs, so that a single record can be looked at as a
whole when it is put aside.
"""

from codecs import utf_8_decode
from codecs import utf_16_le_decode as _pairs
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import UnionType
from typing import Any, Protocol, get_args

import msgspec
from isthmus.sdk.decode import decode_json
from isthmus.sdk.envelope import KEY, Envelope, Levels, decoder_of, find_records, first_record
from isthmus.sdk.failures import DataFailure
from isthmus.sdk.framing import FramingBroken

_BOM = b"\xef\xbb\xbf"
_KEY_PAIR = KEY.decode("utf-16-le")
_PAGES_OF_REST = 20
_PIECE = 32 * 1024
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_ODD = (*_UNREADABLE, FramingBroken, DataFailure)
_decode = msgspec.json.Decoder().decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Shape(Protocol):
    """What is wanted of a record.

    Attributes:
        record_type: A struct of exactly that; what is missing has its default.
        getters: For each path that was asked for besides, the function that reads it.
    """

    @property
    def record_type(self) -> type[msgspec.Struct]:
        """The struct."""
        ...

    @property
    def getters(self) -> Mapping[str, Callable[[Any], Any]]:
        """Reads what was asked for besides; null where there is nothing."""
        ...


Shaper = Callable[[tuple[str, ...]], Shape | None]
"""Gives the shape that also holds some dotted paths; None where the record is wanted as a whole."""


class ShapedRecords(list[Any]):
    """Structs, and the bytes they were decoded from.

    Args:
        records: The structs.
        shape: What they are.
        raw: The document as it came.
        path: Where in it they are.

    Attributes:
        keys: The key of each record.
    """

    __slots__ = ("_originals", "_path", "_raw", "keys", "shape")

    def __init__(self, records: Iterable[Any], shape: Shape, raw: bytes, path: str) -> None:
        super().__init__(records)
        self.shape = shape
        self.keys: list[str] = []
        self._raw = raw
        self._path = path
        self._originals: list[msgspec.Raw] | None = None

    def original(self, index: int) -> Any:
        """One record with everything that the system gave; its bytes where some of that cannot be read."""
        if self._originals is None:
            self._originals = _items(find_records(self._raw, self._path)[1])
        try:
            return _decode(self._originals[index])
        except _UNREADABLE:
            return bytes(self._originals[index])

    def let_go(self) -> None:
        """Forget the structs, once they are mapped; what the system gave can still be looked at."""
        self.clear()

    def whole(self) -> list[Any]:
        """All records with everything that the system gave.

        Raises:
            DataFailure: One of them cannot be read.
        """
        found: list[Any] = decode_json(bytes(find_records(self._raw, self._path)[1]), "The page")
        return found


class Shaping:
    """Decodes the pages of one reading.

    Args:
        shape: What is wanted.
        path: Dotted path of the list of records; empty for the document itself.
        whole_for: Members that make a page be read as a whole where one of its records has them.
        keys: Gives the keys of records; None makes the page be read as a whole.
    """

    def __init__(
        self,
        shape: Shape,
        path: str,
        whole_for: Sequence[str] = (),
        keys: Callable[[ShapedRecords], list[str] | None] = lambda _: [],
    ) -> None:
        self._keys = keys
        self._shape = shape
        self._path = path
        self._marks = [shape.getters[mark] for mark in whole_for]
        self._record_type = _demanding(shape.record_type, frozenset(whole_for))
        self._levels: Levels | None = None
        self._resting = 0

    def decoded(self, raw: bytes, where: str) -> Any:
        """The document with `ShapedRecords` in it.

        Returns:
            None where the page has to be read as dictionaries.
        """
        if self._resting:
            self._resting -= 1
            return None
        try:
            document = self._shaped(raw.removeprefix(_BOM), where)
        except _ODD:
            document = None
        if document is None:
            # Where records differ in their members they usually do so on every page.
            self._resting = _PAGES_OF_REST
        return document

    def _shaped(self, raw: bytes, where: str) -> Any:
        if not raw.isascii():
            _refuse_other_encodings(raw)
        found, records = self._found(raw)
        envelope = Envelope(found, where)
        if any(list(map(mark, records)).count(None) != len(records) for mark in self._marks):
            return None
        if not _is_even(raw, envelope, len(records)):
            return None
        shaped = ShapedRecords(records, self._shape, raw, self._path)
        keys = self._keys(shaped)
        if keys is None:
            return None
        shaped.keys = keys
        self._levels = self._levels or envelope.levels
        return envelope.around(shaped)

    def _found(self, raw: bytes) -> tuple[Any, list[Any]]:
        """What is around the records, and these; from the second page on in one go."""
        if self._levels is not None:
            with suppress(msgspec.ValidationError):
                return decoder_of(self._record_type, self._levels)(raw)
        found, records = find_records(raw, self._path)
        self._levels = None
        return found, decoder_of(self._record_type, ())(bytes(records))[1]


def _refuse_other_encodings(raw: bytes) -> None:
    """Raises where bytes are not UTF-8, also in what is skimmed over; in pieces, which need no new memory."""
    view = memoryview(raw)
    at, end = 0, len(view)
    while at < end:
        _, taken = utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= end)
        at += taken


def _is_even(raw: bytes, envelope: Envelope, count: int) -> bool:
    """Whether all records have as many names as the first one, in which each comes once."""
    if not count:
        return _keys(raw) == envelope.names
    first = first_record(raw, envelope.levels)
    names = first.count(KEY)
    return _names(_decode(first)) == names and _keys(raw) == envelope.names + count * names


def _keys(raw: bytes) -> int:
    """How often `KEY` occurs.

    Looking for one character is so much faster than for two bytes that these are read as one: once from
    the first byte on, and once from the second.
    """
    found, last = 0, len(raw) - 1
    try:
        for start in range(0, last, _PIECE):
            even, odd = raw[start : start + _PIECE], raw[start + 1 : start + _PIECE + 1]
            if len(odd) < _PIECE:  # the last ones may end in half a pair
                even, odd = even[: len(even) & ~1], odd[: len(odd) & ~1]
            found += _pairs(even)[0].count(_KEY_PAIR) + _pairs(odd)[0].count(_KEY_PAIR)
    except UnicodeDecodeError:  # bytes beyond ASCII may look like half a character
        return raw.count(KEY)
    return found


def _names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) else 0


@lru_cache(maxsize=256)
def _demanding(
    record_type: type[msgspec.Struct], optional: frozenset[str] = frozenset()
) -> type[msgspec.Struct]:
    """The same struct without defaults, except where the difference between missing and null counts."""
    members: list[Any] = []
    names: dict[str, str] = {}
    for one in msgspec.structs.fields(record_type):
        names[one.name] = one.encode_name
        is_optional = one.default is msgspec.UNSET or one.encode_name in optional
        kind = _demanding_kind(one.type)
        members.append((one.name, kind, one.default) if is_optional else (one.name, kind))
    return msgspec.defstruct(record_type.__name__, members, rename=names, kw_only=True, gc=False, eq=False)


def _demanding_kind(kind: Any) -> Any:
    if not isinstance(kind, UnionType):
        return kind
    inner = [_demanding(part) if issubclass(part, msgspec.Struct) else part for part in get_args(kind)]
    result = inner[0]
    for part in inner[1:]:
        result |= part
    return result


__all__ = ["Shape", "ShapedRecords", "Shaper", "Shaping"]
