"""Functions on identifiers: UUID, ULID, CVE, CWE, CPE, mail addresses, indicators."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, NAMESPACE_OID, NAMESPACE_URL, NAMESPACE_X500, UUID, uuid5

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.network import host_of
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.limits import MAX_LIST
from isthmus.mapper.patterns import searchable
from isthmus.mapper.times import rfc3339
from isthmus.mapper.values import is_unicode, text_of

_AREA = "identifiers"
_UUID = re.compile(r"(urn:uuid:)?\{?([0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12})\}?", re.ASCII | re.I)
_CVE = re.compile(r"CVE[-_ ]?(\d{4})[-_ ](\d{4,12})", re.ASCII | re.I)
_CVES = re.compile(r"\bCVE-\d{4}-\d{4,12}\b", re.ASCII | re.I)
_CWE = re.compile(r"(?:CWE)?[-_ ]?0{0,6}(\d{1,6})", re.ASCII | re.I)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII | re.I)
_CROCKFORD = {letter: value for value, letter in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_LONGEST = 500
_LONGEST_MAIL = 254
_LONGEST_LOCAL = 64
_NAMESPACES = {"dns": NAMESPACE_DNS, "url": NAMESPACE_URL, "oid": NAMESPACE_OID, "x500": NAMESPACE_X500}
_HASHES = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}


def _text(value: Any) -> str:
    """The text, or nothing of one that is longer than any identifier."""
    text = need_text(value).strip()
    return text if len(text) <= _LONGEST else ""


def _uuid(text: str) -> UUID | None:
    found = _UUID.fullmatch(text)
    return UUID(found[2]) if found else None


@function(
    "is_uuid",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="id.isUuid",
    example=("is_uuid", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", True),
    also=(("is_uuid", "017F22E2", False),),
)
def is_uuid() -> Step:
    """Whether the text is a UUID in any of its spellings."""
    return lambda value: _uuid(_text(value)) is not None


@function(
    "normalize_uuid",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.normalizeUuid",
    example=(
        "normalize_uuid",
        "{017F22E279B07CC398C4DC0C0C07398F}",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ),
)
def normalize_uuid() -> Step:
    """Writes a UUID in small letters with hyphens."""

    def step(value: Any) -> str:
        found = _uuid(_text(value))
        if found is None:
            raise Refusal("NOT_UUID", "The text is no UUID; uuid5 makes one of any text.")
        return str(found)

    return step


@function(
    "uuid5",
    Param("namespace", "text", "url"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.uuid5",
    example=({"uuid5": "dns"}, "www.example.org", "74738ff5-5367-5958-9aee-98fffdcd1876"),
)
def stable_uuid(namespace: str) -> Step:
    """The UUID (version 5) that always belongs to a text in a namespace: dns, url, oid, x500 or a UUID."""
    inside = _NAMESPACES.get(namespace) or _uuid(namespace[:_LONGEST])
    if inside is None:
        raise ValueError("The namespace is dns, url, oid, x500 or a UUID.")

    def step(value: Any) -> str:
        text = text_of(value)
        is_unicode(text)
        return str(uuid5(inside, text))

    return step


@function(
    "is_ulid",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="id.isUlid",
    example=("is_ulid", "01ARZ3NDEKTSV4RRFFQ69G5FAV", True),
)
def is_ulid() -> Step:
    """Whether the text is a ULID."""
    return lambda value: _ULID.fullmatch(_text(value)) is not None


@function(
    "ulid_time",
    area=_AREA,
    takes="string",
    returns="timestamp",
    cel="id.ulidTime",
    example=("ulid_time", "01KDVDNA00TSV4RRFFQ69G5FAV", "2026-01-01T00:00:00Z"),
)
def ulid_time() -> Step:
    """The time at which a ULID was made, which stands in it."""

    def step(value: Any) -> str:
        text = _text(value).upper()
        if not _ULID.fullmatch(text):
            raise Refusal("NOT_ULID", "The text is no ULID of 26 characters; mend the source.")
        milliseconds = 0
        for letter in text[:10]:
            milliseconds = milliseconds * 32 + _CROCKFORD[letter]
        try:
            return rfc3339(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))
        except OverflowError:
            raise Refusal("TIME_OUT_OF_RANGE", "The time in the ULID lies behind the year 9999.") from None

    return step


def _cve(text: str) -> str | None:
    found = _CVE.fullmatch(text)
    return f"CVE-{found[1]}-{found[2]}" if found else None


@function(
    "is_cve",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="id.isCve",
    example=("is_cve", "CVE-2024-3094", True),
    also=(("is_cve", "CVE-24-3094", False),),
)
def is_cve() -> Step:
    """Whether the text is the id of a vulnerability of CVE, in any case."""
    return lambda value: _CVES.fullmatch(_text(value)) is not None


@function(
    "normalize_cve",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.normalizeCve",
    example=("normalize_cve", "cve_2024-3094", "CVE-2024-3094"),
)
def normalize_cve() -> Step:
    """Writes the id of a vulnerability as CVE-2024-3094."""

    def step(value: Any) -> str:
        found = _cve(_text(value))
        if found is None:
            raise Refusal(
                "NOT_CVE", "The text is no CVE id; take one out of a longer text with extract_cves."
            )
        return found

    return step


@function(
    "extract_cves",
    area=_AREA,
    takes="string",
    returns="array",
    cel="id.extractCves",
    example=(
        "extract_cves",
        "fixes cve-2024-3094, CVE-2021-44228 and CVE-2024-3094",
        ["CVE-2024-3094", "CVE-2021-44228"],
    ),
)
def extract_cves() -> Step:
    """The CVE ids in a text, each once, in the order of the text."""

    def step(value: Any) -> list[str]:
        found = dict.fromkeys(match.upper() for match in _CVES.findall(searchable(need_text(value))))
        if len(found) > MAX_LIST:
            raise Refusal("TOO_MANY", f"The text has more than {MAX_LIST} ids.")
        return list(found)

    return step


@function(
    "normalize_cwe",
    area=_AREA,
    returns="string",
    cel="id.normalizeCwe",
    example=("normalize_cwe", "cwe 079", "CWE-79"),
    also=(("normalize_cwe", 89, "CWE-89"),),
)
def normalize_cwe() -> Step:
    """Writes the id of a weakness as CWE-79; its number alone will do."""

    def step(value: Any) -> str:
        found = _CWE.fullmatch(_text(text_of(value)))
        if found is None:
            raise Refusal("NOT_CWE", "The value is no CWE id; words such as NVD-CWE-noinfo need a table.")
        return f"CWE-{found[1]}"

    return step


def _mail(value: Any) -> tuple[str, str] | None:
    """The two sides of a mail address, the host in its one form."""
    text = _text(value).removeprefix("mailto:")
    local, at, host = text.rpartition("@")
    if not at or len(text) > _LONGEST_MAIL or len(local) > _LONGEST_LOCAL or not _LOCAL.fullmatch(local):
        return None
    domain = host_of(host)
    return None if domain is None else (local, domain)


@function(
    "is_email",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="id.isEmail",
    example=("is_email", "ann.lee+x@example.org", True),
    also=(("is_email", "ann@@example.org", False),),
)
def is_email() -> Step:
    """Whether the text is a mail address in ASCII as people have them; nobody is asked whether it exists."""
    return lambda value: _mail(value) is not None


@function(
    "normalize_email",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.normalizeEmail",
    example=("normalize_email", " Ann.Lee@Example.ORG ", "ann.lee@example.org"),
)
def normalize_email() -> Step:
    """Writes a mail address in small letters, as directories compare them."""
    return lambda value: "@".join(_mailed(value)).lower()


@function(
    "email_domain",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.emailDomain",
    example=("email_domain", "Ann.Lee@Example.ORG", "example.org"),
)
def email_domain() -> Step:
    """The host in a mail address."""
    return lambda value: _mailed(value)[1]


def _mailed(value: Any) -> tuple[str, str]:
    found = _mail(value)
    if found is None:
        raise Refusal(
            "NOT_EMAIL", "The text is no mail address; take a name or brackets around it off first."
        )
    return found


@function(
    "hash_type",
    area=_AREA,
    takes="string",
    returns="string",
    nullable=True,
    cel="id.hashType",
    example=("hash_type", "900150983cd24fb0d6963f7d28e17f72", "md5"),
    also=(("hash_type", "not one", None),),
)
def hash_type() -> Step:
    """Which hash a hexadecimal text is by its length: md5, sha1, sha256 and so on; null for others."""

    def step(value: Any) -> str | None:
        text = _text(value)
        return _HASHES.get(len(text)) if re.fullmatch("[0-9A-Fa-f]+", text) else None

    return step


@function(
    "defang",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.defang",
    example=("defang", "http://evil.example/a", "hxxp[://]evil[.]example/a"),
)
def defang() -> Step:
    """Writes a URL, host, IP address or mail address so that nobody follows it by mistake."""

    def step(value: Any) -> str:
        text = searchable(need_text(value))
        scheme, mark, rest = text.partition("://")
        if not mark:
            scheme, rest = "", text
        host, slash, path = rest.partition("/")
        shown = host.replace("[.]", ".").replace(".", "[.]").replace("@", "[@]")
        return (f"{scheme.replace('http', 'hxxp')}[://]" if mark else "") + shown + slash + path

    return step


@function(
    "refang",
    area=_AREA,
    takes="string",
    returns="string",
    cel="id.refang",
    example=("refang", "hxxps[:]//evil[.]example(dot)org", "https://evil.example.org"),
)
def refang() -> Step:
    """Undoes what keeps an indicator from being followed: hxxp, [.], (dot), [at], [:]//."""
    return lambda value: _REFANGED.sub(_refanged, searchable(need_text(value)))


_REFANGED = re.compile(r"\bhxxp|[\[({](\.|:|://|@|dot|at)[\])}]", re.ASCII | re.I)


def _refanged(match: re.Match[str]) -> str:
    inner = (match[1] or "").lower()
    return "http" if not inner else {"dot": ".", "at": "@"}.get(inner, inner)
