"""Finds models among the package's schemas and gives them whole."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from isthmus.models.bundling import bundled

Schema = dict[str, Any]

_REFERENCE = re.compile(r"([a-z0-9_]+)/([a-z0-9_]+)(?:@([1-9][0-9]*))?")
_FILE = re.compile(r"([a-z0-9_]+)\.([1-9][0-9]*)\.json")
_PARTS = "parts"
_STANDARD = "x-isthmus-standard"


class ModelUnknown(LookupError):
    """There is no model of that name or version; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Standard:
    """The public specification that a model is a profile of.

    Attributes:
        name: For example OCSF.
        version: The version of the specification that the model follows.
        url: Where the part of it that the model covers can be read.
    """

    name: str
    version: str
    url: str


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model; it never changes once it is published.

    Attributes:
        name: Standard and model, for example `ocsf/vulnerability_finding`.
        version: Counts from 1, whatever the standard's own versions are.
        title: For people.
        description: What one record of it stands for.
        standard: What it is a profile of.
        schema: JSON Schema 2020-12, without references to outside.
    """

    name: str
    version: int
    title: str
    description: str
    standard: Standard
    schema: Schema

    @property
    def reference(self) -> str:
        """What a mapping writes to mean it: `ocsf/vulnerability_finding@1`."""
        return f"{self.name}@{self.version}"


def references() -> list[str]:
    """Every published model in every version, as `name@version`, without reading one of them."""
    found = [
        (f"{standard.name}/{match[1]}", int(match[2]))
        for standard in _schemas().iterdir()
        if standard.is_dir()
        for file in standard.iterdir()
        if (match := _FILE.fullmatch(file.name)) and match[1] != _PARTS
    ]
    return [f"{name}@{version}" for name, version in sorted(found)]


def models() -> list[Model]:
    """Every model in every version, by name."""
    return [model(reference) for reference in references()]


def model(name: str, version: int | None = None) -> Model:
    """One model, read anew at each call, so that a process that needs none keeps none.

    Args:
        name: For example `ocsf/vulnerability_finding`, or with its version `ocsf/vulnerability_finding@1`.
        version: Which one; the newest when neither says it.

    Raises:
        ModelUnknown: there is no such model or version.
    """
    match = _REFERENCE.fullmatch(name)
    if match is None:
        raise ModelUnknown(_unknown(name))
    bare, wanted = f"{match[1]}/{match[2]}", version or int(match[3] or 0)
    versions = _versions(bare)
    if match[2] == _PARTS or not versions or (wanted and wanted not in versions):
        raise ModelUnknown(_unknown(name if not versions or version is None else f"{bare}@{version}"))
    return _read(bare, wanted or max(versions))


def schema_of(told: str | Mapping[str, Any]) -> Schema:
    """The JSON Schema that a mapping means: one that is written out, or a model in a certain version.

    Args:
        told: A JSON Schema, or a reference such as `ocsf/vulnerability_finding@1`.

    Raises:
        ModelUnknown: there is no such model, or no version is named: what a mapping gives may not change
            with the next version.
    """
    if not isinstance(told, str):
        return dict(told)
    found = model(told)
    if "@" not in told:
        raise ModelUnknown(f"Name the version of the model, too: {found.reference}.")
    return found.schema


def _schemas() -> Traversable:
    return resources.files("isthmus.models") / "schemas"


def _versions(name: str) -> list[int]:
    standard, _, bare = name.partition("/")
    folder = _schemas() / standard
    if not folder.is_dir():
        return []
    found = (_FILE.fullmatch(file.name) for file in folder.iterdir())
    return [int(match[2]) for match in found if match and match[1] == bare]


def _read(name: str, version: int) -> Model:
    standard = name.partition("/")[0]

    def load(file: str) -> Schema:
        found: Schema = json.loads((_schemas() / standard / file).read_text(encoding="utf-8"))
        return found

    schema = bundled(load(f"{name.partition('/')[2]}.{version}.json"), load)
    told = schema.pop(_STANDARD)
    return Model(
        name=name,
        version=version,
        title=schema["title"],
        description=schema["description"],
        standard=Standard(told["name"], told["version"], told["url"]),
        schema=schema,
    )


def _unknown(name: str) -> str:
    known = references()
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "`isthmus models list` shows those there are."
    return f"There is no model {name[:80]!r}: {hint}"


__all__ = ["Model", "ModelUnknown", "Schema", "Standard", "model", "models", "references", "schema_of"]
