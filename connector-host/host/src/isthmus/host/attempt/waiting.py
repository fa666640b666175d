"""Pieces that wait to be sent, gathered so that small pages travel together."""

from collections import deque
from collections.abc import Iterable

from isthmus.host.attempt.pieces import Limits, Piece

_MOST_PIECES = 1000


class Waiting:
    """A short queue that knows how much it holds."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._records = 0
        self._size = 0
        self._barriers = 0

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._pieces)

    @property
    def first(self) -> Piece:
        """The piece that goes next."""
        return self._pieces[0]

    def add(self, pieces: Iterable[Piece]) -> None:
        """Queue pieces."""
        for piece in pieces:
            self._pieces.append(piece)
            self._records += len(piece.records)
            self._size += piece.size
            self._barriers += piece.barrier

    def fit(self, limits: Limits) -> None:
        """Cut what waits to a destination's limits."""
        held = list(self._pieces)
        self._pieces.clear()
        self._records = self._size = self._barriers = 0
        for piece in held:
            self.add(piece.split(limits))

    def is_full(self, limits: Limits) -> bool:
        """Tell whether a whole batch is there, or something that must not wait.

        It is whole when one more page like the first would not fit.
        """
        if not self._pieces:
            return False
        first = self.first
        return (
            not first.boundary
            or self._barriers > 0
            or self._records + max(1, len(first.records)) > limits.records
            or self._size + max(1, first.size) > limits.size
        )

    def has_room(self, limits: Limits) -> bool:
        """Tell whether more may be queued."""
        return not self._pieces or (not self.is_full(limits) and len(self._pieces) < _MOST_PIECES)

    def take_joined(self, limits: Limits) -> list[Piece]:
        """Take the pieces that go together next."""
        pieces = [self._take()]
        records, size = len(pieces[0].records), pieces[0].size
        while self._pieces and self.first.joins(pieces[0], pieces[-1], records, size, limits):
            piece = self._take()
            pieces.append(piece)
            records, size = records + len(piece.records), size + piece.size
        return pieces

    def take_empty(self) -> list[Piece]:
        """Take the piece at the front, which has no records."""
        return [self._take()]

    def _take(self) -> Piece:
        piece = self._pieces.popleft()
        self._records -= len(piece.records)
        self._size -= piece.size
        self._barriers -= piece.barrier
        return piece


__all__ = ["Waiting"]
