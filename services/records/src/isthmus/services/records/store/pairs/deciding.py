"""A round of a two-way flow: opened once, decided once, however often its legs are tried."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from isthmus.kit import Database, new_id
from isthmus.services.records.domain.pairs import (
    Choice,
    Decision,
    Outcome,
    Pair,
    PairStream,
    Side,
    Status,
    decide,
    dump,
    load,
    same,
)
from isthmus.services.records.domain.pairs.forms import digest
from isthmus.services.records.domain.pairs.rounds import ConflictNews, Round, link_flow, too_many_deletions
from isthmus.services.records.store.pairs import statements as sql
from isthmus.services.records.store.pairs.rows import COLUMNS, pair_of
from isthmus.services.records.store.raw import raw_cursor
from sqlalchemy.ext.asyncio import AsyncConnection

Announce = Callable[[AsyncConnection, str, ConflictNews], Awaitable[None]]

POLICY = "policy"
_WAITING, _RESOLVED = 1, 2
_CHUNK = 500
_MOST_CHUNKS = 20
_Cursor = psycopg.AsyncCursor[Any]


@dataclass(slots=True)
class _Chunk:
    """What is decided about some pairs, as columns."""

    last_change: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    overtaken: list[str] = field(default_factory=list)
    writes: list[tuple[Side, Pair, bool]] = field(default_factory=list)
    last_id: str = ""

    def next_change(self) -> int:
        """Number the next write."""
        self.last_change += 1
        return self.last_change


@dataclass(frozen=True, slots=True)
class _Dirty:
    """A pair that has to be decided, with the conflict it is in."""

    pair: Pair
    is_unread: bool
    conflict_id: str
    conflict_status: int | None
    conflict: Choice | None
    decided_by: str

    @property
    def choice(self) -> Choice | None:
        """What was decided about it before."""
        return self.conflict if self.conflict_status == _RESOLVED else None

    def waits_with(self, pair: Pair) -> bool:
        """Tell whether a person is asked about these very versions already."""
        conflict = self.conflict
        return (
            conflict is not None
            and self.conflict_status == _WAITING
            and same(conflict.source, pair.source.form)
            and same(conflict.destination, pair.destination.form)
        )


class PairRounds:
    """Opens rounds and decides them, some hundred pairs a transaction.

    Args:
        database: Where pairs are kept.
        announce: Stores the event of conflicts, in the same transaction.
    """

    def __init__(self, database: Database, announce: Announce) -> None:
        self._database = database
        self._announce = announce

    async def begin(self, tenant_id: str, stream: PairStream, current: Round) -> None:
        """Settle what earlier rounds wrote, before anything new is learnt; once a round."""
        after = ""
        while True:
            async with self._database.tenant(tenant_id) as connection:
                cursor = await raw_cursor(connection)
                place = _place(tenant_id, stream)
                execution, decided, _, change = await _lock_round(cursor, place)
                token = current.fencing_token
                values = {
                    **place,
                    "execution": execution,
                    "decided": decided,
                    "change": change,
                    "token": token,
                }
                written: list[str] = []
                if execution != current.execution_id:
                    written = await _settle(cursor, place, current.taken, after)
                    await cursor.execute(sql.CLEAR, {**place, "ids": written})
                if not written:
                    if execution != current.execution_id:
                        values |= {"execution": current.execution_id, "decided": False}
                        if current.is_requeue:
                            await cursor.execute(sql.TRY_AGAIN, place)
                    await cursor.execute(sql.SET_ROUND, values)
                    return
                after = written[-1]

    async def settle(
        self, connection: AsyncConnection, tenant_id: str, flow_id: str, taken: Mapping[Side, int]
    ) -> None:
        """Believe what both sides have taken, as soon as a round has ended.

        What is too much for one transaction is left to the beginning of the next round.
        """
        cursor = await raw_cursor(connection)
        await cursor.execute(sql.PAIRINGS, {"tenant": tenant_id, "flow": flow_id})
        for (pairing,) in await cursor.fetchall():
            place = {"tenant": tenant_id, "pairing": pairing, "flow": flow_id}
            await _lock_round(cursor, place)
            after = ""
            for _ in range(_MOST_CHUNKS):
                written = await _settle(cursor, place, taken, after)
                if not written:
                    break
                after = written[-1]

    async def forget(self, connection: AsyncConnection, tenant_id: str, flow_id: str) -> None:
        """Drop a flow's pairs."""
        cursor = await raw_cursor(connection)
        for statement in sql.FORGET:
            await cursor.execute(statement, {"tenant": tenant_id, "flow": flow_id})

    async def decide(self, tenant_id: str, stream: PairStream, current: Round) -> int:
        """Decide everything that has changed, and give the number of the last write.

        Raises:
            Precondition: `TOO_MANY_DELETIONS`, nothing is written before a person has looked.
        """
        after = ""
        while True:
            async with self._database.tenant(tenant_id) as connection:
                cursor = await raw_cursor(connection)
                place = {**_place(tenant_id, stream), "execution": current.execution_id}
                _, is_decided, _, change = await _lock_round(cursor, place)
                if is_decided:
                    return change
                if not after:
                    await self._notice_gone(cursor, place, current)
                chunk = await self._decide_some(cursor, place, current, after, change)
                await self._store(connection, cursor, place, chunk, current)
                is_last = len(chunk.rows) < _CHUNK
                if is_last:
                    await self._finish(cursor, place, current)
                values = {"decided": is_last, "change": chunk.last_change, "token": current.fencing_token}
                await cursor.execute(sql.SET_ROUND, {**place, **values})
                if is_last:
                    return chunk.last_change
                after = chunk.last_id

    async def _notice_gone(self, cursor: _Cursor, place: dict[str, Any], current: Round) -> None:
        for side in current.whole:
            await cursor.execute(sql.GONE.format(side=side), place)

    async def _decide_some(
        self, cursor: _Cursor, place: dict[str, Any], current: Round, after: str, change: int
    ) -> _Chunk:
        await cursor.execute(sql.DIRTY, {**place, "after": after, "limit": _CHUNK})
        chunk = _Chunk(change)
        for row in await cursor.fetchall():
            _decide_one(chunk, _dirty(row), current)
        return chunk

    async def _store(
        self,
        connection: AsyncConnection,
        cursor: _Cursor,
        place: dict[str, Any],
        chunk: _Chunk,
        current: Round,
    ) -> None:
        if chunk.rows:
            await cursor.execute(sql.DECIDED, {**place, **_columns(chunk.rows)})
        if chunk.overtaken:
            await cursor.execute(sql.OVERTAKE, {**place, "ids": chunk.overtaken})
        if chunk.records:
            await cursor.execute(sql.RECORD, {**place, **_columns(chunk.records)})
            await self._tell(connection, place, chunk.records)
        for side in Side:
            await _prepare_links(cursor, place, chunk, side, current.fencing_token)

    async def _tell(
        self, connection: AsyncConnection, place: dict[str, Any], records: list[dict[str, Any]]
    ) -> None:
        for status, verb, who in ((_WAITING, "found", ""), (_RESOLVED, "resolved", POLICY)):
            ids = [record["ids"] for record in records if record["statuses"] == status]
            if ids:
                news = ConflictNews(place["flow"], ids, verb, who)
                await self._announce(connection, place["tenant"], news)

    async def _finish(self, cursor: _Cursor, place: dict[str, Any], current: Round) -> None:
        most = current.rules.deletes.most
        if most:
            await cursor.execute(sql.COUNT_DELETIONS, place)
            row = await cursor.fetchone()
            if row is not None and row[0] > most:
                raise too_many_deletions(row[0], most)
        if current.is_requeue:
            await cursor.execute(sql.REQUEUED_IS_DONE, place)


