"""Secrets that somebody wrote into a configuration, where everybody could read them."""

import re
from collections.abc import Iterator
from typing import Any

from isthmus.resilience.faults import Violation
from isthmus.services.registry.domain.pointer import pointer

SECRET = "x-isthmus-secret"  # noqa: S105 -- the mark in a schema
REASON = "SECRET_IN_CONFIGURATION"

_NAMES = frozenset(
    {"accesskey", "accesstoken", "apikey", "apisecret", "apitoken", "authorization", "authtoken"}
    | {"bearertoken", "clientsecret", "passphrase", "passwd", "password", "privatekey", "pwd"}
    | {"refreshtoken", "secret", "secretkey", "sharedkey", "token", "xapikey"}
)
_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@", re.IGNORECASE)


def found_secret(path: str) -> Violation:
    """Say that a secret stands at `path`, and where it belongs; the secret itself is not repeated."""
    message = (
        f"`{path}` holds a secret; remove it, put it into an authentication configuration and "
        "name that in `auth_config_id`."
    )
    return Violation(path, REASON, message)


def obvious_secrets(configuration: dict[str, Any], schema: dict[str, Any]) -> list[Violation]:
    """Find texts under names such as `password`, and passwords inside addresses.

    A field that a connector's schema marks with `"x-isthmus-secret": false` is
    taken for what it says.
    """
    harmless = set(_declared_harmless(schema))
    return [found_secret(path) for path in _walk(configuration, (), harmless)]


def _walk(value: Any, path: tuple[str | int, ...], harmless: set[str]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and inner and _means_secret(name) and name not in harmless:
                yield pointer((*path, name))
            else:
                yield from _walk(inner, (*path, name), harmless)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*path, index), harmless)
    elif isinstance(value, str) and _USER_INFO.match(value):
        yield pointer(path)


def _means_secret(name: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _NAMES


def _declared_harmless(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if isinstance(inner, dict) and inner.get(SECRET) is False:
                yield name
        for inner in schema.values():
            yield from _declared_harmless(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _declared_harmless(inner)


__all__ = ["REASON", "SECRET", "found_secret", "obvious_secrets"]
