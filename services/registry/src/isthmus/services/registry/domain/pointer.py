"""JSON pointers, RFC 6901."""

from collections.abc import Iterable


def pointer(path: Iterable[str | int]) -> str:
    """Write a path as a JSON pointer; the whole document is the empty text."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


__all__ = ["pointer"]
