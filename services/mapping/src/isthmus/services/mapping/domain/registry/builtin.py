"""The models that come with Isthmus, as subjects that nobody changes."""

import json
from functools import lru_cache

from isthmus.models import Model, ModelUnknown, model, models, references
from isthmus.services.mapping.domain.registry.fields import KnownField, Wanted, fields_of
from isthmus.services.mapping.domain.registry.model import MODELS, Definition, Format, Subject, Version
from isthmus.services.mapping.domain.registry.reading import fingerprint_of


@lru_cache(maxsize=1)
def builtin_subjects() -> tuple[Subject, ...]:
    """Every model by name, with its newest version; read once."""
    newest = {found.name: found for found in models()}
    return tuple(_subject(found) for _, found in sorted(newest.items()))


def builtin(subject: str, version: int = 0) -> Version | None:
    """A model in one version, 0 for the newest; None where there is no such one."""
    try:
        return _version(model(subject.removeprefix(MODELS), version or None))
    except ModelUnknown:
        return None


def builtin_versions(subject: str) -> list[Version]:
    """Every version of a model, oldest first."""
    name = subject.removeprefix(MODELS)
    found = [model(reference) for reference in references() if reference.partition("@")[0] == name]
    return [_version(one) for one in sorted(found, key=lambda one: one.version)]


@lru_cache(maxsize=64)
def builtin_fields(subject: str) -> tuple[KnownField, ...]:
    """The fields of all versions of a model, by path; read once."""
    found: dict[str, KnownField] = {}
    for version in builtin_versions(subject):
        for field in fields_of(json.loads(version.definition.json_schema)):
            first = found[field.path].first if field.path in found else version.version
            found[field.path] = KnownField(subject, field, first, version.version)
    return tuple(found[path] for path in sorted(found))


def builtin_search(wanted: Wanted, subject: str, path: str, most: int) -> list[KnownField]:
    """Fields of the newest versions of models, by subject and path, behind a place."""
    found: list[KnownField] = []
    for one in builtin_subjects():
        if one.name < subject or not (one.name.startswith(wanted.prefix)) or len(found) >= most:
            continue
        for known in builtin_fields(one.name):
            is_behind = (one.name, known.field.path) > (subject, path)
            if is_behind and known.last == one.latest and wanted.fits(one.title, known):
                found.append(known)
    return found[:most]


def _subject(found: Model) -> Subject:
    version = _version(found)
    definition = version.definition
    return Subject(
        version.subject, version.version, definition.format, definition.title, definition.fingerprint
    )


def _version(found: Model) -> Version:
    text = json.dumps(found.schema, ensure_ascii=False)
    definition = Definition(Format.JSON_SCHEMA, text, text, fingerprint_of(found.schema), found.title)
    return Version(f"{MODELS}{found.name}", found.version, definition)


__all__ = ["builtin", "builtin_fields", "builtin_search", "builtin_subjects", "builtin_versions"]
