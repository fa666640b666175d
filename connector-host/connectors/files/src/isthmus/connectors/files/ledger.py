"""What a written file has to hold, remembered beside it."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from isthmus.sdk import BatchId, Fenced

_SCHEMA = """
create table if not exists records (
    id integer primary key, key text unique, digest blob not null, body blob not null);
create table if not exists positions (
    flow text not null, part text not null, token integer not null, sequence integer not null,
    primary key (flow, part)) without rowid;
create table if not exists facts (name text primary key, value text not null) without rowid;
"""


@dataclass
class Changes:
    """What a batch changed."""

    added: list[dict[str, Any]] = field(default_factory=list)
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    @property
    def only_added(self) -> bool:
        """Whether appending is enough."""
        return not self.updated and not self.deleted


class Ledger:
    """Keeps records, positions and the file's committed length in one SQLite database.

    The database is the truth and the file its image: whatever a crash leaves
    of the file, the next write brings it back to what the database says.
    """

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._base.execute("pragma synchronous=full")
        self._base.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the database."""
        self._base.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Holds the file for one writer; what is done inside happens whole or not at all."""
        self._base.execute("begin immediate")
        try:
            yield
        except BaseException:
            # What the disk refuses, the database may have rolled back by itself.
            if self._base.in_transaction:
                self._base.execute("rollback")
            raise
        self._base.execute("commit")

    def seen(self, batch: BatchId) -> bool:
        """Whether the batch was applied before; remembers it when not.

        Raises:
            Fenced: A newer attempt has written.
        """
        if not batch.flow_id:
            return False
        where = (batch.flow_id, batch.partition)
        found = self._base.execute(
            "select token, sequence from positions where flow=? and part=?", where
        ).fetchone()
        token, sequence = found or (0, 0)
        if batch.fencing_token < token:
            raise Fenced
        if batch.fencing_token == token and batch.sequence <= sequence:
            return True
        row = (*where, batch.fencing_token, batch.sequence)
        self._base.execute("insert or replace into positions values (?, ?, ?, ?)", row)
        return False

    def upsert(self, key: str, record: dict[str, Any], changes: Changes) -> None:
        """Takes one record; one that is held already in the same form changes nothing."""
        body = msgspec.json.encode(record)
        digest = hashlib.sha256(msgspec.json.encode(record, order="deterministic")).digest()
        if key:
            found = self._base.execute("select id, digest from records where key=?", (key,)).fetchone()
            if found and found[1] == digest:
                changes.unchanged += 1
                return
            if found:
                self._base.execute("update records set digest=?, body=? where id=?", (digest, body, found[0]))
                changes.updated += 1
                return
        self._base.execute(
            "insert into records (key, digest, body) values (?, ?, ?)", (key or None, digest, body)
        )
        changes.added.append(record)

    def patch(self, key: str, record: dict[str, Any], changes: Changes) -> None:
        """Changes only the fields that the record carries."""
        found = self._base.execute("select body from records where key=?", (key,)).fetchone()
        held = msgspec.json.decode(found[0]) if found else {}
        self.upsert(key, {**held, **record}, changes)

    def delete(self, key: str, changes: Changes) -> None:
        """Removes a record; one that is not there counts as unchanged."""
        gone = self._base.execute("delete from records where key=?", (key,)).rowcount
        changes.deleted += gone
        changes.unchanged += not gone

    def records(self) -> Iterator[dict[str, Any]]:
        """Everything that the file has to hold, in the order of its arrival."""
        for (body,) in self._base.execute("select body from records order by id"):
            yield msgspec.json.decode(body)

    def fact(self, name: str, default: str = "") -> str:
        """Something remembered about the file."""
        found = self._base.execute("select value from facts where name=?", (name,)).fetchone()
        return str(found[0]) if found else default

    def remember(self, facts: Iterable[tuple[str, str]]) -> None:
        """Remembers things about the file."""
        self._base.executemany("insert or replace into facts values (?, ?)", facts)
