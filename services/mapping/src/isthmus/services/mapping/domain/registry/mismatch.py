"""What keeps a reader from reading what a writer writes."""

from dataclasses import dataclass

from isthmus.mapper.paths import Path, format_path

READER = "‹reader›"
WRITER = "‹writer›"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One reason why a reader cannot take everything that a writer may write.

    Attributes:
        path: Where, as mappings write paths; `$` is the record as a whole.
        rule: The stable name of what is broken.
        message: What differs; names both sides by `READER` and `WRITER`.
        for_reader: What to do where the reader is the version that may still be changed.
        for_writer: What to do where the writer is.
    """

    path: str
    rule: str
    message: str
    for_reader: str
    for_writer: str


def undecided(path: Path, why: str) -> Mismatch:
    """A difference whose consequence cannot be told, which counts as harm."""
    return Mismatch(
        format_path(path),
        "CANNOT_BE_TOLD",
        f"{why}, so it cannot be told whether {READER} takes what {WRITER} may hold.",
        "Say it with simpler keywords, or keep this part as it is.",
        "Say it with simpler keywords, or keep this part as it is.",
    )


__all__ = ["READER", "WRITER", "Mismatch", "undecided"]
