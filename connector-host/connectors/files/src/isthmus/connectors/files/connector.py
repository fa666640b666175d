"""Reads and writes files below the allowed folder."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import ClassVar

from isthmus.connectors.files.failing import failure_of, verdict_of
from isthmus.connectors.files.reading import FileReader
from isthmus.connectors.files.settings import Settings, StreamSettings
from isthmus.connectors.files.threads import in_thread
from isthmus.connectors.files.writing import FileWriter
from isthmus.sdk import (
    AuthMethod,
    CheckStep,
    Connector,
    Failure,
    Guarantee,
    NotFound,
    PermissionFailure,
    ReadMode,
    StepResult,
    Stream,
    WriteMode,
)
from isthmus.sdk.folder import Root


class Files(Connector[Settings]):
    """Reads and writes JSON, JSON Lines and CSV files below the folder that the operator allows."""

    connector_id = "files"
    title = "Files"
    system_type = "file"
    author = "Isthmus"
    is_built_in = True
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = (AuthMethod.NONE,)
    divides_streams = True

    async def connect(self) -> None:
        """Finds the allowed folder."""
        self._writers: list[FileWriter] = []
        self._guard = self.guard("the file system", judge=verdict_of)
        self.root = await self._guard.run(
            lambda: in_thread(partial(Root.from_environment, self.context.tenant_id)),
            what="Finding the allowed folder",
        )

    async def handle_error(self, error: Exception) -> Failure:
        """Tells what an error of the file system means."""
        return failure_of(error) or await super().handle_error(error)

    async def health_check(self) -> AsyncIterator[CheckStep]:
        """Tells about the folder and every file; one that is missing may still be written."""
        readable = partial(os.access, self.root.folder, os.R_OK | os.X_OK)
        if not await self._guard.run(lambda: in_thread(readable), what="Reaching the allowed folder"):
            message = f"{self.root.folder} may not be read; grant the account of the host access."
            raise PermissionFailure("FILE_UNREADABLE", message)
        found: list[str] = []
        missing: list[str] = []
        for told in self.settings.streams:
            try:
                self.root.inside(told.path.partition("*")[0] or "x")
                first = await _first(FileReader(self.root, told, self._guard))
                found.append(f"{told.name} ({first})")
            except NotFound:
                missing.append(told.path)
        if missing:
            message = f"There is no file {', '.join(missing)} yet."
            remedy = "Correct the path, unless a flow is going to write it."
            yield CheckStep("sample", StepResult.WARNING, "FILE_MISSING", message, remedy)
        else:
            yield CheckStep("sample", message=f"Read from {', '.join(found)}.")

    async def streams(self) -> list[Stream]:
        """One stream for each that the settings name; patterns can be read only."""
        return [self._stream(told) for told in self.settings.streams]

    async def disconnect(self) -> None:
        """Closes the databases beside written files."""
        for writer in getattr(self, "_writers", ()):
            writer.close()

    def _stream(self, told: StreamSettings) -> Stream:
        writer = None if told.several else FileWriter(self.root, told, self._guard)
        if writer is not None:
            self._writers.append(writer)
        reader = FileReader(self.root, told, self._guard)
        key = told.key or (("_file", "_line") if told.place_fields else ())
        return Stream(
            stream=told.name,
            description=told.description or f"Records of {told.path}.",
            primary_key=key,
            range_field=told.range_field,
            read_modes=(ReadMode.FULL, ReadMode.INCREMENTAL),
            write_modes=() if writer is None else (WriteMode.UPSERT, WriteMode.CREATE, WriteMode.DELETE),
            guarantee=None if writer is None else Guarantee.TRANSACTIONAL,
            reader=reader.read,
            partitioner=reader.partitions if told.several else None,
            writer=None if writer is None else writer.write,
        )


async def _first(reader: FileReader) -> int:
    """How many records the first page has."""
    async with aclosing(reader.read(None, {}, ReadMode.FULL)) as pages:
        async for page in pages:
            return len(page.records)
    return 0
