"""Reads one catalogue and gives its controls and groups."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any, ClassVar, TypeVar

from isthmus.connectors.nist_oscal.catalogue import Catalogue
from isthmus.connectors.nist_oscal.salvage import read_catalogue
from isthmus.connectors.nist_oscal.settings import Control, Group, Settings
from isthmus.sdk import Api, AuthMethod, Connector, DataFailure, Page, ReadReject, source
from isthmus.sdk.folder import Root
from pydantic import BaseModel

_PAGE = 100
_LARGEST = 64 * 1024 * 1024
R = TypeVar("R", Control, Group)


class NistOscal(Connector[Settings]):
    """Reads the controls of an OSCAL catalogue, for example NIST SP 800-53."""

    connector_id = "nist-oscal"
    title = "OSCAL catalogue"
    system_type = "compliance"
    vendor = "NIST"
    author = "Isthmus"
    is_built_in = True
    documentation_url = "https://pages.nist.gov/OSCAL"
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = (AuthMethod.NONE, AuthMethod.BEARER, AuthMethod.BASIC)

    def open(self) -> None:
        """Makes the client, or finds the allowed folder."""
        self.api = Api(self.settings.url) if self.settings.url else None
        self.root = Root.from_environment(self.context.tenant_id) if self.settings.path else None
        self.disk = self.guard("the file system")

    @source(key="id")
    async def controls(self, state: dict[str, Any]) -> AsyncIterator[Page[Control]]:
        """Controls and enhancements, with family, parent, parameters, parts and resolved prose."""
        catalogue, unread = await self._catalogue(state)
        if unread:
            yield Page(rejected=unread)
        if catalogue is not None:
            for page in _pages(catalogue.controls()):
                yield page

    @source(key="id")
    async def groups(self, state: dict[str, Any]) -> AsyncIterator[Page[Group]]:
        """Groups of controls, for example families."""
        catalogue, unread = await self._catalogue(state)
        if unread:
            yield Page(rejected=unread)
        if catalogue is not None:
            for page in _pages(catalogue.groups()):
                yield page

    async def _catalogue(self, state: dict[str, Any]) -> tuple[Catalogue | None, list[ReadReject]]:
        """The catalogue, None where it did not change since the last reading; and what cannot be read."""
        if self.api is not None:
            reply = await self.api.get(if_none_match=state.get("etag", ""))
            if reply.not_modified:
                return None, []
            state["etag"] = reply.etag
            raw, where = reply.content, reply.url
        else:
            where = self.settings.path
            raw = await self.disk.run(lambda: asyncio.to_thread(self._file), what=f"Reading {where}")
        digest = hashlib.sha256(raw).hexdigest()
        if state.get("digest") == digest:
            self.context.stats.not_modified = True
            return None, []
        state["digest"] = digest
        document, unread = await asyncio.to_thread(read_catalogue, raw, where)
        return Catalogue(document, where), unread

    def _file(self) -> bytes:
        root = self.root or Root.from_environment(self.context.tenant_id)
        descriptor = root.open(root.find(self.settings.path)[0])
        try:
            size = os.fstat(descriptor).st_size
            if size > _LARGEST:
                message = f"{self.settings.path} has {size:,} bytes; a catalogue may have {_LARGEST:,}."
                raise DataFailure("CATALOGUE_TOO_LARGE", message)
            return os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)


def _pages(records: Iterable[R]) -> Iterable[Page[R]]:
    """Pages of records; an id that came before is rejected, because it would overwrite the first."""
    seen: set[str] = set()
    stream = iter(records)
    while some := list(islice(stream, _PAGE)):
        kept: list[R] = []
        twice: list[ReadReject] = []
        for record in some:
            if record.id in seen:
                message = f"The id {record.id} occurs twice in the catalogue; give every control its own."
                twice.append(ReadReject(_dump(record), "ID_TWICE", message, "id"))
            else:
                seen.add(record.id)
                kept.append(record)
        yield Page(kept, rejected=twice)


def _dump(record: BaseModel) -> dict[str, Any]:
    return record.model_dump(mode="json")
