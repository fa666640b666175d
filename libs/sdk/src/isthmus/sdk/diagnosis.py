"""What is wrong with one raw record, and where in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from isthmus.sdk.decode import decode_json
from isthmus.sdk.failures import DataFailure
from isthmus.sdk.framing import FramingBroken

# What somebody looks at in one record; a larger one is only told about as a whole.
_MOST_TOKENS = 1_000_000
_DEEPEST_SHOWN = 30
_LONGEST_NAME = 100
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]++|"', re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_BEFORE_TEXT = (b"", b"{", b"[", b",", b":")
_BEHIND_TEXT = (b"", b"}", b"]", b",", b":")


@dataclass(frozen=True, slots=True)
class _Trouble:
    reason: str
    why: str
    path: str


@dataclass(slots=True)
class _Level:
    """An object or list that is open."""

    is_object: bool
    names: set[str] = field(default_factory=set)
    name: str = ""
    index: int = 0
    at_name: bool = True

    @property
    def step(self) -> str:
        """Its part of a path."""
        return self.name if self.is_object else str(self.index)


def complaint(raw: bytes, where: str, failure: DataFailure, kind: str = "RECORD") -> DataFailure:
    """Says what is wrong with one record and at which field, without its data.

    Args:
        raw: A record that cannot be decoded.
        where: What to name in the message, for example `Record 3 of https://acme.example/items`.
        failure: What the decoder says.
        kind: The first word of the reason.

    Raises:
        FramingBroken: Its quotes stand where no text can begin or end, so it may be more than one record.
    """
    trouble = _first_trouble(raw)
    reason = failure.reason.removeprefix("ANSWER_")
    if trouble is None or reason == "TOO_DEEP":
        # A cut is told of where a page is read; a record that is framed well is not cut off.
        reason = "NOT_JSON" if reason == "TRUNCATED" else reason
        why = "it nests its objects too deeply" if reason == "TOO_DEEP" else "it is not valid JSON"
        return DataFailure(f"{kind}_{reason}", f"{where} cannot be read: {why}; mend it at the source.")
    at = f" at {trouble.path}" if trouble.path else ""
    message = f"{where} cannot be read{at}: {trouble.why}; mend it at the source."
    return DataFailure(f"{kind}_{trouble.reason}", message, path=trouble.path)


def refusal_of(raw: bytes, where: str, kind: str = "RECORD") -> DataFailure | None:
    """What is wrong with a raw record; None where it is a JSON object that can be read."""
    try:
        value = decode_json(raw, where)
    except DataFailure as failure:
        try:
            return complaint(raw, where, failure, kind)
        except FramingBroken:
            message = f"{where} cannot be read: it is not valid JSON; mend it at the source."
            return DataFailure(f"{kind}_NOT_JSON", message)
    if isinstance(value, dict):
        return None
    return DataFailure(f"{kind}_NOT_OBJECT", f"{where} is no JSON object; mend it at the source.")


def _first_trouble(raw: bytes) -> _Trouble | None:
    """The first token that cannot be read; all of them are looked at, because quotes have to hold."""
    levels: list[_Level] = []
    found: _Trouble | None = None
    before = b""
    for token, behind in _tokens(raw):
        if token.startswith(b'"') and (
            len(token) == 1 or before not in _BEFORE_TEXT or behind not in _BEHIND_TEXT
        ):
            raise FramingBroken
        if found is None:
            found = _trouble(token, levels)
        before = token if len(token) == 1 else b"."
    return found


def _tokens(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each token, and the first byte of the one behind it."""
    last: bytes | None = None
    for number, match in enumerate(_TOKEN.finditer(raw)):
        if number > _MOST_TOKENS:
            raise FramingBroken
        token = match[0]
        if last is not None:
            yield last, token[:1]
        last = token
    if last is not None:
        yield last, b""


def _trouble(token: bytes, levels: list[_Level]) -> _Trouble | None:
    level = levels[-1] if levels else None
    if token in (b"{", b"["):
        levels.append(_Level(token == b"{"))
    elif token in (b"}", b"]"):
        if levels:
            levels.pop()
    elif token == b",":
        if level:
            level.index += 1
            level.at_name = True
    elif token == b":":
        if level:
            level.at_name = False
    elif level and level.is_object and level.at_name:
        return _trouble_of_name(token, levels)
    else:
        return _trouble_of_value(token, _path(levels))
    return None


def _trouble_of_name(token: bytes, levels: list[_Level]) -> _Trouble | None:
    level = levels[-1]
    found = _trouble_of_value(token, _path(levels[:-1]))
    if found is not None:
        return found
    name = str(decode_json(token, ""))
    level.name = name[:_LONGEST_NAME]
    if name in level.names:
        why = "the key occurs twice in one object, and one of the two would be lost"
        return _Trouble("DUPLICATE_KEYS", why, _path(levels))
    level.names.add(name)
    return None


def _trouble_of_value(token: bytes, path: str) -> _Trouble | None:
    try:
        decode_json(token, "")
    except DataFailure:
        pass
    else:
        return None
    try:
        token.decode()
    except UnicodeDecodeError:
        return _Trouble("NOT_UTF8", "the text is not UTF-8", path)
    if not token.startswith(b'"'):
        return _Trouble("NOT_JSON", "the number is out of range, or the value is none of JSON", path)
    if _HALF.search(token):
        return _Trouble("NOT_JSON", "the text holds half of a surrogate pair", path)
    return _Trouble("NOT_JSON", "the text holds a character or an escape that JSON does not allow", path)


def _path(levels: list[_Level]) -> str:
    return ".".join(level.step for level in levels[:_DEEPEST_SHOWN])
