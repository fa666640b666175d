"""Functions on HTML: taking it away, writing and reading what stands for its signs."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.casts import bounded
from isthmus.mapper.functions.registry import Step, function, need_text
from isthmus.mapper.patterns import compile_pattern, searchable

_AREA = "text"
_TAG = r"(?s)<!--.*?-->|<(?:script|style)\b[^>]*>.*?</(?:script|style)\s*>|<[/!?A-Za-z][^>]*>"
_BREAK = r"(?i)<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^>]*>"


@function(
    "strip_html",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.stripHtml",
    example=("strip_html", "<p>1 &lt; 2<br>and <b>bold</b></p><script>x()</script>", "1 < 2\nand bold"),
)
def strip_html() -> Step:
    """Takes HTML away and leaves its text, for people to read; the result is no safe HTML."""
    breaks, tags = compile_pattern(_BREAK), compile_pattern(_TAG)

    def step(value: Any) -> str:
        text = searchable(need_text(value))
        return bounded(_unescaped(tags.sub("", breaks.sub("\n", text)))).strip()

    return step


@function(
    "escape_html",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.escapeHtml",
    example=("escape_html", "<b>'&\"", "&lt;b&gt;&#x27;&amp;&quot;"),
)
def escape_html() -> Step:
    """Writes a text so that HTML shows it as it is."""
    from html import escape

    return lambda value: bounded(escape(bounded(need_text(value))))


@function(
    "unescape_html",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.unescapeHtml",
    example=("unescape_html", "1 &lt; 2 &amp;&nbsp;3", "1 < 2 &\xa03"),
)
def unescape_html() -> Step:
    """Reads a text that was written for HTML."""
    return lambda value: _unescaped(bounded(need_text(value)))


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)
