"""JSON from a system that may answer anything."""

import json
from typing import Any

import msgspec
from isthmus.sdk.failures import DataFailure

_BOM = b"\xef\xbb\xbf"
_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def decode_json(raw: bytes, where: str) -> Any:
    """Reads one JSON document.

    Args:
        raw: The bytes; a byte order mark is skipped.
        where: What to name in messages, for example `https://acme.example/items`.

    Raises:
        DataFailure: `ANSWER_EMPTY`, `ANSWER_IS_HTML`, `ANSWER_NOT_UTF8`, `ANSWER_TRUNCATED`,
            `ANSWER_NOT_JSON` or `ANSWER_DUPLICATE_KEYS`; the message quotes the place, not the data.
    """
    raw = raw.removeprefix(_BOM)
    try:
        value = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _diagnosis(raw, where, error) from None
    refuse_duplicate_keys(raw, value, where)
    return value


def refuse_duplicate_keys(raw: bytes, value: Any, where: str) -> None:
    """Raises when an object of the document has one name twice; `value` is what it decoded to.

    Every name brings a colon, and colons in names and texts show once in the
    document and once in its re-encoding, so equal counts prove that no name was
    lost. Only colons that are written as escapes do not count.
    """
    if not _has_escaped_colons(raw):
        try:
            if raw.count(b":") == _ENCODER.encode(value).count(b":"):
                return
        except (OverflowError, ValueError):
            pass
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except _DuplicateKeyError as error:
        message = f"{where} has the key {error.args[0]!r} twice in one object; one of the two would be lost."
        raise DataFailure("ANSWER_DUPLICATE_KEYS", message, path=str(error.args[0])) from None
    except (ValueError, RecursionError):
        return


def _has_escaped_colons(raw: bytes) -> bool:
    # Looking for one character is so much faster that most documents are done with the first look.
    if b"\\" not in raw or b"\\u003" not in raw:
        return False
    return b"\\u003a" in raw or b"\\u003A" in raw


class _DuplicateKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _DuplicateKeyError(name[:100])
        seen.add(name)


def _is_whole(raw: bytes) -> bool:
    """Whether nothing is missing: half of a surrogate pair close to the end looks as if something were."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _diagnosis(raw: bytes, where: str, error: Exception) -> DataFailure:
    start = raw.lstrip()[:200].lower()
    if not start:
        return DataFailure("ANSWER_EMPTY", f"{where} is empty where JSON was expected; check the address.")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        message = f"{where} is a web page, not JSON; check the address; a login page or proxy may answer."
        return DataFailure("ANSWER_IS_HTML", message)
    try:
        raw.decode()
    except UnicodeDecodeError as bad:
        message = f"{where} is not UTF-8 at byte {bad.start}; JSON has to be UTF-8."
        return DataFailure("ANSWER_NOT_UTF8", message)
    text = str(error)
    if "truncated" in text and not _is_whole(raw):
        message = f"{where} ends in the middle after {len(raw):,} bytes; the system or a proxy cut it off."
        return DataFailure("ANSWER_TRUNCATED", message)
    if isinstance(error, RecursionError):
        return DataFailure("ANSWER_TOO_DEEP", f"{where} nests its objects too deeply to be read.")
    return DataFailure(
        "ANSWER_NOT_JSON", f"{where} is not valid JSON ({text}); check the address and the format."
    )
