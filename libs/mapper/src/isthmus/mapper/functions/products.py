"""Functions on names of products: Common Platform Enumeration (CPE) and package URLs (purl)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Step, function, need_text

_AREA = "identifiers"
_LONGEST = 2_000
_COMPONENTS = (
    "part",
    "vendor",
    "product",
    "version",
    "update",
    "edition",
    "language",
    "sw_edition",
    "target_sw",
    "target_hw",
    "other",
)
_URI_COMPONENTS = 7
_PARTS = frozenset({"a", "o", "h", "*", "-"})
_BETWEEN = re.compile(r"(?<!\\):")
_PURL = re.compile(
    r"pkg:/*([A-Za-z][A-Za-z0-9.+-]{0,30})/([^?#@]{1,500})(?:@([^?#]{1,200}))?([?#].{0,1000})?", re.S
)


def _components(value: Any) -> list[str] | None:
    """The components of a CPE name of version 2.3, or of 2.2 as a URI; `None` where the text is none."""
    text = need_text(value).strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith("cpe:2.3:"):
        found = _BETWEEN.split(text)[2:]
        if len(found) != len(_COMPONENTS):
            return None
    elif text.startswith("cpe:/"):
        found = [unquote(part) for part in text[5:].split(":")]
        if len(found) > _URI_COMPONENTS:
            return None
    else:
        return None
    return found if found[0] in _PARTS and all(len(part) > 0 for part in found[:1]) else None


@function(
    "is_cpe",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="id.isCpe",
    example=("is_cpe", "cpe:2.3:a:openssl:openssl:3.0.7:*:*:*:*:*:*:*", True),
    also=(("is_cpe", "cpe:/o:linux:linux_kernel:6.1", True), ("is_cpe", "cpe:2.3:a:openssl", False)),
)
def is_cpe() -> Step:
    """Whether the text is the name of a product in CPE 2.3, or in 2.2 as a URI."""
    return lambda value: _components(value) is not None


@function(
    "parse_cpe",
    area=_AREA,
    takes="string",
    returns="object",
    cel="id.parseCpe",
    example=(
        "parse_cpe",
        "cpe:2.3:a:openssl:openssl:3.0.7:-:*:*:*:node\\.js:*:*",
        {
            "part": "a",
            "vendor": "openssl",
            "product": "openssl",
            "version": "3.0.7",
            "update": "-",
            "target_sw": "node.js",
        },
    ),
)
def parse_cpe() -> Step:
    r"""Takes the name of a product apart; `*`, which stands for anything, is left out, and `-` says none."""

    def step(value: Any) -> dict[str, str]:
        found = _components(value)
        if found is None:
            raise Refusal("NOT_CPE", "The text is no CPE name of version 2.3 or 2.2; mend the source.")
        named = zip(_COMPONENTS, found, strict=False)
        return {name: re.sub(r"\\(.)", r"\1", part) for name, part in named if part not in {"*", ""}}

    return step


@function(
    "parse_purl",
    area=_AREA,
    takes="string",
    returns="object",
    cel="id.parsePurl",
    example=(
        "parse_purl",
        "pkg:npm/%40angular/core@17.0.1?arch=x86",
        {"type": "npm", "namespace": "@angular", "name": "core", "version": "17.0.1"},
    ),
)
def parse_purl() -> Step:
    """Takes a package URL apart: type, namespace, name and version; what it has not is left out."""

    def step(value: Any) -> dict[str, str]:
        text = need_text(value).strip()
        found = _PURL.fullmatch(text) if len(text) <= _LONGEST else None
        names = [part for part in found[2].split("/") if part] if found else []
        if found is None or not names:
            raise Refusal("NOT_PURL", "The text is no package URL such as pkg:pypi/requests@2.32.0.")
        told = {
            "type": found[1].lower(),
            "namespace": unquote("/".join(names[:-1])),
            "name": unquote(names[-1]),
            "version": unquote(found[3] or ""),
        }
        return {name: part for name, part in told.items() if part}

    return step
