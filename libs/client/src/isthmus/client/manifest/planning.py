"""What applying documents would change."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from isthmus.client.manifest.credentials import SECRET_FIELDS, in_turn
from isthmus.client.manifest.document import CredentialDocument, Document, InstanceDocument
from isthmus.client.manifest.state import Held, State


class Action(StrEnum):
    """What happens to one thing."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Change:
    """One field that differs; texts are JSON, empty where the field is absent."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Step:
    """What happens to one document's thing."""

    action: Action
    document: Document
    held: Held | None
    changes: tuple[Change, ...] = ()


def plan(documents: list[Document], state: State) -> list[Step]:
    """Compares documents with what the mesh holds, in the order in which they are applied."""
    return [step(document, state) for document in documents]


def step(document: Document, state: State, *, drafts: bool = False) -> Step:
    """Compares one document with what the mesh holds.

    Args:
        document: As read.
        state: What the mesh holds.
        drafts: Mappings are saved and not used yet, so it does not matter which version is in use.
    """
    held = state.find(document.kind, document.name)
    wanted = comparable(document)
    if held is None:
        return Step(Action.CREATE, document, None, tuple(_differences({}, wanted)))
    present = held.spec.model_dump(mode="json", exclude=SECRET_FIELDS)
    if isinstance(document, CredentialDocument):
        present = in_turn(present, wanted)
    for name in _SERVER_DEFAULTS:
        if not wanted.get(name, True):
            present.pop(name, None)
            wanted.pop(name)
    changes = tuple(_differences(present, wanted))
    if not drafts and held.in_use is not None:
        changes = (*changes, Change("active_version", str(held.in_use), held.etag))
    return Step(Action.UPDATE if changes else Action.UNCHANGED, document, held, changes)


def comparable(document: Document) -> dict[str, Any]:
    """Gives a document's spec without the reference to its secret, which cannot be compared."""
    return document.spec.model_dump(mode="json", exclude=SECRET_FIELDS)


def needs_activation(step_: Step) -> bool:
    """Tells whether an instance is to be checked and activated."""
    return isinstance(step_.document, InstanceDocument) and step_.document.spec.active


# What a document leaves open the service fills in; that is no difference.
_SERVER_DEFAULTS = ("read_mode", "write_mode", "max_attempts")


def _differences(before: Any, after: Any, path: str = "") -> list[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted({*before, *after})
            for change in _differences(
                before.get(key, _ABSENT), after.get(key, _ABSENT), f"{path}.{key}".lstrip(".")
            )
        ]
    if before is _ABSENT and after in ("", {}, [], 0, False, None):
        return []
    if before == after:
        return []
    return [Change(path, _shown(before), _shown(after))]


_ABSENT = object()


def _shown(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
