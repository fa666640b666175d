"""The function library as callers look through it, and what of plug-ins a definition needs."""

import json
from collections.abc import Iterator

from isthmus.mapper import MappingInvalid
from isthmus.mapper.functions import FUNCTIONS, Function, plugins
from isthmus.mapper.reference import AREAS, expression_signature
from isthmus.resilience.faults import FixRequest
from isthmus.services.mapping.domain.documents import Documents, plan_of

_PLACES = {area: place for place, area in enumerate(AREAS)}


def matching(area: str, search: str) -> list[Function]:
    """Return the functions of an area that tell of every word, by plug-in, area and name.

    Args:
        area: Empty for all.
        search: Words in any case; empty for all.
    """
    words = search.casefold().split()
    found = [
        function
        for function in _all()
        if area in ("", function.area) and all(word in _words(function) for word in words)
    ]
    return sorted(found, key=_place)


def behind(functions: list[Function], name: str) -> list[Function]:
    """Return what stands behind the function of that name.

    Raises:
        FixRequest: `PAGE_TOKEN_INVALID`, where none of that name is among them.
    """
    for place, function in enumerate(functions):
        if function.name == name:
            return functions[place + 1 :]
    message = "The page token was not issued by this list; start again without one."
    raise FixRequest("PAGE_TOKEN_INVALID", message, path="page_token")


def needed_plugins(documents: Documents) -> dict[str, str]:
    """Return the versions by name of the plug-ins whose functions a definition calls.

    Nothing is compiled where no plug-in is installed, or none is named in the definition.
    """
    texts = (documents.field_mappings, documents.transformations)
    if not any(f"{name}." in text for name in plugins.names() for text in texts):
        return {}
    try:
        return dict(plan_of(documents).plugins)
    except MappingInvalid:
        # The host that compiles it says what is wrong.
        return {}


def _all() -> Iterator[Function]:
    yield from FUNCTIONS.values()
    for plugin in plugins.installed():
        yield from plugin.functions.values()


def _place(function: Function) -> tuple[str, int, str]:
    return function.plugin, _PLACES.get(function.area, len(_PLACES)), function.name


def _words(function: Function) -> str:
    told = (function.name, expression_signature(function), function.doc, function.area)
    return "\n".join((*told, json.dumps(function.example.step, ensure_ascii=False))).casefold()


__all__ = ["behind", "matching", "needed_plugins"]
