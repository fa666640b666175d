"""Takes note of what one side gives; an own write that comes back is no news."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isthmus.services.records.domain.keys import MAX_KEY_BYTES, SEPARATOR
from isthmus.services.records.domain.pairs.forms import Form, at, digest, same
from isthmus.services.records.domain.pairs.model import Held, Pair, Side


@dataclass(frozen=True, slots=True)
class Note:
    """One record as a side gave it.

    Attributes:
        key: Its key there.
        form: In mapped form, without nulls; None where the side has deleted it.
        time: When the side says that it was changed last.
        is_left_out: The mapping leaves it out: it is there, and no business of the flow.
        match: The values by which the other side's record is known to be the same; empty without them.
    """

    key: str
    form: Form | None = None
    time: datetime | None = None
    is_left_out: bool = False
    match: str = ""

    @property
    def digest(self) -> str:
        """Mark of content and time."""
        return digest(self.form, self.time.isoformat() if self.time else "")


@dataclass(frozen=True, slots=True)
class Noted:
    """What became of a note.

    Attributes:
        pair: As it is now; None where nothing has to be kept.
        is_news: The side holds something else than was known.
    """

    pair: Pair | None
    is_news: bool = False


def match_of(form: Form, key: Sequence[str]) -> str:
    """Give the values at the key's paths as one text; empty where one of them is no plain value."""
    parts = [_plain(at(form, path)) for path in key]
    joined = SEPARATOR.join(parts) if parts and all(parts) else ""
    return joined if len(joined.encode()) <= MAX_KEY_BYTES and "\0" not in joined else ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def note(side: Side, pair: Pair | None, given: Note, new_id: str) -> Noted:
    """Take note of a record.

    Args:
        side: Who gave it.
        pair: The pair it belongs to; None where there is none yet.
        given: The record.
        new_id: For the pair that has to be made.
    """
    if given.is_left_out or (pair is None and given.form is None):
        return Noted(None)
    if pair is None:
        return Noted(_new_pair(side, given, new_id), is_news=True)
    held = pair.held(side)
    mark = given.digest
    stale = given.form is not None and given.time is not None and mark == held.digest
    changed = not stale and not same(given.form, held.form)
    now = replace(
        held,
        key=given.key,
        # A name under which nothing was ever written gives way to the record's own key.
        link=held.link if held.key or held.form is not None else given.key,
        digest=mark,
        form=given.form if changed else held.form,
        time=held.time if stale or given.form is None else given.time,
        refused="" if changed else held.refused,
    )
    if now == held and not (given.match and not pair.match):
        return Noted(pair)
    match = pair.match or given.match
    return Noted(replace(pair.having(side, now), match=match), is_news=True)


def _new_pair(side: Side, given: Note, new_id: str) -> Pair:
    there = Held(given.key, given.key, given.form, given.time, given.digest)
    # Over there the record is written under what both sides know it by, else under a name nobody else has.
    yonder = Held(link=given.match or new_id)
    if side is Side.SOURCE:
        return Pair(new_id, source=there, destination=yonder, match=given.match)
    return Pair(new_id, source=yonder, destination=there, match=given.match)


__all__ = ["Note", "Noted", "match_of", "note"]
