"""Takes batches of what one side holds; a batch that comes twice has its effect once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from isthmus.kit import Database, new_id
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain.admission import WritePosition, admit
from isthmus.services.records.domain.batches import Operation, Screened
from isthmus.services.records.domain.pairs import Form, Note, Pair, PairStream, Side, note, parse_stream, tidy
from isthmus.services.records.domain.pairs.noting import match_of
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.store.pairs.rows import SHOWN, pair_of, side_columns
from isthmus.services.records.store.writes import RecordWriter, Target

_Cursor = psycopg.AsyncCursor[Any]

_LOCK = """
    SELECT fencing_token FROM rounds WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s FOR UPDATE
"""
# The comparisons with nothing let partial indexes serve.
_FIND = """
    SELECT {shown} FROM pairs AS p
    WHERE p.tenant_id = %(tenant)s AND p.pairing = %(pairing)s
        AND ((p.{side}_key <> '' AND p.{side}_key = ANY (%(keys)s::text[]))
            OR (p.match <> '' AND p.match = ANY (%(matches)s::text[]))
            OR (p.{side}_link <> '' AND p.{side}_link = ANY (%(keys)s::text[]))
            OR (p.{other}_link <> '' AND p.{other}_link = ANY (%(matches)s::text[])))
"""
_SEEN = """
    UPDATE pairs SET {side}_seen = %(execution)s, {side}_read_time = clock_timestamp()
    WHERE tenant_id = %(tenant)s AND pairing = %(pairing)s AND pair_id = ANY (%(ids)s::text[])
"""
_STORE = """
    INSERT INTO pairs (tenant_id, pairing, flow_id, pair_id, match, {side}_key, {side}_link, {side}_form,
        {side}_time, {side}_digest, {side}_refused, {other}_link, {side}_seen, {side}_read_time)
    SELECT %(tenant)s, %(pairing)s, %(flow)s, given.*, %(execution)s, clock_timestamp()
    FROM unnest(%(ids)s::text[], %(match)s::text[], %(keys)s::text[], %(links)s::text[], %(forms)s::text[],
        %(times)s::timestamptz[], %(digests)s::text[], %(refused)s::text[], %(yonder)s::text[]) AS given
    ON CONFLICT (tenant_id, pairing, pair_id) DO UPDATE
    SET match = excluded.match, {side}_key = excluded.{side}_key, {side}_link = excluded.{side}_link,
        {side}_form = excluded.{side}_form, {side}_time = excluded.{side}_time,
        {side}_digest = excluded.{side}_digest, {side}_refused = excluded.{side}_refused,
        {side}_seen = excluded.{side}_seen, {side}_read_time = excluded.{side}_read_time,
        is_dirty = true, status = 2, update_time = now()
