"""Functions that other packages bring: what is installed, what can be used, and what a mapping needs.

A package names a `Library` under the entry-point group `isthmus.functions`. The name of the entry point is
the plug-in's, and stands in front of each of its functions: `acme.initials`, in steps and in expressions. A
plug-in is imported by the first mapping that names it; one that cannot be imported harms nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from isthmus.mapper.errors import Violation
from isthmus.mapper.functions.registry import FUNCTIONS, Function, Library

GROUP: Final = "isthmus.functions"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_TAKEN = frozenset(
    {"base64", "cel", "item", "list", "map", "math", "now", "optional", "record", "strings", "type"}
)
_MOST_TOLD = 200


@dataclass(frozen=True, slots=True, eq=False)
class Plugin:
    """One plug-in.

    Attributes:
        name: What stands in front of its functions.
        version: Version of the package that brings it.
        package: Name of that package.
        functions: Its functions by full name; none where it cannot be used.
        problem: Why it cannot be used; empty where it can.
    """

    name: str
    version: str
    package: str
    functions: Mapping[str, Function] = field(default_factory=dict, repr=False)
    problem: str = ""


@lru_cache(maxsize=1)
def _entries() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def forget() -> None:
    """Looks anew at what is installed when asked the next time; for tests, which install and remove."""
    _entries.cache_clear()
    plugin.cache_clear()


def names() -> tuple[str, ...]:
    """The names of all plug-ins that are installed, usable or not."""
    return tuple(sorted(_entries()))


def installed() -> tuple[Plugin, ...]:
    """All plug-ins that are installed; those not yet imported are imported now."""
    found = (plugin(name) for name in names())
    return tuple(one for one in found if one is not None)


@lru_cache(maxsize=256)
def plugin(name: str) -> Plugin | None:
    """The plug-in of that name; `None` where none is installed."""
    entries = _entries().get(name, ())
    if not entries:
        return None
    packages = [(entry.dist.name, entry.dist.version) if entry.dist else ("", "") for entry in entries]
    package, version = packages[0]
    if len(entries) > 1:
        brought = " and ".join(sorted({one for one, _ in packages}))
        return Plugin(name, version, package, problem=f"{brought} both bring it; uninstall all but one.")
    try:
        return Plugin(name, version, package, _loaded(name, entries[0]))
    except Exception as problem:
        told = f"{type(problem).__name__}: {problem}"[:_MOST_TOLD]
        return Plugin(name, version, package, problem=told)


def _areas() -> set[str]:
    """What stands in front of the product's own functions in expressions."""
    return {function.cel.partition(".")[0] for function in FUNCTIONS.values()}


def _loaded(name: str, entry: EntryPoint) -> Mapping[str, Function]:
    if not _NAME.fullmatch(name) or name in _TAKEN or name in _areas():
        raise ValueError(f"a plug-in cannot be called {name!r}; choose a short name in small letters")
    library = entry.load()
    if not isinstance(library, Library):
        raise TypeError(f"{entry.value} is no isthmus.mapper.functions.Library")
    for function in library.functions.values():
        for word in filter(None, (function.name, function.cel)):
            if not _FUNCTION.fullmatch(word):
                raise ValueError(f"a function cannot be called {word!r}; letters, digits and _ make a name")
    return library.named(name)


def missing(name: str, place: str = "") -> Violation | None:
    """Why a plug-in cannot be used; `None` where it can."""
    found = plugin(name)
    if found is None:
        hint = "install its package where mappings are saved and on every host that runs this one."
        return Violation(place, "PLUGIN_MISSING", f"The plug-in {name[:60]!r} is not installed here; {hint}")
    if found.problem:
        hint = f"The plug-in {name!r} ({found.package} {found.version}) cannot be used"
        return Violation(place, "PLUGIN_BROKEN", f"{hint}: {found.problem}")
    return None


def unmet(needed: Mapping[str, str]) -> Violation | None:
    """Why this process must not run a mapping; `None` where it may.

    A plug-in of another major version (of another minor one before 1.0) may compute something else.

    Args:
        needed: Versions by the names of the plug-ins with which the mapping was compiled elsewhere.
    """
    for name, version in needed.items():
        problem = missing(name)
        if problem is not None:
            return problem
        found = plugin(name)
        assert found is not None
        if _line(found.version) != _line(version):
            message = (
                f"The mapping needs the plug-in {name!r} in version {version}, but here is "
                f"{found.version}; let the first numbers of both agree, before 1.0 the first two."
            )
            return Violation("", "PLUGIN_VERSION_MISMATCH", message)
    return None


def _line(version: str) -> tuple[str, ...]:
    """The part of a version that changes with what functions mean."""
    parts = version.split(".")
    return tuple(parts[: 2 if parts[0] == "0" else 1])
