"""PostgreSQL: reads tables and queries, writes tables by their key."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation, relations
from isthmus.connectors.postgres.copying import Copying
from isthmus.connectors.postgres.failing import failure_of, verdict_of
from isthmus.connectors.postgres.foreseeing import foresee
from isthmus.connectors.postgres.generations import finish
from isthmus.connectors.postgres.line import Line
from isthmus.connectors.postgres.partitions import Part, division_of, known_division
from isthmus.connectors.postgres.previewing import preview
from isthmus.connectors.postgres.reading import TIMES, pages
from isthmus.connectors.postgres.rotating import renew, retire
from isthmus.connectors.postgres.securing import security
from isthmus.connectors.postgres.settings import Settings
from isthmus.connectors.postgres.writing import write
from isthmus.sdk import (
    AuthenticationFailure,
    AuthMethod,
    Batch,
    Between,
    Connector,
    Credential,
    Failure,
    Finished,
    Foresight,
    Generation,
    Guarantee,
    Page,
    ReadMode,
    Rotated,
    Rotation,
    Stream,
    TransientFailure,
    WriteMode,
)
from isthmus.sdk.egress import resolved

# A larger batch gains next to nothing, and more of it is read again after a death.
_BATCH_RECORDS = 3000


class Postgres(Connector[Settings]):
    """Tables and queries of a PostgreSQL database, read page by page and written exactly once by key."""

    connector_id: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    version: ClassVar[str] = "0.1.0"
    system_type: ClassVar[str] = "database"
    vendor: ClassVar[str] = "PostgreSQL Global Development Group"
    author: ClassVar[str] = "Isthmus"
    is_built_in: ClassVar[bool] = True
    divides_streams: ClassVar[bool] = True
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = (AuthMethod.BASIC,)
    allowed_hosts: ClassVar[tuple[str, ...]] = ("{host}",)

    def open(self) -> None:
        """Prepares; connections are made when they are needed."""
        self._where = f"{self.settings.host}:{self.settings.port}"
        self._guard = self.guard(self._where, judge=verdict_of)
        self._writer = Line(self._guard, self._connect)
        self._writing = asyncio.Lock()
        self._copying = Copying()

    async def check(self) -> None:
        """Connects and describes every configured table and query."""
        await self._relations()

    async def streams(self) -> list[Stream]:
        """Lists tables and queries as streams."""
        return [self._stream(relation) for relation in await self._relations()]

    async def rotate(self, rotation: Rotation) -> Rotated:
        """Gives a role a new password: the same one, or the other of two that take turns."""
        what = f"Changing the password of {rotation.new.username}"
        return await self._guard.run(lambda: renew(self._connect_as, rotation), what=what)

    async def retire(self, rotation: Rotation) -> None:
        """Ends the password of the role whose turn is over."""
        what = f"Ending the password of {rotation.old.username}"
        await self._guard.run(lambda: retire(self._connect_as, rotation), what=what)

    async def handle_error(self, error: Exception) -> Failure:
        """Tells what an error of the driver means."""
        return failure_of(error) if isinstance(error, psycopg.Error) else await super().handle_error(error)

    async def disconnect(self) -> None:
        """Closes the connection for writing."""
        await self._writer.aclose()

    async def _relations(self) -> list[Relation]:
        async with aclosing(Line(self._guard, self._connect)) as line:
            what = f"Describing the tables of {self._where}"
            return await line.run(lambda connection: relations(connection, self.settings), what=what)

    def _stream(self, relation: Relation) -> Stream:
        readable = bool(relation.columns)
        is_timed = dict(relation.columns).get(relation.cursor, "").partition("(")[0].strip() in TIMES
        modes = (ReadMode.FULL, ReadMode.INCREMENTAL) if relation.cursor else (ReadMode.FULL,)
        writable = relation.table is not None and bool(relation.key)
        return Stream(
            stream=relation.name,
            description=relation.description,
            json_schema=relation.json_schema(),
            primary_key=relation.key,
            cursor_field=relation.cursor,
            range_field=relation.cursor if is_timed else "",
            asks_for_range=is_timed,
            read_modes=modes if readable else (),
            write_modes=(WriteMode.UPSERT, WriteMode.DELETE) if writable else (),
            guarantee=Guarantee.TRANSACTIONAL if writable else None,
            reader=partial(self._read, relation) if readable else None,
            partitioner=partial(self._partitions, relation) if readable and relation.table else None,
            batch_records=_BATCH_RECORDS,
            writer=partial(self._write, relation) if writable else None,
            preparer=partial(self._copying.prepare, relation) if writable else None,
            previewer=partial(self._preview, relation) if writable else None,
            finisher=partial(self._finish, relation) if writable else None,
            foreseer=partial(self._foresee, relation) if writable else None,
            takes_lines=writable,
        )

    async def _read(
        self,
        relation: Relation,
        since: Any = None,
        resume: Mapping[str, Any] | None = None,
        *,
        limit: int = 0,
        partition: str = "",
        between: Between | None = None,
    ) -> AsyncIterator[Page[dict[str, Any]]]:
        rows, part = self.settings.page_rows, Part.of(partition) if partition else None
        async with aclosing(Line(self._guard, partial(self._connect, read_only=True))) as line:
            async for page in pages(
                line,
                relation,
                rows=rows,
                since=since,
                resume=resume,
                limit=limit,
                part=part,
                between=between,
            ):
                yield page

    async def _partitions(self, relation: Relation, mode: ReadMode, known: Sequence[str]) -> list[str]:
        """The parts of a large table; whoever reads it by its cursor reads it in one."""
        if known or mode != ReadMode.FULL:
            return known_division(known) or [""]
        least = self.settings.partition_rows
        async with aclosing(Line(self._guard, partial(self._connect, read_only=True))) as line:
            division = await line.run(
                lambda connection: division_of(connection, relation, least_rows=least),
                what=f"Dividing {relation.name}",
            )
        return division.names() if division is not None else [""]

    async def _write(self, relation: Relation, batch: Batch[Any]) -> None:
        async with self._writing:
            # The batch and its position are one transaction, and a batch that comes again is recognised by
            # its position, or changes nothing; so it may be tried again even when only the answer was lost.
            await self._writer.write(
                batch,
                lambda connection, trial: write(connection, relation, trial, self._copying),
                what=f"Writing a batch to {relation.name}",
            )

    async def _preview(self, relation: Relation, batch: Batch[Any]) -> None:
        async with self._writing:
            await self._writer.write(
                batch,
                lambda connection, trial: preview(connection, relation, trial),
                what=f"Trying a batch out on {relation.name}",
            )

    async def _finish(self, relation: Relation, generation: Generation) -> Finished:
        async with self._writing:
            return await self._writer.run(
                lambda connection: finish(connection, relation, generation),
                what=f"Ending a refresh of {relation.name}",
            )

    async def _foresee(self, relation: Relation, generation: Generation, keys: Sequence[str]) -> Foresight:
        async with aclosing(Line(self._guard, partial(self._connect, read_only=True))) as line:
            return await line.run(
                lambda connection: foresee(connection, relation, generation, keys),
                what=f"Foreseeing the end of a refresh of {relation.name}",
            )

    async def _connect_as(self, credential: Credential) -> Connection:
        return await self._connect(credential=credential)

    async def _connect(self, *, read_only: bool = False, credential: Credential | None = None) -> Connection:
        settings, credential = self.settings, credential or self.credential
        if not credential.username:
            message = "The database needs a user: give the instance a basic credential."
            raise AuthenticationFailure("CREDENTIAL_MISSING", message)
        limits = self.context.limits
        options = f"-c statement_timeout={settings.statement_timeout_seconds * 1000}"
        if read_only:
            options += " -c default_transaction_read_only=on"
        try:
            async with asyncio.timeout(limits.connect_seconds):
                addresses = await self._addresses()
                return await psycopg.AsyncConnection.connect(
                    # The name is what TLS has to prove; the connection goes to what was judged.
                    host=",".join([settings.host] * len(addresses)),
                    hostaddr=",".join(addresses),
                    port=settings.port,
                    dbname=settings.database,
                    user=credential.username,
                    password=credential.password or None,
                    # What lies in the home folder of the host's account is not the tenant's to use.
                    passfile="/dev/null",
                    **security(settings, addresses),
                    tcp_user_timeout=int(limits.write_seconds * 1000),
                    application_name="isthmus",
                    options=options,
                    autocommit=True,
                    # A driver that prepares by itself drops all prepared statements when a table is dropped.
                    prepare_threshold=5 if read_only else None,
                )
        except TimeoutError:
            text = f"No connection to {self._where} within {limits.connect_seconds:g} s"
            raise TransientFailure(
                "SYSTEM_UNREACHABLE", f"{text}: check host, port and the network."
            ) from None

    async def _addresses(self) -> list[str]:
        settings = self.settings
        try:
            return await resolved(self.context.egress, settings.host, settings.port)
        except OSError as error:
            message = f"The host name {settings.host} is unknown; correct it in the settings."
            raise TransientFailure("SYSTEM_UNREACHABLE", message) from error


__all__ = ["Postgres"]
