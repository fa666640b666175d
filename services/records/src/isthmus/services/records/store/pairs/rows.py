"""Between rows of `pairs` and the domain's values."""

from collections.abc import Iterable, Sequence
from typing import Any

from isthmus.services.records.domain.pairs import Held, Pair, Side, dump, load

_HELD = ("key", "link", "form", "time", "digest", "refused")
COLUMNS = (
    "pair_id",
    "base",
    "match",
    "is_parted",
    *(f"source_{name}" for name in _HELD),
    *(f"destination_{name}" for name in _HELD),
)
SHOWN = ", ".join(f"p.{name}" for name in COLUMNS)


def pair_of(row: Sequence[Any]) -> Pair:
    """Read a row that begins with `COLUMNS`."""
    pair_id, base, match, is_parted, *rest = row[: len(COLUMNS)]
    half = len(_HELD)
    return Pair(pair_id, load(base), _held(rest[:half]), _held(rest[half:]), match, is_parted)


def _held(part: Sequence[Any]) -> Held:
    key, link, form, time, digest, refused = part
    return Held(key, link, load(form), time, digest, refused)


def side_columns(pairs: Iterable[Pair], side: Side) -> dict[str, list[Any]]:
    """Give what one side holds as columns."""
    held = [pair.held(side) for pair in pairs]
    return {
        "keys": [one.key for one in held],
        "links": [one.link for one in held],
        "forms": [dump(one.form) for one in held],
        "times": [one.time for one in held],
        "digests": [one.digest for one in held],
        "refused": [one.refused for one in held],
    }


__all__ = ["COLUMNS", "SHOWN", "pair_of", "side_columns"]
