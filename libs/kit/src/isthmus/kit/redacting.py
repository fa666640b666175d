"""Looks for a text in what a service keeps, row after row, and puts a placeholder in its place."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message
from isthmus.kit.db import Database
from isthmus.kit.paging import PageRequest, encode_token
from isthmus.kit.principal import current_principal
from isthmus.kit.validation import validating
from isthmus.resilience.faults import FixRequest
from isthmus.type.v1 import privacy_pb2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

R = TypeVar("R", bound=Message)

ERASED = "‹erased›"
_ROWS = 1000
_LONGEST = 1000
_INTEGERS = 1 << 31


class Typed(NamedTuple):
    """A column and its type in SQL."""

    name: str
    type: str = "text"

    @property
    def least(self) -> str | int:
        """What comes before every value of a key."""
        return -1 if self.type == "integer" else ""

    def read(self, value: object) -> str | int:
        """A value of a key that was written as text.

        Raises:
            ValueError: It is none.
        """
        if self.type == "integer":
            number = int(str(value))
            if not -1 <= number < _INTEGERS:
                raise ValueError(value)
            return number
        if "\0" in str(value):
            raise ValueError(value)
        return str(value)


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A table that may hold texts of people. All names are a service's own, never a caller's.

    Attributes:
        name: What is found here is counted under.
        table: Where it is.
        key: The columns that identify a row of a tenant.
        texts: Columns in which the text is replaced: plain text, or JSON.
        packed: Columns of bytes in which nothing can be replaced: they are emptied as a whole.
        when: Which rows may change, in SQL.
    """

    name: str
    table: str
    key: tuple[Typed, ...]
    texts: tuple[Typed, ...] = ()
    packed: tuple[str, ...] = ()
    when: str = "true"

    @property
    def page(self) -> str:
        """One page of rows: how many, where it ends, and those that may hold the text."""
        keys = ", ".join(column.name for column in self.key)
        behind = ", ".join(f"CAST(:after_{n} AS {column.type})" for n, column in enumerate(self.key))
        shown = [f"CAST({column.name} AS text) AS {column.name}" for column in self.texts]
        bare = ", ".join([keys, *shown, *self.packed])
        may_hold = " OR ".join(
            [
                *(
                    f"strpos(lower({column.name}), :needle) > 0 OR strpos({column.name}, '\\') > 0"
                    for column in self.texts
                ),
                # The text is ASCII, or empty: every byte of it stands for itself.
                *(f"strpos(lower(encode({name}, 'escape')), :needle) > 0" for name in self.packed),
            ]
        )
        return f"""
            WITH page AS MATERIALIZED (
                SELECT {bare}, row_number() OVER (ORDER BY {keys}) AS nr FROM {self.table}
                WHERE tenant_id = :tenant AND ({keys}) > ({behind}) AND {self.when}
                ORDER BY {keys} LIMIT {_ROWS})
            SELECT found.*, (SELECT count(*) FROM page) AS seen
            FROM page AS found
            WHERE :needle = '' OR {may_hold} OR nr = (SELECT max(nr) FROM page) ORDER BY nr
        """  # noqa: S608

    @property
    def change(self) -> str:
        """Writes a row's columns anew."""
        sets = [
            f"{column.name} = CAST(CAST(:{column.name} AS text) AS {column.type})" for column in self.texts
        ]
        sets += [f"{name} = CASE WHEN :drop_{name} THEN NULL ELSE {name} END" for name in self.packed]
        same = " AND ".join(f"{column.name} = :key_{column.name}" for column in self.key)
        return f"UPDATE {self.table} SET {', '.join(sets)} WHERE tenant_id = :tenant AND {same}"  # noqa: S608


ANSWERS = TextPlace("answers", "idempotency", (Typed("rpc"), Typed("request_id")), packed=("response",))
"""Answers that are kept for requests that come again; who asks again after one was emptied is told so."""
SENT = TextPlace("events", "outbox", (Typed("id"),), (Typed("body"),), when="sent_at IS NOT NULL")
"""Events that a service has sent; they stay for a day."""

NOTHING_ELSE = (ANSWERS, SENT)
"""What there is in every service; some keep nothing else that quotes people."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What one call found.

    Attributes:
        texts: The rows as they were.
        seen: How many rows were looked at.
        token: Goes on behind them; empty at the end.
    """

    texts: Sequence[privacy_pb2.KeptText]
    seen: int
    token: str


