"""What may be written to a log."""

from typing import Any

from google.protobuf.message import Message


def loggable(message: Message) -> dict[str, Any]:
    """Return a message as plain values with every field marked `debug_redact` replaced by stars."""
    raise NotImplementedError


__all__ = ["loggable"]
