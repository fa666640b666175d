"""Where the key of a record comes from, and which keys can be kept."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from isthmus.services.records.domain.batches import Screened

SEPARATOR = "\x1f"
MAX_KEY_BYTES = 2048

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


def find(screened: "Screened", primary_key: Sequence[str]) -> None:
    """Fill in the key of every record; a record without a usable key is rejected.

    The batch's own keys come first, then the primary key's fields, then the content itself.
    """
    given = screened.batch.keys
    screened.keys = list(given) if given else _derive_all(screened, primary_key)
    sizes = set(map(len, screened.keys))
    if sizes and (min(sizes) == 0 or max(sizes) > MAX_KEY_BYTES or b"\0" in b"".join(screened.keys)):
        _reject_unusable(screened)


def _reject_unusable(screened: "Screened") -> None:
    for index, key in enumerate(screened.keys):
        if not key:
            screened.reject(index, "KEY_MISSING", "The record has no key; give every record one.")
        elif len(key) > MAX_KEY_BYTES:
            message = f"The key has {len(key)} bytes; use at most {MAX_KEY_BYTES}."
            screened.reject(index, "KEY_TOO_LONG", message)
        elif b"\0" in key:
            screened.reject(index, "KEY_INVALID", "The key contains a NUL character; remove it.")


def _derive_all(screened: "Screened", primary_key: Sequence[str]) -> list[bytes]:
    paths = [path.split(".") for path in primary_key]
    found = []
    for index, record in enumerate(screened.batch.records):
        found.append(b"" if index in screened.rejected else _derive(screened, index, record, paths))
    return found


def _derive(screened: "Screened", index: int, record: bytes, paths: list[list[str]]) -> bytes:
    try:
        document = _decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        screened.reject(index, "JSON_INVALID", f"The record is not valid JSON ({error}); send valid JSON.")
        return b""
    if not paths:
        return hashlib.sha256(_encode(document)).hexdigest().encode()
    parts = [_part(document, path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if not part:
            where = ".".join(path)
            message = f"The key field `{where}` is missing, empty or no plain value; set it."
            screened.reject(index, "KEY_MISSING", message, where)
    return SEPARATOR.join(parts).encode(errors="replace")


def _part(document: Any, path: list[str]) -> str:
    for name in path:
        if not isinstance(document, dict):
            return ""
        document = document.get(name)
    if isinstance(document, bool):
        return "true" if document else "false"
    return str(document) if isinstance(document, str | int | float) else ""


__all__ = ["MAX_KEY_BYTES", "SEPARATOR", "find"]
