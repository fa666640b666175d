"""How many executions a host carries out side by side, and where they come from."""

from dataclasses import dataclass

_KEPT_SHARE = 4


@dataclass(slots=True)
class Slot:
    """Room for one execution, in use until it is freed.

    Attributes:
        slots: Where it is counted.
        is_handed_over: Whether scheduling has handed its execution over, without a job.
    """

    slots: "Slots"
    is_handed_over: bool
    is_free: bool = False

    def free(self) -> None:
        """Give the room back; once more does nothing."""
        if not self.is_free:
            self.is_free = True
            self.slots.freed(is_handed_over=self.is_handed_over)


class Slots:
    """Counts executions in progress.

    A quarter is kept for jobs that come through the queue, so that one tenant whose executions are handed
    over one after another does not keep out the others, and a quarter for what is handed over.

    Args:
        most: Executions side by side.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = most // _KEPT_SHARE
        self._queued = 0
        self._handed_over = 0
        self._reserved = 0

    @property
    def for_queue(self) -> int:
        """How many more executions may be taken off the queue."""
        return min(self._free, self._most - self._kept - self._queued)

    def reserve(self) -> int:
        """Keep room for executions that are handed over, and say for how many."""
        room = self._most - self._kept - self._handed_over - self._reserved if self._kept else 0
        room = max(0, min(self._free, room))
        self._reserved += room
        return room

    def give_up(self, reserved: int) -> None:
        """Need no longer what was reserved."""
        self._reserved -= reserved

    def queued(self) -> Slot:
        """Use room for an execution that came off the queue."""
        self._queued += 1
        return Slot(self, is_handed_over=False)

    def handed_over(self) -> Slot:
        """Use room for an execution that was handed over."""
        self._handed_over += 1
        return Slot(self, is_handed_over=True)

    def freed(self, *, is_handed_over: bool) -> None:
        """Take notice that an execution needs its room no longer."""
        if is_handed_over:
            self._handed_over -= 1
        else:
            self._queued -= 1

    @property
    def _free(self) -> int:
        return self._most - self._queued - self._handed_over - self._reserved


__all__ = ["Slot", "Slots"]
