"""Copies secrets from one provider to another, and looks afterwards whether they arrived."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from isthmus.kit.vault.port import Archive
from isthmus.resilience.faults import DataLost


class Copied(StrEnum):
    """What became of a secret."""

    COPIED = "copied"
    WOULD_COPY = "would be copied"
    SAME = "same"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class CopiedSecret:
    """One secret that was looked at; its value is not in here.

    Attributes:
        path: Its whole path.
        result: What became of it.
        versions: How many versions are kept of it.
    """

    path: str
    result: Copied
    versions: int


async def copy(
    source: Archive, target: Archive, *, dry_run: bool = False, overwrite: bool = False
) -> AsyncIterator[CopiedSecret]:
    """Copy every secret with its versions under their numbers; repeating it goes on where it ended.

    Args:
        source: Where secrets are read.
        target: Where they are written.
        dry_run: Say what would be done.
        overwrite: Replace secrets of the target that differ; else they stay and are reported.

    Raises:
        DataLost: `COPY_UNTRUE`, what was written reads back as something else.
        Fault: What one of the providers says.
    """
    async for path in source.paths():
        versions = await source.versions(path)
        if not versions:
            continue
        digest = digest_of(versions)
        there = await target.versions(path)
        result = _verdict(versions, there, overwrite=overwrite)
        if result is Copied.COPIED:
            if dry_run:
                result = Copied.WOULD_COPY
            else:
                await target.put(path, versions)
                if digest_of(await target.versions(path)) != digest:
                    message = f"{path} was written and reads back as something else; look into the target."
                    raise DataLost("COPY_UNTRUE", message)
        yield CopiedSecret(path, result, len(versions))


def digest_of(versions: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the SHA-256 of all versions with their numbers."""
    text = json.dumps({str(number): data for number, data in versions.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _verdict(
    versions: Mapping[int, Mapping[str, Any]], there: Mapping[int, Mapping[str, Any]], *, overwrite: bool
) -> Copied:
    if there and digest_of(there) == digest_of(versions):
        return Copied.SAME
    return Copied.COPIED if overwrite or not there else Copied.DIFFERS


__all__ = ["Copied", "CopiedSecret", "copy", "digest_of"]
