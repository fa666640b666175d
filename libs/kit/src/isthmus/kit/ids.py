"""Identifiers that sort by creation time and say by their prefix what they name."""

from ulid import ULID


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 26 lower-case ULID characters, for example `ins_01k2…`."""
    return f"{prefix}_{str(ULID()).lower()}"


__all__ = ["new_id"]
