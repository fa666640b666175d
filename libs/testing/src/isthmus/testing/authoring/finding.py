"""Connectors and sandboxes by what their author calls them: a folder, or what is installed."""

import importlib
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from isthmus.client.problem import Problem
from isthmus.sdk.sandbox import Sandbox

__all__ = ["Found", "find"]

_CONNECTORS = "isthmus.connectors"
_SANDBOXES = "isthmus.sandboxes"


@dataclass(frozen=True)
class Found:
    """A connector with the sandbox of its system.

    Attributes:
        name: Its id.
        connector: The class.
        sandbox: The class; None where there is none.
    """

    name: str
    connector: Any
    sandbox: type[Sandbox] | None


def find(what: str) -> Found:
    """Find a connector by the folder of its project, or by the id under which it is installed.

    Raises:
        Problem: There is none, with what there is.
    """
    folder = Path(what)
    points = _of_folder(folder) if (folder / "pyproject.toml").is_file() else _installed()
    connectors, sandboxes = points
    name = what if what in connectors else next(iter(connectors), "")
    if what not in connectors and points == _installed():
        listed = ", ".join(sorted(connectors))
        message = f"There is no connector {what!r}: name a folder with a pyproject.toml, or one of {listed}."
        raise Problem("CONNECTOR_UNKNOWN", message)
    if not name:
        message = f"{folder / 'pyproject.toml'} names no connector: add an entry point of {_CONNECTORS!r}."
        raise Problem("CONNECTOR_UNKNOWN", message)
    sandbox = sandboxes.get(name)
    return Found(name, _loaded(connectors[name]), None if sandbox is None else _loaded(sandbox))


def _installed() -> tuple[dict[str, EntryPoint], dict[str, EntryPoint]]:
    connectors = {point.name: point for point in entry_points(group=_CONNECTORS)}
    return connectors, {point.name: point for point in entry_points(group=_SANDBOXES)}


def _of_folder(folder: Path) -> tuple[dict[str, EntryPoint], dict[str, EntryPoint]]:
    """What a project that is not installed would bring, importable from now on."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text())
    except ValueError as error:
        raise Problem("PROJECT_INVALID", f"{folder / 'pyproject.toml'} is no TOML: {error}.") from error
    told = project.get("project", {}).get("entry-points", {})
    source = str((folder / "src").resolve())
    if source not in sys.path:
        sys.path.insert(0, source)
        importlib.invalidate_caches()
    return _points(told, _CONNECTORS), _points(told, _SANDBOXES)


def _points(told: dict[str, dict[str, str]], group: str) -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, value, group) for name, value in told.get(group, {}).items()}


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        message = f"{point.value} cannot be loaded: {type(error).__name__}: {error}."
        raise Problem("CONNECTOR_BROKEN", message) from error