class Redactor:
    """Finds and replaces a text in the tables of a service.

    Args:
        database: Where they are.
        places: The tables, in an order that stays the same.
    """

    def __init__(self, database: Database, places: Sequence[TextPlace]) -> None:
        self._database = database
        self._places = places

    async def redact(self, tenant_id: str, wanted: str, token: str, *, is_dry_run: bool) -> Redacted:
        """Look through the next rows for a text, in any case of letters.

        Raises:
            FixRequest: `FIELD_INVALID` or `PAGE_TOKEN_INVALID`.
        """
        with validating() as check:
            check.text("text", wanted, longest=_LONGEST)
        index, after = self._start(token)
        pattern, place = _pattern(wanted), self._places[index]
        async with self._database.tenant(tenant_id) as conn:
            rows, seen, last = await _page(conn, tenant_id, place, wanted, after)
            found = [row for row in rows if _holds(place, row, pattern)]
            if not is_dry_run:
                for row in found:
                    await _change(conn, tenant_id, place, row, pattern)
        following = ""
        if last is not None:
            following = encode_token({"place": place.table, "row": json.dumps(last)})
        elif index + 1 < len(self._places):
            following = encode_token({"place": self._places[index + 1].table, "row": "[]"})
        return Redacted([_told(place, row) for row in found], seen, following)

    async def answer(self, request: Any, response_type: type[R]) -> R:
        """Answer an RPC by which a service is asked to do so.

        Raises:
            FixRequest: `FIELD_INVALID` or `PAGE_TOKEN_INVALID`.
        """
        found = await self.redact(
            current_principal().tenant_id, request.text, request.page_token, is_dry_run=request.is_dry_run
        )
        return response_type(texts=found.texts, looked_at=found.seen, next_page_token=found.token)

    def _start(self, token: str) -> tuple[int, list[str | int]]:
        """Which place is next, and the key of the row behind which to begin; none is its beginning."""
        start = PageRequest.parse(1, token, keys=("place", "row")).after
        if start is None:
            return 0, []
        try:
            index = [place.table for place in self._places].index(str(start["place"]))
            row = json.loads(str(start["row"]))
            key = self._places[index].key if row else ()
            return index, [column.read(part) for column, part in zip(key, row, strict=True)]
        except (ValueError, TypeError, RecursionError):
            message = "The page token was not issued by this list; start again without one."
            raise FixRequest("PAGE_TOKEN_INVALID", message, path="page_token") from None


async def _page(
    conn: AsyncConnection, tenant_id: str, place: TextPlace, wanted: str, after: Sequence[str | int]
) -> tuple[list[dict[str, Any]], int, list[str] | None]:
    """The rows that may hold the text, how many were looked at, and where the next ones begin."""
    needle = wanted.strip().casefold()
    values: dict[str, Any] = {"tenant": tenant_id, "needle": needle if _is_plain(needle) else ""}
    for n, column in enumerate(place.key):
        values[f"after_{n}"] = after[n] if after else column.least
    rows = [dict(row._mapping) for row in await conn.execute(text(place.page), values)]
    seen = int(rows[-1]["seen"]) if rows else 0
    last = [str(rows[-1][column.name]) for column in place.key] if seen == _ROWS else None
    return rows, seen, last


def _is_plain(needle: str) -> bool:
    """Whether it is spelled in one way only, whatever keeps it."""
    return needle.isascii() and needle.isprintable() and not {'"', "\\"} & set(needle)


def _holds(place: TextPlace, row: Mapping[str, Any], pattern: re.Pattern[str]) -> bool:
    return any(redacted(row[column.name], pattern) != row[column.name] for column in place.texts) or any(
        _is_in(row[name], pattern) for name in place.packed
    )


def _is_in(value: Any, pattern: re.Pattern[str]) -> bool:
    return value is not None and bool(pattern.search(bytes(value).decode(errors="replace")))


async def _change(
    conn: AsyncConnection, tenant_id: str, place: TextPlace, row: Mapping[str, Any], pattern: re.Pattern[str]
) -> None:
    values: dict[str, Any] = {"tenant": tenant_id}
    values |= {f"key_{column.name}": row[column.name] for column in place.key}
    values |= {column.name: redacted(row[column.name], pattern) for column in place.texts}
    values |= {f"drop_{name}": _is_in(row[name], pattern) for name in place.packed}
    await conn.execute(text(place.change), values)


def _told(place: TextPlace, row: Mapping[str, Any]) -> privacy_pb2.KeptText:
    shown: dict[str, Any] = {"place": place.name, "table": place.table}
    shown |= {column.name: row[column.name] for column in (*place.key, *place.texts) if row[column.name]}
    shown |= {name: bytes(row[name]).decode(errors="replace") for name in place.packed if row[name]}
    return privacy_pb2.KeptText(place=place.name, line=json.dumps(shown, ensure_ascii=False, default=str))


def _pattern(wanted: str) -> re.Pattern[str]:
    """The text as it is, and as JSON spells it."""
    plain = wanted.strip()
    spellings = {plain, json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    return re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))), re.IGNORECASE)


def redacted(kept: str | None, pattern: re.Pattern[str]) -> str | None:
    """A text without what a pattern finds: inside of JSON only values and names change, so it stays JSON."""
    if not kept or not (pattern.search(kept) or "\\" in kept):
        return kept
    if kept.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(kept)
        except (ValueError, RecursionError):
            return pattern.sub(ERASED, kept)
        cleared = _cleared(value, pattern)
        return kept if cleared == value else json.dumps(cleared, ensure_ascii=False)
    return pattern.sub(ERASED, kept)


def _cleared(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {pattern.sub(ERASED, name): _cleared(inner, pattern) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cleared(inner, pattern) for inner in value]
    if isinstance(value, str):
        return pattern.sub(ERASED, value)
    if isinstance(value, int | float) and pattern.fullmatch(str(value)):
        return None
    return value


__all__ = [
    "ANSWERS",
    "ERASED",
    "NOTHING_ELSE",
    "SENT",
    "Redacted",
    "Redactor",
    "TextPlace",
    "Typed",
    "redacted",
]
