"""Shows registered schemas, their fields, and those of streams."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from isthmus.kit import Clock, DomainEvent, Page, PageRequest, current_principal
from isthmus.kit.paging import fitting
from isthmus.kit.validation import validating
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.mapping.v1 import schema_registry_pb2_grpc as pb_grpc
from isthmus.services.mapping.capturing import capture, stream_subject
from isthmus.services.mapping.domain.registry import builtin
from isthmus.services.mapping.domain.registry.fields import KnownField, Wanted
from isthmus.services.mapping.domain.registry.model import MODELS, Version
from isthmus.services.mapping.domain.registry.notations import written
from isthmus.services.mapping.peers import RegistryPeer
from isthmus.services.mapping.servicer_registry import messages
from isthmus.services.mapping.servicer_registry.checks import LONGEST_SUBJECT, check_format, check_subject
from isthmus.services.mapping.store_registry import RegistryRows, RegistryStore, unknown
from sqlalchemy.ext.asyncio import AsyncConnection

Tell = Callable[[AsyncConnection, DomainEvent], Awaitable[None]]
"""Tells the mesh in the transaction of the change."""


class Exploring(pb_grpc.SchemaRegistryServiceServicer):
    """The part of the registry that shows what there is, built-in models included.

    Args:
        store: Opens units of work.
        tell: Tells the mesh of changes.
        clock: Tells the time.
        instances: Asks instances for their streams.
    """

    def __init__(self, store: RegistryStore, tell: Tell, clock: Clock, instances: RegistryPeer) -> None:
        self._store = store
        self._tell = tell
        self._clock = clock
        self._instances = instances

    async def GetSchemaVersion(
        self, request: pb.GetSchemaVersionRequest, context: Any
    ) -> pb.GetSchemaVersionResponse:
        """Read a version."""
        check_subject(request.subject, request.version)
        async with self.own() as rows:
            found = await self.find(rows, request.subject, request.version)
        return pb.GetSchemaVersionResponse(version=messages.version(found))

    async def ExportSchemaVersion(
        self, request: pb.ExportSchemaVersionRequest, context: Any
    ) -> pb.ExportSchemaVersionResponse:
        """Write a version in a notation."""
        check_subject(request.subject, request.version)
        check_format(request.format)
        async with self.own() as rows:
            found = await self.find(rows, request.subject, request.version)
        text, losses = await asyncio.to_thread(written, found, messages.FORMATS[request.format])
        return pb.ExportSchemaVersionResponse(
            version=found.version, definition=text, losses=map(messages.loss, losses)
        )

    async def ListSchemaSubjects(
        self, request: pb.ListSchemaSubjectsRequest, context: Any
    ) -> pb.ListSchemaSubjectsResponse:
        """List subjects."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("subject",))
        with validating() as check:
            check.text("prefix", request.prefix, required=False, longest=LONGEST_SUBJECT)
        after = str((page.after or {}).get("subject", ""))
        models = [
            one
            for one in await asyncio.to_thread(builtin.builtin_subjects)
            if one.name > after and one.name.startswith(request.prefix)
        ]
        async with self.own() as rows:
            found = [*await rows.subjects(page, request.prefix), *models]
        ordered = sorted(found, key=lambda one: one.name)[: page.size + 1]
        shown = Page.of(ordered, page, lambda row: {"subject": row.name})
        return pb.ListSchemaSubjectsResponse(
            subjects=map(messages.subject, shown.items), next_page_token=shown.next_token
        )

    async def ListSchemaVersions(
        self, request: pb.ListSchemaVersionsRequest, context: Any
    ) -> pb.ListSchemaVersionsResponse:
        """List the versions of a subject."""
        page = PageRequest.parse(request.page_size, request.page_token, keys={"version": int})
        check_subject(request.subject)
        async with self.own() as rows:
            await self.find(rows, request.subject, 0)
            if request.subject.startswith(MODELS):
                after = (page.after or {}).get("version", 0)
                versions = await asyncio.to_thread(builtin.builtin_versions, request.subject)
                found = [one for one in reversed(versions) if not after or one.version < after]
            else:
                found = await rows.versions(request.subject, page)
        listed = fitting((messages.version(one, is_short=True) for one in found[: page.size]), page.size)
        shown = Page.of(
            found, replace(page, size=len(listed) or page.size), lambda row: {"version": row.version}
        )
        return pb.ListSchemaVersionsResponse(versions=listed, next_page_token=shown.next_token)

    async def CaptureStreams(
        self, request: pb.CaptureStreamsRequest, context: Any
    ) -> pb.CaptureStreamsResponse:
        """Keep what the streams of an instance look like."""
        with validating() as check:
            check.text("instance_id", request.instance_id, longest=100)
        streams = await self._instances.streams(request.instance_id)
        versions: list[pb.SchemaVersion] = []
        without: list[str] = []
        added = 0
        async with self.own() as rows:
            for name, json_schema in sorted(streams.items()):
                subject = stream_subject(request.instance_id, name)
                kept = await capture(rows, subject, json_schema, self._clock.now())
                if kept is None:
                    without.append(name)
                    continue
                version, is_new = kept
                versions.append(messages.version(version, is_short=True))
                added += is_new
                if is_new:
                    await self.note(rows, "registered", version)
        return pb.CaptureStreamsResponse(versions=versions, added=added, streams_without_schema=without)

    async def ListSchemaFields(
        self, request: pb.ListSchemaFieldsRequest, context: Any
    ) -> pb.ListSchemaFieldsResponse:
        """List the fields of a subject."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("path",))
        check_subject(request.subject)
        async with self.own() as rows:
            await self.find(rows, request.subject, 0)
            if request.subject.startswith(MODELS):
                after = str((page.after or {}).get("path", ""))
                known = await asyncio.to_thread(builtin.builtin_fields, request.subject)
                found = [one for one in known if one.field.path > after][: page.size + 1]
            else:
                found = await rows.fields(request.subject, page)
        shown = Page.of(found, page, lambda row: {"path": row.field.path})
        return pb.ListSchemaFieldsResponse(
            fields=map(messages.field, shown.items), next_page_token=shown.next_token
        )

    async def SearchSchemas(self, request: pb.SearchSchemasRequest, context: Any) -> pb.SearchSchemasResponse:
        """Look for fields."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("subject", "path"))
        with validating() as check:
            for name in ("query", "prefix", "field", "type"):
                check.text(name, getattr(request, name), required=False, longest=LONGEST_SUBJECT)
        wanted = Wanted(request.query, request.prefix, request.field, request.type, int(request.data_class))
        place = page.after or {"subject": "", "path": ""}
        models = await asyncio.to_thread(
            builtin.builtin_search, wanted, place["subject"], place["path"], page.size + 1
        )
        async with self.own() as rows:
            found = [*await rows.search(page, wanted), *models]
        ordered = sorted(found, key=_place)[: page.size + 1]
        shown = Page.of(ordered, page, lambda row: {"subject": row.subject, "path": row.field.path})
        return pb.SearchSchemasResponse(
            fields=map(messages.field, shown.items), next_page_token=shown.next_token
        )

    async def find(self, rows: RegistryRows, subject: str, version: int) -> Version:
        """Return a version, also of a built-in model; 0 means the newest.

        Raises:
            Missing: `SCHEMA_UNKNOWN`.
        """
        if not subject.startswith(MODELS):
            return await rows.get(subject, version)
        found = await asyncio.to_thread(builtin.builtin, subject, version)
        if found is None:
            raise unknown(subject, version)
        return found

    async def note(self, rows: RegistryRows, verb: str, version: Version) -> None:
        """Tell what happened to a version."""
        payload = pb.SchemaVersionChanged(version=messages.version(version, is_short=True))
        await self._tell(
            rows.conn, DomainEvent(rows.tenant_id, "schema_version", verb, version.subject, payload)
        )

    def own(self) -> AbstractAsyncContextManager[RegistryRows]:
        """Open a transaction that sees what is the caller's tenant's."""
        return self._store.of(current_principal().tenant_id)


def _place(known: KnownField) -> tuple[str, str]:
    return known.subject, known.field.path


__all__ = ["Exploring", "Tell"]
