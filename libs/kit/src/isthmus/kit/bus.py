"""The connection to NATS JetStream."""

from collections.abc import Mapping
from typing import Any


class Bus:
    """A connection to NATS that mends itself and keeps the mesh's streams in existence."""

    @property
    def jetstream(self) -> Any:
        """The nats-py JetStream context."""
        raise NotImplementedError

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish to a stream and wait until it is stored.

        Raises:
            RetryLater: `BUS_UNREACHABLE`, nothing was confirmed; repeating with the same id is safe.
        """
        raise NotImplementedError


__all__ = ["Bus"]
