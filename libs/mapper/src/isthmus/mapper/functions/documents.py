"""Functions on objects and JSON: pointers, merging, choosing and renaming members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_list, need_object
from isthmus.mapper.limits import MAX_DEPTH, MAX_LIST
from isthmus.mapper.values import clean, text_of

_AREA = "json"
_LONGEST = 500


@function(
    "json_pointer",
    Param("pointer", "text"),
    area=_AREA,
    returns="any",
    cel="json.pointer",
    example=({"json_pointer": "/refs/0/a~1b"}, {"refs": [{"a/b": 7}]}, 7),
    also=(({"json_pointer": "/refs/3"}, {"refs": []}, None),),
)
def json_pointer(pointer: str) -> Step:
    """The value at a JSON pointer (RFC 6901); null where it leads nowhere."""
    if len(pointer) > _LONGEST or (pointer and not pointer.startswith("/")):
        raise ValueError(f"A pointer is empty, or begins with / and has at most {_LONGEST} characters.")
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]

    def step(value: Any) -> Any:
        for part in parts:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and part.isdecimal() and part.isascii() and len(part) < 7:
                value = value[int(part)] if int(part) < len(value) else None
            else:
                return None
        return value

    return step


@function(
    "merge",
    Param("members", "members"),
    area=_AREA,
    takes="object",
    returns="object",
    cel="json.merge",
    example=(
        {"merge": {"b": {"d": 3}, "c": None}},
        {"a": 1, "b": {"d": 2, "e": 4}, "c": 5},
        {"a": 1, "b": {"d": 3, "e": 4}},
    ),
)
def merge(members: dict[str, Any]) -> Step:
    """Merges members into an object (RFC 7386): inner objects too; null takes a member away."""
    clean(members, [0])
    return lambda value: _merged(need_object(value), members, 0)


def _merged(value: Any, members: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise Refusal("TOO_DEEP", f"The objects are nested more than {MAX_DEPTH} deep.")
    made = dict(value) if isinstance(value, dict) else {}
    for name, held in members.items():
        if held is None:
            made.pop(name, None)
        elif isinstance(held, dict):
            made[name] = _merged(made.get(name), held, depth + 1)
        else:
            made[name] = held
    return made


@function(
    "pick_members",
    Param("names", "texts"),
    area=_AREA,
    takes="object",
    returns="object",
    cel="json.pick",
    example=({"pick_members": ["id", "name"]}, {"id": 1, "name": "a", "_links": {}}, {"id": 1, "name": "a"}),
)
def pick_members(names: list[str]) -> Step:
    """The object with these members alone, as far as it has them."""
    wanted = dict.fromkeys(names)
    return lambda value: {name: held for name, held in need_object(value).items() if name in wanted}


@function(
    "omit_members",
    Param("names", "texts"),
    area=_AREA,
    takes="object",
    returns="object",
    cel="json.omit",
    example=({"omit_members": "_links"}, {"id": 1, "_links": {}}, {"id": 1}),
)
def omit_members(names: list[str]) -> Step:
    """The object without these members."""
    unwanted = frozenset(names)
    return lambda value: {name: held for name, held in need_object(value).items() if name not in unwanted}


@function(
    "rename_members",
    Param("names", "members"),
    area=_AREA,
    takes="object",
    returns="object",
    cel="json.rename",
    example=({"rename_members": {"sys_id": "id"}}, {"sys_id": 1, "name": "a"}, {"id": 1, "name": "a"}),
)
def rename_members(names: dict[str, Any]) -> Step:
    """The object with other names for some members; the others keep theirs."""
    if not all(isinstance(name, str) for name in names.values()):
        raise ValueError("The new names are texts.")
    return lambda value: {names.get(name, name): held for name, held in need_object(value).items()}


@function(
    "from_entries",
    Param("key", "text", "key"),
    Param("value", "text", "value"),
    area=_AREA,
    takes="array",
    returns="object",
    cel="json.fromEntries",
    example=(
        {"from_entries": ["Key", "Value"]},
        [{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "core"}],
        {"env": "prod", "team": "core"},
    ),
)
def from_entries(key: str, member: str) -> Step:
    """Makes an object of a list of objects that each hold a name and a value; the last of one name counts."""

    def step(value: Any) -> dict[str, Any]:
        made = {}
        for item in need_list(value):
            held = need_object(item)
            if held.get(key) is not None:
                made[text_of(held[key])] = held.get(member)
        return made

    return step


@function(
    "flatten_object",
    Param("separator", "text", "."),
    area=_AREA,
    takes="object",
    returns="object",
    cel="json.flatten",
    example=("flatten_object", {"a": {"b": 1, "c": {}}, "d": [2]}, {"a.b": 1, "a.c": {}, "d": [2]}),
)
def flatten_object(separator: str) -> Step:
    """Puts the members of inner objects beside the others, under names that are joined; lists stay lists."""

    def step(value: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        size = 0
        for name, held in _leaves(need_object(value), "", separator, 0):
            made[name] = held
            size += len(name)
            if len(made) > MAX_LIST or size > MAX_LIST * 10:
                raise Refusal("TOO_MANY", f"The object has more than {MAX_LIST} members, or too long names.")
        return made

    return step


def _leaves(value: dict[str, Any], prefix: str, separator: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise Refusal("TOO_DEEP", f"The objects are nested more than {MAX_DEPTH} deep.")
    for name, held in value.items():
        if isinstance(held, dict) and held:
            yield from _leaves(held, f"{prefix}{name}{separator}", separator, depth + 1)
        else:
            yield f"{prefix}{name}", held
