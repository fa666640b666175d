"""Several statements in one message, one of which may take rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from isthmus.connectors.postgres.catalogue import Connection
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus

# Larger pieces would have to be held whole on both sides.
_PIECE_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a message.

    Attributes:
        name: What the statement is for, for who has to know which one failed.
        statement: Gives one answer.
    """

    name: str
    statement: bytes


@dataclass(slots=True)
class Answers:
    """What the database said.

    Attributes:
        rows: The rows of each statement that gave some, by its name; values are bytes.
        copied: How many rows were copied.
        failed: The name of the statement that failed; none behind it was carried out.
        error: Why it did.
    """

    rows: dict[str, list[tuple[bytes | None, ...]]] = field(default_factory=dict)
    copied: int | None = None
    failed: str = ""
    error: psycopg.Error | None = None


async def said(
    connection: Connection, parts: Sequence[Part], text: bytes = b"", fed: Callable[[], None] | None = None
) -> Answers:
    """Sends statements together and waits once.

    Args:
        connection: In autocommit, so that the statements begin and end transactions themselves.
        parts: The statements.
        text: What the one among them that copies takes.
        fed: Called when the database has got everything.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    async with connection.lock:
        answers: Answers = await connection.wait(_said(connection, parts, text, fed))
    return answers


def _said(
    connection: Connection, parts: Sequence[Part], text: bytes, fed: Callable[[], None] | None
) -> PQGen[Answers]:
    wire, answers, place = connection.pgconn, Answers(), 0
    wire.send_query(b"; ".join(part.statement for part in parts))
    yield from generators.send(wire)
    while (result := (yield from generators.fetch(wire))) is not None:
        if result.status == ExecStatus.COPY_IN:
            yield from _fed(wire, text)
            if fed is not None:
                fed()
            continue
        if result.status == ExecStatus.FATAL_ERROR and answers.error is None:
            answers.failed = parts[place].name
            answers.error = psycopg.errors.error_from_result(result)
        elif result.status == ExecStatus.TUPLES_OK:
            answers.rows[parts[place].name] = [
                tuple(result.get_value(row, column) for column in range(result.nfields))
                for row in range(result.ntuples)
            ]
        elif parts[place].name == "copy":
            answers.copied = result.command_tuples
        place += 1
    return answers


def _fed(wire: Any, text: bytes) -> PQGen[None]:
    whole = memoryview(text)
    for start in range(0, len(whole), _PIECE_BYTES):
        yield from generators.copy_to(wire, whole[start : start + _PIECE_BYTES], True)
    wire.put_copy_end()
    yield from generators.send(wire)


__all__ = ["Answers", "Part", "said"]
