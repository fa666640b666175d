"""Secrets in the environment of the process: given by whoever starts it, never changed from here."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from isthmus.kit.vault.port import ROOT, VaultState
from isthmus.kit.vault.shelf import unknown
from isthmus.resilience.faults import Precondition

PREFIX = "ISTHMUS_SECRET_"
_NAMES = str.maketrans({"/": "__", "-": "_"})


def variable_of(path: str) -> str:
    """Return the variable that holds the secret of a whole path."""
    return PREFIX + path.removeprefix(ROOT).translate(_NAMES).upper()


class EnvironmentShelf:
    """Reads variables; a value that is a JSON object is the secret, any other is its part `value`.

    Args:
        variables: The environment.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = {name: text for name, text in variables.items() if name.startswith(PREFIX)}

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the secret as version 1; nothing and 0 where there is none."""
        text = self._variables.get(variable_of(path))
        return ({}, 0) if text is None else (_document(text), 1)

    async def version(self, path: str, number: int) -> dict[str, Any]:  # noqa: ARG002 -- there is but one
        """Return the secret, whatever version is asked for: the environment knows only the present."""
        document, found = await self.newest(path)
        if not found:
            raise unknown()
        return document

    async def add(self, path: str, data: dict[str, Any], after: int | None) -> int:  # noqa: ARG002
        """Refuse."""
        raise _read_only(path)

    async def remove(self, path: str) -> None:
        """Refuse where there is something to remove."""
        if variable_of(path) in self._variables:
            raise _read_only(path)

    async def state(self) -> VaultState:
        """Tell how many secrets there are."""
        text = f"{len(self._variables)} secrets, which are read and never written"
        return VaultState("environment", f"variables {PREFIX}…", is_usable=True, text=text)

    async def close(self) -> None:
        """Nothing is open."""


class EnvironmentArchive(EnvironmentShelf):
    """All secrets of the environment; the tenants' ids are in lower case, as they are made."""

    async def paths(self) -> AsyncIterator[str]:
        """List whole paths, with `-` where a name of ours has one."""
        for name in self._variables:
            parts = name.removeprefix(PREFIX).lower().split("__")
            yield ROOT + "/".join(_SPELLED.get(part, part) for part in parts)

    async def versions(self, path: str) -> dict[int, dict[str, Any]]:
        """Return the one version."""
        document, found = await self.newest(path)
        return {1: document} if found else {}

    async def put(self, path: str, versions: Mapping[int, dict[str, Any]]) -> None:  # noqa: ARG002
        """Refuse."""
        raise _read_only(path)


_SPELLED = {name.replace("-", "_"): name for name in ("signing-keys", "data-key", "data-keys")}


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"value": text}
    return found if isinstance(found, dict) else {"value": text}


def _read_only(path: str) -> Precondition:
    message = (
        f"Secrets come from the environment, which is not written from here: set {variable_of(path)} and "
        "start the service anew, or choose another provider with ISTHMUS_SECRETS."
    )
    return Precondition("VAULT_READ_ONLY", message)


__all__ = ["PREFIX", "EnvironmentArchive", "EnvironmentShelf", "variable_of"]
