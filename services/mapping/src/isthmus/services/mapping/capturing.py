"""Keeps what streams look like as versions of subjects."""

import asyncio
import json
from datetime import datetime

from isthmus.resilience.faults import FixRequest
from isthmus.services.mapping.domain.registry.fields import Field, fields_of
from isthmus.services.mapping.domain.registry.model import STREAMS, Definition, Format, Version
from isthmus.services.mapping.domain.registry.reading import read_definition
from isthmus.services.mapping.store_registry import RegistryRows

MOST_VERSIONS = 200
_LONGEST_SUBJECT = 300


def stream_subject(instance_id: str, stream: str) -> str:
    """Name the subject of a stream."""
    return f"{STREAMS}{instance_id}/{stream}"


async def capture(
    rows: RegistryRows, subject: str, json_schema: str, now: datetime
) -> tuple[Version, bool] | None:
    """Keep the schema of a stream, and tell whether it is new; None where it is none that can be kept."""
    if not json_schema or len(subject) > _LONGEST_SUBJECT:
        return None
    read = await asyncio.to_thread(_read, json_schema)
    if read is None:
        return None
    definition, fields = read
    numbered = await rows.numbered(subject)
    same = await rows.same(subject, definition.fingerprint)
    if same is not None:
        # The stream may have gone back to how it was.
        await rows.prefer(subject, same.version)
        await rows.describe(subject, same.version, fields)
        return same, False
    version = Version(subject, numbered + 1, definition, "", now)
    await rows.add(version, fields)
    await rows.prune(subject, MOST_VERSIONS)
    return version, True


def _read(json_schema: str) -> tuple[Definition, list[Field]] | None:
    try:
        definition = read_definition(Format.JSON_SCHEMA, json_schema)
    except FixRequest:
        return None
    return definition, fields_of(json.loads(json_schema))


__all__ = ["MOST_VERSIONS", "capture", "stream_subject"]