"""


class Given(msgspec.Struct):
    """One record as the host of a side sends it.

    Attributes:
        record: In mapped form.
        time: When the side says that it was changed last, as the side writes times.
        left_out: The mapping leaves it out.
    """

    record: Form = {}
    time: str | int | float | None = None
    left_out: bool = False


_decode = msgspec.json.Decoder(Given).decode


@dataclass(slots=True)
class _Known:
    """The pairs that a batch may be about, as they become while it is worked through."""

    side: Side
    by_key: dict[str, Pair] = field(default_factory=dict)
    by_match: dict[str, Pair] = field(default_factory=dict)
    links: dict[tuple[Side, str], str] = field(default_factory=dict)
    changed: dict[str, Pair] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def add(self, pair: Pair) -> None:
        """Know a pair in its present form."""
        held = pair.held(self.side)
        if held.key:
            self.by_key[held.key] = pair
        if pair.match:
            self.by_match[pair.match] = pair
        for side in Side:
            self.links[side, pair.held(side).link] = pair.pair_id

    def told_apart(self, pair: Pair) -> Pair:
        """Give a pair links of its own: a key of one system may look like a key of the other."""
        for side in Side:
            held = pair.held(side)
            if self.links.get((side, held.link), pair.pair_id) != pair.pair_id:
                pair = pair.having(side, replace(held, link=pair.pair_id))
        return pair

    def of(self, given: Note) -> Pair | None:
        """Find the pair that a record belongs to.

        Raises:
            LookupError: Another record of the side is known by the same values.
        """
        pair = self.by_key.get(given.key)
        if pair is not None:
            return pair
        # Of a deleted record nothing but its key is known.
        pair = self.by_match.get(given.match or ("" if given.form is not None else given.key))
        if pair is None:
            return None
        held = pair.held(self.side)
        if held.key and held.form is not None:
            if given.form is None:
                return None
            raise LookupError(held.key)
        return pair


class PairWriter(RecordWriter):
    """Takes note of what a side holds.

    Args:
        database: Where pairs are kept.
        remembered: How many batches back the rejections of a repeated batch can be told again.
    """

    def __init__(self, database: Database, *, remembered: int) -> None:
        super().__init__(database, _nothing_to_tell, remembered=remembered)

    async def _lock_stream(self, cursor: _Cursor, writer: Writer) -> Target:
        """Hold the pairs; an attempt that was overtaken in another leg is refused too."""
        place = {"tenant": writer.tenant_id, "pairing": parse_stream(writer.stream).pairing}
        await cursor.execute(_LOCK, place)
        row = await cursor.fetchone()
        newest = int(row[0]) if row else 0
        admit(WritePosition(newest, 0), writer.fencing_token, 1)
        return Target(0, 0)

    async def _store_records(
        self, cursor: _Cursor, writer: Writer, target: Target, screened: Screened
    ) -> tuple[int, int, int]:
        del target  # notes are no changes of a stream
        if not screened.batch.keys:
            message = "The stream gives its records no key; a two-way flow needs one on both sides."
            raise FixRequest("BATCH_INVALID", message, path="batch.keys")
        place = parse_stream(writer.stream)
        notes = _notes(screened, writer.primary_key)
        known = await self._known(cursor, writer, place, notes)
        for index, given in notes.items():
            _take(known, screened, index, given)
        await self._store(cursor, writer, place, known)
        return 0, 0, 0

    async def _known(
        self, cursor: _Cursor, writer: Writer, place: PairStream, notes: dict[int, Note]
    ) -> _Known:
        keys = [given.key for given in notes.values()]
        gone = [given.key for given in notes.values() if given.form is None]
        values = {
            "tenant": writer.tenant_id,
            "pairing": place.pairing,
            "keys": keys,
            "matches": [given.match for given in notes.values() if given.match] + gone,
        }
        await cursor.execute(_FIND.format(shown=SHOWN, side=place.side, other=place.side.other), values)
        known = _Known(place.side)
        for row in await cursor.fetchall():
            known.add(pair_of(row))
        return known

    async def _store(self, cursor: _Cursor, writer: Writer, place: PairStream, known: _Known) -> None:
        values: dict[str, Any] = {
            "tenant": writer.tenant_id,
            "pairing": place.pairing,
            "flow": place.flow_id,
            "execution": writer.execution_id,
        }
        seen = list(known.seen - known.changed.keys())
        if seen:
            await cursor.execute(_SEEN.format(side=place.side), {**values, "ids": seen})
        if known.changed:
            pairs = list(known.changed.values())
            values |= side_columns(pairs, place.side)
            values["ids"] = [pair.pair_id for pair in pairs]
            values["match"] = [pair.match for pair in pairs]
            values["yonder"] = [pair.held(place.side.other).link for pair in pairs]
            await cursor.execute(_STORE.format(side=place.side, other=place.side.other), values)


def _take(known: _Known, screened: Screened, index: int, given: Note) -> None:
    try:
        pair = known.of(given)
    except LookupError as taken:
        message = (
            f"Record {taken.args[0]!r} has the same values in the flow's key fields; a pair has one record "
            "a side. Choose key fields that tell records apart."
        )
        screened.reject(index, "MATCH_TAKEN", message)
        return
    if pair is not None and known.by_match.get(given.match, pair).pair_id != pair.pair_id:
        given = replace(given, match="")  # another pair is known by these values
    noted = note(known.side, pair, given, pair.pair_id if pair else new_id("pai"))
    if pair is not None:
        known.seen.add(pair.pair_id)
    if noted.pair is not None:
        now = known.told_apart(noted.pair)
        known.add(now)
        if noted.is_news:
            known.changed[now.pair_id] = now


def _notes(screened: Screened, key: Sequence[str]) -> dict[int, Note]:
    """Read the envelopes of a batch; what cannot be read is rejected."""
    operations, notes = screened.batch.operations, {}
    for index, name in enumerate(screened.keys):
        if index in screened.rejected:
            continue
        if operations and operations[index] == Operation.DELETE:
            notes[index] = Note(name.decode())
            continue
        try:
            given = _decode(screened.batch.records[index])
            notes[index] = _note(name.decode(), given, key)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            message = f"The record cannot be compared ({error}); mend it at the source."
            screened.reject(index, "JSON_INVALID", message)
        except (ValueError, OverflowError):
            message = "The field of the last change holds no time; name another field, or mend the source."
            screened.reject(index, "TIME_INVALID", message)
    return notes


def _note(key: str, given: Given, match: Sequence[str]) -> Note:
    if given.left_out:
        return Note(key, is_left_out=True)
    form = tidy(given.record)
    return Note(key, form, _moment(given.time), match=match_of(form, match))


def _moment(value: str | float | None) -> datetime | None:
    """Read a time as systems write it: RFC 3339 or ISO 8601 text, or seconds since 1970."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return datetime.fromtimestamp(float(value), UTC)


async def _nothing_to_tell(*_: object) -> None:
    """A note changes nothing that others could ask for."""


__all__ = ["Given", "PairWriter"]
