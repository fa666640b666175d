"""By which number records say who wrote them: flow, execution and origin are not stored with each."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import psycopg
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.store import statements as sql

_MOST_WRITERS = 1000
_Who = tuple[str, str, str, str, int]
_Cursor = psycopg.AsyncCursor[Any]


@dataclass(slots=True)
class _Known:
    """A number that was drawn for a writer.

    Attributes:
        is_stored: The table of writers tells what it stands for.
    """

    number: int
    is_stored: bool = False


class WriterNumbers:
    """Draws a number for each writer and stores what it stands for once the writer has changed something.

    A writer may have several numbers, one has never several writers. So nothing has to be looked up, and
    a number whose transaction failed is simply left.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Who, _Known] = OrderedDict()

    async def of(self, cursor: _Cursor, writer: Writer) -> int:
        """Return the writer's number."""
        known = self._known.get(_who(writer))
        if known is None:
            await cursor.execute(sql.NEXT_WRITER)
            row = await cursor.fetchone()
            assert row is not None, "a sequence has a next number"
            known = self._known[_who(writer)] = _Known(row[0])
            while len(self._known) > _MOST_WRITERS:
                self._known.popitem(last=False)
        return known.number

    async def store(self, cursor: _Cursor, writer: Writer, number: int) -> None:
        """Say in the writer's transaction what its number stands for, unless that is known."""
        known = self._known.get(_who(writer))
        if known is not None and known.is_stored and known.number == number:
            return
        values = {"flow": writer.flow_id, "execution": writer.execution_id, "origin": writer.origin}
        await cursor.execute(sql.STORE_WRITER, {"tenant": writer.tenant_id, "writer": number, **values})

    def stored(self, writer: Writer, number: int) -> None:
        """The transaction that said it was committed."""
        known = self._known.get(_who(writer))
        if known is not None and known.number == number:
            known.is_stored = True

    def forget(self, writer: Writer) -> None:
        """The transaction failed, maybe because the database is another one now."""
        self._known.pop(_who(writer), None)


def _who(writer: Writer) -> _Who:
    return (writer.tenant_id, writer.flow_id, writer.execution_id, writer.origin, writer.fencing_token)


__all__ = ["WriterNumbers"]
