"""Keeps secrets out of every text that leaves a connector."""

import base64
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, SecretStr

STARS = "********"
_SHORTEST = 4


def redact(text: str, secrets: Iterable[str]) -> str:
    """Puts stars in place of every secret, also where it is encoded for a URL or for basic authentication.

    Secrets of fewer than four characters are left alone: they would star out
    ordinary words and protect nothing.
    """
    for secret in sorted((s for s in secrets if len(s) >= _SHORTEST), key=len, reverse=True):
        for form in {
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            base64.b64encode(secret.encode()).decode(),
        }:
            text = text.replace(form, STARS)
    return text


def safe_url(url: Any, secrets: Iterable[str] = ()) -> str:
    """An address for people: without user, password, query and fragment."""
    text = str(url).partition("?")[0]
    # Of what is kept nothing may be secret.
    return redact(_shown(text) if "@" not in text else _shown.__wrapped__(text), secrets)


@lru_cache(maxsize=64)
def _shown(address: str) -> str:
    parts = urlsplit(address)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def secrets_in(value: Any) -> set[str]:
    """Every secret inside settings, however deeply nested."""
    if isinstance(value, SecretStr):
        return {value.get_secret_value()} - {""}
    if isinstance(value, BaseModel):
        return secrets_in([getattr(value, name) for name in type(value).model_fields])
    if isinstance(value, dict):
        return secrets_in(list(value.values()))
    if isinstance(value, list | tuple | set):
        return set().union(*(secrets_in(item) for item in value)) if value else set()
    return set()
