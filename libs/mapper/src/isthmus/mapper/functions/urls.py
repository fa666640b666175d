"""Functions on URLs; names and passwords in them never come through."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.limits import MAX_TEXT

_AREA = "url"
_LONGEST = 8_192
_MOST_PARTS = 1_000
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ssh": 22, "ldap": 389, "ldaps": 636}
_PARTS = ("scheme", "host", "port", "path", "query", "fragment", "origin")


def _split(value: Any) -> SplitResult:
    text = need_text(value).strip()
    try:
        if 0 < len(text) <= _LONGEST and text.isprintable() and " " not in text:
            parts = urlsplit(text)
            if parts.scheme and parts.hostname and (parts.port is None or parts.port >= 0):
                return parts
    except ValueError:
        pass
    raise Refusal(
        "NOT_URL", "The text is no URL with a scheme and a host; resolve_url makes one of what is relative."
    )


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")


def _origin(parts: SplitResult) -> str:
    host = _host(parts)
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}"


def _member(parts: SplitResult, part: str) -> Any:
    match part:
        case "host":
            return _host(parts)
        case "port":
            return parts.port or _PORTS.get(parts.scheme)
        case "origin":
            return _origin(parts)
        case "path":
            return parts.path or "/"
    return getattr(parts, part) or None


@function(
    "is_url",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="url.isValid",
    example=("is_url", "https://example.org/a?b=1", True),
    also=(("is_url", "example.org/a", False),),
)
def is_url() -> Step:
    """Whether the text is a URL with a scheme and a host."""

    def step(value: Any) -> bool:
        try:
            return bool(_split(value))
        except Refusal:
            return False

    return step


@function(
    "parse_url",
    area=_AREA,
    takes="string",
    returns="object",
    cel="url.parse",
    example=(
        "parse_url",
        "https://ann:secret@Example.org:8443/a%20b?x=1&x=2#top",
        {
            "scheme": "https",
            "host": "example.org",
            "port": 8443,
            "path": "/a%20b",
            "query": "x=1&x=2",
            "fragment": "top",
            "origin": "https://example.org:8443",
        },
    ),
)
def parse_url() -> Step:
    """Takes a URL apart; the port is the usual one of the scheme where none stands in it."""

    def step(value: Any) -> dict[str, Any]:
        parts = _split(value)
        found = {part: _member(parts, part) for part in _PARTS}
        return {part: held for part, held in found.items() if held is not None}

    return step


@function(
    "url_part",
    Param("part", "choice", options=_PARTS),
    area=_AREA,
    takes="string",
    returns="any",
    cel="url.part",
    example=({"url_part": "host"}, "https://WWW.example.org/a", "www.example.org"),
    also=(({"url_part": "port"}, "https://example.org", 443), ({"url_part": "query"}, "http://a.b/", None)),
)
def url_part(part: str) -> Step:
    """One part of a URL, as parse_url names them; null where it has none."""
    return lambda value: _member(_split(value), part)


@function(
    "url_query",
    Param("name", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    nullable=True,
    cel="url.query",
    example=({"url_query": "id"}, "https://example.org/?id=a%2Fb&id=c", "a/b"),
    also=(({"url_query": "no"}, "https://example.org/?id=1", None),),
)
def url_query(name: str) -> Step:
    """The first value of a parameter in the query of a URL, decoded; null where there is none."""

    def step(value: Any) -> str | None:
        return next((held for key, held in _queried(_split(value)) if key == name), None)

    return step


def _queried(parts: SplitResult) -> list[tuple[str, str]]:
    try:
        return parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MOST_PARTS)
    except ValueError:
        raise Refusal("TOO_MANY", f"The URL has more than {_MOST_PARTS} parameters.") from None


@function(
    "normalize_url",
    area=_AREA,
    takes="string",
    returns="string",
    cel="url.normalize",
    example=("normalize_url", "HTTPS://Example.org:443?b=2&a=1#top", "https://example.org/?a=1&b=2"),
)
def normalize_url() -> Step:
    """Writes a URL in one form, to compare it.

    Scheme and host are in small letters, parameters are sorted; the usual port, the fragment, names and
    passwords are left out.
    """

    def step(value: Any) -> str:
        parts = _split(value)
        query = urlencode(sorted(_queried(parts)))
        return _origin(parts) + (parts.path or "/") + (f"?{query}" if query else "")

    return step


@function(
    "resolve_url",
    Param("base", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="url.resolve",
    example=({"resolve_url": "https://example.org/a/b"}, "../c?d=1", "https://example.org/c?d=1"),
)
def resolve_url(base: str) -> Step:
    """Makes a whole URL of one that is relative to a base."""
    try:
        _split(base)
    except Refusal:
        raise ValueError("The base is a URL with a scheme and a host.") from None

    def step(value: Any) -> str:
        text = need_text(value).strip()
        if len(text) > _LONGEST:
            raise Refusal("TOO_LONG", f"A URL has at most {_LONGEST} characters.")
        try:
            made = urljoin(base, text)
        except ValueError:
            made = ""
        return urlunsplit(_split(made))

    return step


@function(
    "url_encode",
    area=_AREA,
    takes="string",
    returns="string",
    cel="url.encode",
    example=("url_encode", "a b/ü", "a%20b%2F%C3%BC"),
)
def url_encode() -> Step:
    """Writes a text so that it can stand anywhere in a URL."""

    def step(value: Any) -> str:
        text = need_text(value)
        if len(text) > MAX_TEXT // 12:
            raise Refusal("TOO_LONG", f"At most {MAX_TEXT // 12} characters are encoded.")
        try:
            return quote(text, safe="")
        except UnicodeEncodeError:
            raise Refusal(
                "TEXT_NOT_UNICODE", "The text holds a lone surrogate; mend the encoding at the source."
            ) from None

    return step


@function(
    "url_decode",
    area=_AREA,
    takes="string",
    returns="string",
    cel="url.decode",
    example=("url_decode", "a%20b%2F%C3%BC", "a b/ü"),
)
def url_decode() -> Step:
    """Reads a text that was written for a URL; what is no UTF-8 becomes �."""
    return lambda value: unquote(_short(need_text(value)))


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Refusal("TOO_LONG", f"At most {MAX_TEXT} characters are decoded.")
    return text
