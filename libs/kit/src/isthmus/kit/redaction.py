"""What may be written to a log, an error or a table: never a secret."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

STARS = "***"
_LONGEST_BYTES = 64

# Words that make a query parameter secret, and the fewer ones that make any quoted value secret.
_QUERY_NAMES = r"(?:key|token|secret|passw|pwd|sig|auth|credential|code|assertion|session)"
_VALUE_NAMES = r"(?:api_?key|private_?key|token|secret|passw|authorization|credential)"
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bis([tr])_[A-Za-z0-9]+_[A-Za-z0-9_-]{8,}"), rf"is\1_{STARS}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {STARS}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"), STARS),
    (re.compile(r"\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{24,}"), STARS),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"<>]+@"), rf"\1{STARS}@"),
    (re.compile(rf"(?i)([?&;][\w.-]*{_QUERY_NAMES}[\w.-]*=)[^&;\s'\"<>#]+"), rf"\1{STARS}"),
    (
        re.compile(rf"(?i)(\b[\w-]*{_VALUE_NAMES}[\w-]*[\"']?\s*[=:]\s*)([\"'])(?:(?!\2).)+\2"),
        rf"\1\2{STARS}\2",
    ),
    (re.compile(r"(?i)\b(password|passwd|secret|token|api_?key)=[^\s,;&)'\"]+"), rf"\1={STARS}"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        STARS,
    ),
)


_WORD = re.compile(r"[A-Za-z0-9_-]*")
PERSON = "‹personal: e-mail address›"
# Bounded, so that a long run of letters without an @ costs one look at each.
_E_MAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


def scrub(text: str) -> str:
    """Replace what looks like a secret: API keys, bearer tokens, JWTs, user-info and queries of URLs."""
    # All but the first pattern want a character that no word has, and most texts are ids.
    if _WORD.fullmatch(text) and not ("ist_" in text or "isr_" in text):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def scrub_personal(text: str) -> str:
    """Replace what looks like a secret, and e-mail addresses, for texts that many people read."""
    text = scrub(text)
    return _E_MAIL.sub(PERSON, text) if "@" in text else text


def loggable(message: Message) -> dict[str, Any]:
    """Return a message as plain values with every field marked `debug_redact` replaced by stars.

    Only fields that are set appear. Bytes are shown by their length when they are long.
    """
    return {field.name: _shown(field, value) for field, value in message.ListFields()}


def without_secrets(message: Message) -> Message:
    """Return a message in which every field marked `debug_redact` is empty: a copy, where it can have any."""
    if not _may_hold_secrets(message.DESCRIPTOR):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    _clear_secrets(copy)
    return copy


@lru_cache(maxsize=1000)
def _may_hold_secrets(descriptor: Descriptor) -> bool:
    """Tell whether a field of a message, or of one inside it, is marked."""
    seen, waiting = set(), [descriptor]
    while waiting:
        one = waiting.pop()
        if one.full_name in seen:
            continue
        seen.add(one.full_name)
        for field in one.fields:
            # What an `Any` holds is known only when it is looked at.
            if field.GetOptions().debug_redact or one.full_name == "google.protobuf.Any":
                return True
            if field.message_type is not None:
                waiting.append(field.message_type)
    return False


def _shown(field: FieldDescriptor, value: Any) -> Any:
    if field.GetOptions().debug_redact:
        return STARS
    item = _map_item(field)
    if item is not None:
        return {str(key): _shown_one(item, value[key]) for key in value}
    if field.is_repeated:
        return [_shown_one(field, item) for item in value]
    return _shown_one(field, value)


def _shown_one(field: FieldDescriptor, value: Any) -> Any:
    if field.type in {FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP}:
        return loggable(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return (
            f"<{len(value)} bytes>"
            if len(value) > _LONGEST_BYTES
            else scrub(value.decode("utf-8", "replace"))
        )
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return scrub(value) if isinstance(value, str) else value


def _clear_secrets(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in _messages(field, value):
                _clear_secrets(inner)


def _messages(field: FieldDescriptor, value: Any) -> Iterable[Message]:
    item = _map_item(field)
    if item is not None:
        return value.values() if item.message_type is not None else ()
    return value if field.is_repeated else (value,)


def _map_item(field: FieldDescriptor) -> FieldDescriptor | None:
    """Return the field that a map's values have, or None when the field is not a map."""
    entry = field.message_type
    return entry.fields_by_name["value"] if entry is not None and entry.GetOptions().map_entry else None


__all__ = ["PERSON", "STARS", "loggable", "scrub", "scrub_personal", "without_secrets"]
