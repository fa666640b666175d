"""Which class the name of a field suggests; a guess for people to look at, never a promise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.privacy.classes import DataClass
from isthmus.mapper.schemas import SchemaInvalid, resolve

_MOST_DEPTH = 8
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRETS = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "credential", "credentials"}
)
_PAIRED_SECRETS = frozenset({("api", "key"), ("private", "key"), ("access", "key"), ("secret", "key")})
_PERSONAL = frozenset(
    {
        "email", "mail", "phone", "mobile", "telephone", "fax", "firstname", "lastname", "fullname",
        "surname", "forename", "nickname", "username", "address", "street", "postcode", "zip",
        "zipcode", "birthday", "birthdate", "dob", "gender", "nationality", "ip", "ipv4", "ipv6",
        "mac", "ssn", "passport", "iban", "bic", "upn", "employee", "person", "contact", "vat",
    }
)  # fmt: skip
_PAIRED_PERSONAL = frozenset(
    {
        ("first", "name"), ("last", "name"), ("full", "name"), ("display", "name"), ("given", "name"),
        ("family", "name"), ("middle", "name"), ("user", "name"), ("e", "mail"), ("social", "security"),
        ("tax", "id"), ("user", "principal"), ("date", "birth"), ("of", "birth"), ("opened", "by"),
        ("caller", "id"), ("assigned", "to"),
    }
)  # fmt: skip
_CONFIDENTIAL = frozenset(
    {"salary", "wage", "income", "diagnosis", "account", "balance", "creditcard", "card"}
)
_PEOPLES_NAMES = frozenset({"name"})


def proposed(json_schema: object) -> dict[str, DataClass]:
    """The classes that the names of a schema's fields suggest, by path; most suggest none.

    A field `name` counts as personal only beside fields that tell of a person: the name of a product is no
    secret.
    """
    return dict(_inside(json_schema, json_schema, (), 0))


def _inside(root: object, schema: object, path: Path, depth: int) -> Iterator[tuple[str, DataClass]]:
    try:
        schema = resolve(root, schema)
    except SchemaInvalid:
        return
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return
    yield from _members(root, schema.get("properties"), path, depth)
    if "items" in schema:
        yield from _inside(root, schema["items"], (*path, EACH), depth + 1)


def _members(root: object, members: Any, path: Path, depth: int) -> Iterator[tuple[str, DataClass]]:
    if not isinstance(members, Mapping):
        return
    guesses = {str(name): guessed(str(name)) for name in members}
    tells_of_people = DataClass.PERSONAL in guesses.values()
    for name, inner in members.items():
        kind = guesses[str(name)]
        if kind is None and tells_of_people and str(name).lower() in _PEOPLES_NAMES:
            kind = DataClass.PERSONAL
        if kind is not None:
            yield format_path((*path, str(name))), kind
        else:
            yield from _inside(root, inner, (*path, str(name)), depth + 1)


def guessed(name: str) -> DataClass | None:
    """The class that one name suggests, whatever way its words are joined."""
    words = tuple(word.lower() for word in _WORD.findall(name))
    pairs = tuple(pairwise(words))
    for kind, single, paired in (
        (DataClass.SECRET, _SECRETS, _PAIRED_SECRETS),
        (DataClass.PERSONAL, _PERSONAL, _PAIRED_PERSONAL),
        (DataClass.CONFIDENTIAL, _CONFIDENTIAL, frozenset[tuple[str, str]]()),
    ):
        if _meets(words, single) or _meets(pairs, paired):
            return kind
    return None


def _meets(found: Iterable[object], wanted: frozenset[Any]) -> bool:
    return not wanted.isdisjoint(found)


__all__ = ["guessed", "proposed"]
