"""Records as JSON documents, decoded when somebody looks at them."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

import msgspec
from isthmus.sdk.lines import Lines

V = TypeVar("V")

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Documents(Sequence[dict[str, Any]]):
    """The records of a batch as they arrived; as a sequence it holds those that can be read.

    Args:
        encoded: One JSON object each; nothing is known of them before they are decoded.
    """

    __slots__ = ("_places", "_records", "_unreadable", "encoded")

    def __init__(self, encoded: Iterable[bytes]) -> None:
        self.encoded: tuple[bytes, ...] = tuple(encoded)
        self._records: list[dict[str, Any]] | None = None
        self._places: Sequence[int] = ()
        self._unreadable: Sequence[int] = ()

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._decoded()[index]

    def __len__(self) -> int:
        return len(self._decoded())

    def __bool__(self) -> bool:
        """Whether anything arrived; looks at no document."""
        return bool(self.encoded)

    @property
    def expected(self) -> int:
        """How many records there are; those that nobody has looked at count as readable."""
        return len(self.encoded) if self._records is None else len(self._records)

    @property
    def places(self) -> Sequence[int]:
        """Where each record stood when it arrived."""
        self._decoded()
        return self._places

    @property
    def unreadable(self) -> Sequence[int]:
        """Places of documents that were looked at and are no JSON objects."""
        return self._unreadable

    def _decoded(self) -> list[dict[str, Any]]:
        if self._records is None:
            try:
                self._records = [_decode(document) for document in self.encoded]
                self._places = range(len(self._records))
            except _UNREADABLE:
                self._records = self._decoded_singly()
        return self._records

    def _decoded_singly(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        places: list[int] = []
        unreadable: list[int] = []
        for place, document in enumerate(self.encoded):
            try:
                records.append(_decode(document))
            except _UNREADABLE:
                unreadable.append(place)
            else:
                places.append(place)
        self._places, self._unreadable = places, unreadable
        return records


class Beside(Sequence[V]):
    """What belongs to each document, for those that can be read."""

    __slots__ = ("_documents", "_values")

    def __init__(self, documents: Documents | Lines, values: Sequence[V]) -> None:
        self._documents = documents
        self._values = values

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...
    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        places = self._documents.places[index]
        return self._values[places] if isinstance(places, int) else [self._values[place] for place in places]

    def __len__(self) -> int:
        return len(self._documents)


__all__ = ["Beside", "Documents"]