async def _settle(cursor: _Cursor, place: dict[str, Any], taken: Mapping[Side, int], after: str) -> list[str]:
    """Believe what both sides have taken of some pairs, and give the pairs; none at the end."""
    await cursor.execute(sql.WRITTEN, {**place, "after": after, "limit": _CHUNK})
    ids = [row[0] for row in await cursor.fetchall()]
    if not ids:
        return ids
    chosen = {**place, "ids": ids}
    for side in Side:
        await cursor.execute(sql.CONFIRM.format(side=side), {**chosen, "taken": taken.get(side, 0)})
    await cursor.execute(sql.AGREE, chosen)
    for side in Side:
        links = link_flow(place["flow"], side)
        await cursor.execute(sql.LEARN_KEYS.format(side=side), {**chosen, "links": links})
    await cursor.execute(sql.DONE, chosen)
    return ids


def _place(tenant_id: str, stream: PairStream) -> dict[str, Any]:
    return {"tenant": tenant_id, "pairing": stream.pairing, "flow": stream.flow_id}


async def _lock_round(cursor: _Cursor, place: dict[str, Any]) -> tuple[str, bool, int, int]:
    await cursor.execute(sql.OPEN_ROUND, place)
    await cursor.execute(sql.LOCK_ROUND, place)
    row = await cursor.fetchone()
    assert row is not None, "the row was made just now"
    return row[0], row[1], row[2], row[3]


