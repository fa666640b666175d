"""One attempt at an execution: source to mapping to destination, with positions committed behind it."""

__all__: list[str] = []
