"""Tables of what the domain calls by its own names."""

from typing import Any


def back(table: dict[Any, Any], value: int, default: Any) -> Any:
    """Find what the contract's value stands for; what is unknown here stands for the default."""
    return next((mine for mine, theirs in table.items() if theirs == value), default)


__all__ = ["back"]
