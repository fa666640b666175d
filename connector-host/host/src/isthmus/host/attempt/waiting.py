"""Pieces that wait to be sent, gathered so that small pages travel together."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.host.attempt.pieces import Limits, Piece

_MOST_PIECES = 1000
# However many partitions are read side by side, no more of them waits than so many batches.
_MOST_BATCHES = 2


@dataclass(slots=True)
class _Lane:
    """The pieces of one partition, in order.

    Attributes:
        batches: How many pieces behind the first one begin another batch.
    """

    pieces: deque[Piece] = field(default_factory=deque)
    records: int = 0
    size: int = 0
    barriers: int = 0
    batches: int = 0

    def add(self, piece: Piece) -> None:
        self.batches += piece.begins and bool(self.pieces)
        self.pieces.append(piece)
        self.records += piece.count
        self.size += piece.size
        self.barriers += piece.barrier

    def take(self) -> Piece:
        piece = self.pieces.popleft()
        self.records -= piece.count
        self.size -= piece.size
        self.barriers -= piece.barrier
        self.batches -= bool(self.pieces) and self.pieces[0].begins
        return piece

    def is_full(self, limits: Limits) -> bool:
        first = self.pieces[0]
        return (
            not first.boundary
            or self.barriers > 0
            or self.batches > 0
            or limits.are_met(first, self.records, self.size)
        )


class Waiting:
    """A short queue that knows how much it holds; partitions in it take turns, each in its own order."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._lanes)

    def first(self, limits: Limits) -> Piece:
        """The piece that goes next."""
        return self._lanes[self._turn(limits)].pieces[0]

    def add(self, pieces: Iterable[Piece]) -> None:
        """Queue pieces."""
        for piece in pieces:
            self._lanes.setdefault(piece.partition, _Lane()).add(piece)

    def fit(self, limits: Limits) -> None:
        """Cut what waits to a destination's limits."""
        held = [piece for lane in self._lanes.values() for piece in lane.pieces]
        self._lanes.clear()
        for piece in held:
            self.add(piece.split(limits))

    def is_full(self, limits: Limits) -> bool:
        """Tell whether a whole batch is there, or something that must not wait.

        A batch is whole when one more page like its first would not fit.
        """
        return any(lane.is_full(limits) for lane in self._lanes.values()) or self._is_much(limits)

    def has_room(self, limits: Limits, partition: str) -> bool:
        """Tell whether more of a partition may be queued."""
        if self._is_much(limits):
            return False
        lane = self._lanes.get(partition)
        return lane is None or not lane.is_full(limits)

    def take_joined(self, limits: Limits) -> list[Piece]:
        """Take the pieces that go together next."""
        partition = self._turn(limits)
        lane = self._lanes[partition]
        pieces = [lane.take()]
        records, size = pieces[0].count, pieces[0].size
        while lane.pieces and lane.pieces[0].joins(pieces[0], pieces[-1], records, size, limits):
            piece = lane.take()
            pieces.append(piece)
            records, size = records + piece.count, size + piece.size
        self._took(partition)
        return pieces

    def take_one(self, limits: Limits) -> list[Piece]:
        """Take the piece at the front alone."""
        partition = self._turn(limits)
        piece = self._lanes[partition].take()
        self._took(partition)
        return [piece]

    def _turn(self, limits: Limits) -> str:
        """The partition whose turn it is: one with a whole batch, else the one that waited longest."""
        full = (partition for partition, lane in self._lanes.items() if lane.is_full(limits))
        return next(full, next(iter(self._lanes)))

    def _took(self, partition: str) -> None:
        if self._lanes[partition].pieces:
            self._lanes.move_to_end(partition)
        else:
            del self._lanes[partition]

    def _is_much(self, limits: Limits) -> bool:
        size = pieces = 0
        for lane in self._lanes.values():
            size, pieces = size + lane.size, pieces + len(lane.pieces)
        return size >= _MOST_BATCHES * limits.size or pieces >= _MOST_PIECES


__all__ = ["Waiting"]