def _dirty(row: Sequence[Any]) -> _Dirty:
    is_unread, conflict_id, status, source, destination, result, decided_by = row[len(COLUMNS) :]
    conflict = Choice(load(source), load(destination), load(result)) if status is not None else None
    return _Dirty(pair_of(row), is_unread, conflict_id, status, conflict, decided_by or "")


def _decide_one(chunk: _Chunk, dirty: _Dirty, current: Round) -> None:
    pair = dirty.pair
    chunk.last_id = pair.pair_id
    if dirty.is_unread:
        chunk.rows.append(
            _row(pair, Status.HELD, conflict=dirty.conflict_id, parted=pair.is_parted, dirty=True)
        )
        return
    decision = decide(pair, current.rules, dirty.choice)
    conflict_id = _conflict(chunk, dirty, decision)
    match decision.outcome:
        case Outcome.AGREED:
            status = Status.DELETED if decision.wanted is None else Status.IN_SYNC
            chunk.rows.append(_row(pair, status, moves=True, base=dump(decision.wanted)))
        case Outcome.PARTED:
            chunk.rows.append(_row(pair, Status.PARTED, moves=True, base=dump(decision.wanted), parted=True))
        case Outcome.REVIEW:
            chunk.rows.append(_row(pair, Status.IN_REVIEW, conflict=conflict_id))
        case Outcome.WRITE:
            chunk.rows.append(_write(chunk, pair, decision, conflict_id))


def _write(chunk: _Chunk, pair: Pair, decision: Decision, conflict_id: str) -> dict[str, Any]:
    mark = digest(decision.wanted)
    sides = [side for side in Side if side in decision.sides and pair.held(side).refused != mark]
    for side in sides:
        chunk.writes.append((side, pair, decision.wanted is None))
    status = Status.WRITING if sides else Status.HELD
    row = _row(pair, status, conflict=conflict_id, parted=pair.is_parted)
    numbers = {f"to_{side}": chunk.next_change() if side in sides else 0 for side in Side}
    return row | numbers | {"wanted": dump(decision.wanted), "digests": mark, "parts": decision.parts}


def _row(
    pair: Pair,
    status: Status,
    *,
    moves: bool = False,
    base: str | None = None,
    parted: bool = False,
    conflict: str = "",
    dirty: bool = False,
) -> dict[str, Any]:
    return {
        "ids": pair.pair_id,
        "moves": moves,
        "bases": base,
        "wanted": None,
        "digests": "",
        "parts": False,
        "parted": parted,
        "to_source": 0,
        "to_destination": 0,
        "statuses": int(status),
        "conflicts": conflict,
        "dirty": dirty,
    }


def _conflict(chunk: _Chunk, dirty: _Dirty, decision: Decision) -> str:
    """Record a disagreement, and give the conflict that the pair is in from now on."""
    pair, ruling = dirty.pair, decision.ruling
    if decision.outcome is Outcome.REVIEW and dirty.waits_with(pair):
        return dirty.conflict_id
    if dirty.conflict_status == _WAITING:
        chunk.overtaken.append(dirty.conflict_id)
    if ruling is None:
        # A decision that is being carried out stays at hand until both sides hold what was decided.
        return dirty.conflict_id if decision.outcome is Outcome.WRITE and dirty.choice else ""
    conflict_id = new_id("cfl")
    chunk.records.append(
        {
            "ids": conflict_id,
            "pairs": pair.pair_id,
            "statuses": _WAITING if ruling.waits else _RESOLVED,
            "source_keys": pair.source.key,
            "destination_keys": pair.destination.key,
            "bases": dump(pair.base),
            "sources": dump(pair.source.form),
            "destinations": dump(pair.destination.form),
            "source_times": pair.source.time,
            "destination_times": pair.destination.time,
            "fields": json.dumps(ruling.fields),
            "policies": ruling.policy.value,
            "reasons": ruling.reason,
            "results": None if ruling.waits else dump(ruling.result),
            "deciders": "" if ruling.waits else POLICY,
        }
    )
    return conflict_id


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


async def _prepare_links(
    cursor: _Cursor, place: dict[str, Any], chunk: _Chunk, side: Side, token: int
) -> None:
    written = [(pair.held(side), deletes) for to, pair, deletes in chunk.writes if to is side]
    links = {**place, "links": link_flow(place["flow"], side)}
    known = [held for held, _ in written if held.form is not None and held.key]
    if known:
        values = {"keys": [held.link for held in known], "external_ids": [held.key for held in known]}
        await cursor.execute(sql.TELL_LINKS, {**links, **values, "token": token})
    gone = [held.link for held, deletes in written if held.form is None and held.key and not deletes]
    if gone:
        await cursor.execute(sql.DROP_LINKS, {**links, "keys": gone})


__all__ = ["POLICY", "Announce", "PairRounds"]
