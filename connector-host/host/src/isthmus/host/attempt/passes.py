"""The tickets of an execution: by which right its host acts for the tenant, and calls the destination's."""

import time
from typing import Any

from isthmus.kit.tickets import Carried

_RENEW_SECONDS = 60.0


class Passes:
    """What scheduling signed for the two ends of a flow; the same objects all along, with newer texts.

    Args:
        grant: What AcquireLease answered.
    """

    def __init__(self, grant: Any) -> None:
        self.source = Carried()
        """Goes with all that is asked of services."""
        self.destination = Carried()
        """Goes with what is asked of the host of the destination, and shown by it."""
        self._asked = 0.0
        self.take(grant)

    def take(self, answer: Any) -> None:
        """Go on with what scheduling has sent, if it has."""
        self.source.text = answer.source_ticket or self.source.text
        self.destination.text = answer.destination_ticket or self.destination.text
        if answer.source_ticket:
            self._asked = time.monotonic()

    @property
    def are_due(self) -> bool:
        """Whether newer ones are to be asked for; they end minutes later."""
        return bool(self.source.text) and time.monotonic() - self._asked >= _RENEW_SECONDS

    @property
    def lack_one(self) -> bool:
        """Whether scheduling could not tell yet who serves the destination."""
        return bool(self.source.text) and not self.destination.text


__all__ = ["Passes"]
