"""Whether a new version goes with those before it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from isthmus.resilience.faults import FixRequest, Violation
from isthmus.services.mapping.domain.registry.avro.reading import read_avro
from isthmus.services.mapping.domain.registry.avro.resolution import unresolved
from isthmus.services.mapping.domain.registry.containment import mismatches
from isthmus.services.mapping.domain.registry.mismatch import READER, WRITER, Mismatch
from isthmus.services.mapping.domain.registry.model import (
    Compatibility,
    Definition,
    Format,
    Level,
    Policy,
    Version,
)
from isthmus.services.mapping.domain.registry.protobuf.compatibility import unread
from isthmus.services.mapping.domain.registry.protobuf.reading import read_proto

_NEW = "the new version"
_MOST_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why a new version does not go with one before.

    Attributes:
        path: Where, as mappings write paths.
        rule: The stable name of the rule that is broken.
        message: What differs.
        remedy: What to change in the new schema.
        version: The version before.
        is_backward: The new version does not read what was written before; else the other way round.
    """

    path: str
    rule: str
    message: str
    remedy: str
    version: int
    is_backward: bool


def incompatibilities(
    new: Definition, before: Sequence[Version], compatibility: Compatibility
) -> list[Incompatibility]:
    """Every reason why a new version does not go with those before.

    Args:
        new: What would be added.
        before: Versions it has to go with, oldest first; where the level says so, only the last counts.
        compatibility: What holds.
    """
    level = compatibility.level or Level.NONE
    if level is Level.NONE:
        return []
    counted = before if level.is_transitive else before[-1:]
    is_lenient = compatibility.policy is Policy.LENIENT
    return [found for version in counted for found in _between(new, version, level, is_lenient=is_lenient)]


def _between(
    new: Definition, version: Version, level: Level, *, is_lenient: bool
) -> Iterator[Incompatibility]:
    old = version.definition
    if level.looks_back:
        for one in _compared(writer=old, reader=new, is_lenient=is_lenient):
            yield _told(one, version.version, is_backward=True)
    if level.looks_ahead:
        for one in _compared(writer=new, reader=old, is_lenient=is_lenient):
            yield _told(one, version.version, is_backward=False)


def _compared(writer: Definition, reader: Definition, *, is_lenient: bool) -> Iterable[Mismatch]:
    if writer.format is not reader.format:
        remedy = f"Write it as {writer.format.value}, or begin another subject."
        message = f"{WRITER} is written as {writer.format.value}, {READER} as {reader.format.value}."
        return [Mismatch("$", "FORMAT_OF_SCHEMA_CHANGED", message, remedy, remedy)]
    if writer.format is Format.PROTOBUF:
        return unread(read_proto(writer.text), read_proto(reader.text))
    documents = json.loads(writer.text), json.loads(reader.text)
    if writer.format is Format.AVRO:
        return unresolved(read_avro(documents[0]), read_avro(documents[1]))
    return mismatches(*documents, is_lenient=is_lenient)


def _told(one: Mismatch, version: int, *, is_backward: bool) -> Incompatibility:
    before = f"version {version}"
    writer, reader = (before, _NEW) if is_backward else (_NEW, before)
    message = one.message.replace(WRITER, writer).replace(READER, reader)
    message = message[:1].upper() + message[1:]
    remedy = one.for_reader if is_backward else one.for_writer
    return Incompatibility(one.path, one.rule, message, remedy, version, is_backward)


def refuse(subject: str, found: Sequence[Incompatibility], level: Level) -> FixRequest:
    """The refusal of a version that does not go with those before."""
    first, more = found[0], len(found) - 1
    message = (
        f"The schema does not go with version {first.version} of {subject} ({level.value.upper()}). "
        f"{first.message} {first.remedy}" + (f" And {more} more; see the violations." if more else "")
    )
    violations = tuple(
        Violation(one.path, one.rule, f"{one.message} {one.remedy}") for one in found[:_MOST_SHOWN]
    )
    return FixRequest("SCHEMA_INCOMPATIBLE", message, path="definition", violations=violations)


__all__ = ["Incompatibility", "incompatibilities", "refuse"]
