"""What kind of value a field has, by its schema and by samples: addresses, times, CVE ids and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_ENOUGH = 0.8
"""The part of the samples that has to be of a kind."""
_LONGEST = 500
DISTINCTIVE = frozenset(
    {"email", "ip", "cidr", "mac", "cve", "cwe", "uuid", "sha256", "sha1", "md5", "semver"}
)
"""Kinds that two fields hardly share by chance."""
_FORMATS: Mapping[str, str] = {
    "date-time": "time",
    "date": "time",
    "email": "email",
    "idn-email": "email",
    "ipv4": "ip",
    "ipv6": "ip",
    "uri": "url",
    "iri": "url",
    "uri-reference": "url",
    "uuid": "uuid",
    "hostname": "hostname",
}
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("cve", re.compile(r"CVE-\d{4}-\d{4,}", re.IGNORECASE)),
    ("cwe", re.compile(r"CWE-\d+", re.IGNORECASE)),
    ("time", re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")),
    ("email", re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")),
    ("ip", re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")),
    ("cidr", re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}/\d\d?")),
    ("ip", re.compile(r"(?=.*:.*:)[0-9a-fA-F:]{3,39}(?<!:)|::1?")),
    ("mac", re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}")),
    ("uuid", re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
    ("url", re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)),
    ("sha256", re.compile(r"[0-9a-fA-F]{64}")),
    ("sha1", re.compile(r"[0-9a-fA-F]{40}")),
    ("md5", re.compile(r"[0-9a-fA-F]{32}")),
    ("integer", re.compile(r"[+-]?\d+")),
    ("number", re.compile(r"[+-]?\d+\.\d+")),
    ("boolean", re.compile(r"true|false|yes|no", re.IGNORECASE)),
    ("hostname", re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.){2,}[a-z]{2,}", re.IGNORECASE)),
)
# A MAC address looks like a short IPv6 address, too.
_ORDER = [*(one for one in _PATTERNS if one[0] == "mac"), *(one for one in _PATTERNS if one[0] != "mac")]


def kind_of_format(name: object) -> str:
    """The kind of value that a format of JSON Schema stands for; empty where it says nothing."""
    return _FORMATS.get(name, "") if isinstance(name, str) else ""


def kind_of_samples(samples: Iterable[Any]) -> str:
    """The kind that nearly all of some values have; empty where there is none."""
    counts: dict[str, int] = {}
    total = 0
    for value in samples:
        if value is None or value == "":
            continue
        total += 1
        if kind := kind_of_value(value):
            counts[kind] = counts.get(kind, 0) + 1
    best = max(counts, key=lambda kind: (counts[kind], kind), default="")
    return best if best and counts[best] >= _ENOUGH * total else ""


def kind_of_value(value: Any) -> str:
    """The kind of one value; empty where it is none of those that are known."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if not isinstance(value, str) or len(value) > _LONGEST:
        return ""
    text = value.strip()
    return next((kind for kind, pattern in _ORDER if pattern.fullmatch(text)), "")
