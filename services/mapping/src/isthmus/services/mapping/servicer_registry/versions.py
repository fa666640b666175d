"""Speaks the contract of the registry of schemas."""

import asyncio
import json
from dataclasses import replace
from typing import Any

from isthmus.kit import DomainEvent, current_principal
from isthmus.kit.deed import tell
from isthmus.kit.validation import validating
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.resilience.faults import Precondition
from isthmus.services.mapping.capturing import MOST_VERSIONS
from isthmus.services.mapping.domain.registry.fields import Field, fields_of
from isthmus.services.mapping.domain.registry.judging import incompatibilities, refuse
from isthmus.services.mapping.domain.registry.model import (
    DEFAULT,
    MODELS,
    Compatibility,
    Definition,
    Level,
    Status,
    Version,
)
from isthmus.services.mapping.domain.registry.reading import read_definition
from isthmus.services.mapping.servicer_registry import messages
from isthmus.services.mapping.servicer_registry.checks import (
    LONGEST_SUBJECT,
    check_compatibility,
    check_own,
    check_schema,
    check_subject,
)
from isthmus.services.mapping.servicer_registry.exploring import Exploring
from isthmus.services.mapping.store_registry import RegistryRows


class RegistryServicer(Exploring):
    """Keeps schemas in versions that go together; reading and judging happen off the event loop."""

    async def RegisterSchemaVersion(
        self, request: pb.RegisterSchemaVersionRequest, context: Any
    ) -> pb.RegisterSchemaVersionResponse:
        """Add a version, unless the subject has it already."""
        check_schema(request)
        check_own(request.subject)
        tell(target=request.subject)
        definition, fields = await asyncio.to_thread(read, request)
        async with self.own() as rows:
            numbered = await rows.numbered(request.subject)
            same = await rows.same(request.subject, definition.fingerprint)
            if same is not None:
                return pb.RegisterSchemaVersionResponse(version=messages.version(same))
            await self._check_fitting(rows, request.subject, definition)
            who, now = current_principal().subject, self._clock.now()
            version = Version(request.subject, numbered + 1, definition, who, now)
            await rows.add(version, fields)
            await self.note(rows, "registered", version)
        return pb.RegisterSchemaVersionResponse(version=messages.version(version), is_new=True)

    async def CheckSchemaVersion(
        self, request: pb.CheckSchemaVersionRequest, context: Any
    ) -> pb.CheckSchemaVersionResponse:
        """Tell every reason why a schema could not be added."""
        check_schema(request)
        definition, _ = await asyncio.to_thread(read, request)
        asked = messages.read_compatibility(request.level, request.policy)
        async with self.own() as rows:
            held = asked.or_else(await effective(rows, request.subject))
            same = await rows.same(request.subject, definition.fingerprint)
            if request.version or request.subject.startswith(MODELS):
                before = [await self.find(rows, request.subject, request.version)]
            else:
                before = await before_it(rows, request.subject, held)
        found = await asyncio.to_thread(incompatibilities, definition, before, held)
        return pb.CheckSchemaVersionResponse(
            is_compatible=not found,
            incompatibilities=map(messages.incompatibility, found),
            level=messages.compatibility("", held).level,
            policy=messages.compatibility("", held).policy,
            same_version=same.version if same else 0,
        )

    async def SetSchemaVersionStatus(
        self, request: pb.SetSchemaVersionStatusRequest, context: Any
    ) -> pb.SetSchemaVersionStatusResponse:
        """Mark a version."""
        check_subject(request.subject, request.version, least=1)
        with validating() as check:
            check.enum("status", request.status, known=messages.STATUSES)
            check.text("note", request.note, required=False, longest=500, lines=True)
        async with self.own() as rows:
            before = await rows.get(request.subject, request.version)
            tell(target=request.subject, before=messages.version(before, is_short=True))
            changed = replace(
                before, status=messages.STATUSES[request.status], status_note=request.note.strip()
            )
            if changed.status is Status.AVAILABLE:
                changed = replace(changed, status_note="")
            if changed != before:
                await rows.mark(changed)
                await self.note(rows, "changed", changed)
        return pb.SetSchemaVersionStatusResponse(version=messages.version(changed, is_short=True))

    async def DeleteSchemaVersion(
        self, request: pb.DeleteSchemaVersionRequest, context: Any
    ) -> pb.DeleteSchemaVersionResponse:
        """Remove a version, if it is there."""
        check_subject(request.subject, request.version, least=1)
        tell(target=request.subject)
        async with self.own() as rows:
            await rows.numbered(request.subject)
            found = await rows.whole(request.subject)
            gone = next((one for one in found if one.version == request.version), None)
            if gone is not None:
                tell(before=messages.version(gone, is_short=True))
                await rows.remove(request.subject, request.version)
                await rows.forget_fields(request.subject)
                for version in found:
                    if version is not gone:
                        fields = await asyncio.to_thread(described, version.definition)
                        await rows.describe(version.subject, version.version, fields)
                await self.note(rows, "deleted", gone)
        return pb.DeleteSchemaVersionResponse()

    async def GetSchemaCompatibility(
        self, request: pb.GetSchemaCompatibilityRequest, context: Any
    ) -> pb.GetSchemaCompatibilityResponse:
        """Read which versions have to go together."""
        with validating() as check:
            check.text("subject", request.subject, required=False, longest=LONGEST_SUBJECT)
        async with self.own() as rows:
            own, others = await rows.compatibility(request.subject)
        held = own.or_else(others).or_else(DEFAULT)
        return pb.GetSchemaCompatibilityResponse(
            compatibility=messages.compatibility(request.subject, own),
            effective=messages.compatibility(request.subject, held),
        )

    async def SetSchemaCompatibility(
        self, request: pb.SetSchemaCompatibilityRequest, context: Any
    ) -> pb.SetSchemaCompatibilityResponse:
        """Set which versions have to go together."""
        asked = request.compatibility
        with validating() as check:
            check.text("compatibility.subject", asked.subject, required=False, longest=LONGEST_SUBJECT)
            check_compatibility(check, asked.level, asked.policy, "compatibility.")
        wanted = messages.read_compatibility(asked.level, asked.policy)
        async with self.own() as rows:
            own, others = await rows.compatibility(asked.subject)
            tell(target=asked.subject or rows.tenant_id, before=messages.compatibility(asked.subject, own))
            if wanted != own:
                await rows.set_compatibility(asked.subject, wanted)
                payload = pb.SchemaCompatibilityChanged(
                    compatibility=messages.compatibility(asked.subject, wanted)
                )
                about = asked.subject or rows.tenant_id
                event = DomainEvent(rows.tenant_id, "schema_compatibility", "changed", about, payload)
                await self._tell(rows.conn, event)
            held = wanted.or_else(others if asked.subject else Compatibility()).or_else(DEFAULT)
        return pb.SetSchemaCompatibilityResponse(effective=messages.compatibility(asked.subject, held))

    async def _check_fitting(self, rows: RegistryRows, subject: str, definition: Definition) -> None:
        """Refuse a schema that does not go with what is there.

        Raises:
            FixRequest: `SCHEMA_INCOMPATIBLE`, with the reasons.
            Precondition: `SUBJECT_FULL`.
        """
        if await rows.count(subject) >= MOST_VERSIONS:
            message = f"The subject {subject} has {MOST_VERSIONS} versions, which is the most; delete some."
            raise Precondition("SUBJECT_FULL", message, path="subject")
        held = await effective(rows, subject)
        before = await before_it(rows, subject, held)
        found = await asyncio.to_thread(incompatibilities, definition, before, held)
        if found:
            raise refuse(subject, found, held.level or Level.NONE)


async def effective(rows: RegistryRows, subject: str) -> Compatibility:
    """Tell what holds for a subject."""
    own, others = await rows.compatibility(subject)
    return own.or_else(others).or_else(DEFAULT)


async def before_it(rows: RegistryRows, subject: str, held: Compatibility) -> list[Version]:
    """Return the versions that a new one has to go with, oldest first."""
    if held.level in {None, Level.NONE}:
        return []
    return await rows.whole(subject, last=0 if held.level and held.level.is_transitive else 1)


def read(
    request: pb.RegisterSchemaVersionRequest | pb.CheckSchemaVersionRequest,
) -> tuple[Definition, list[Field]]:
    """Read the schema of a request and what its fields are."""
    definition = read_definition(messages.FORMATS[request.format], request.definition)
    return definition, described(definition)


def described(definition: Definition) -> list[Field]:
    """Tell what the fields of a schema are."""
    return fields_of(json.loads(definition.json_schema))


__all__ = ["RegistryServicer"]
