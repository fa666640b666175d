"""The JSON documents a definition comes in, and what the compiler says to them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from isthmus.mapper import MappingInvalid, Plan, Violation, compile_mapping, fingerprint
from isthmus.resilience.faults import FixRequest
from isthmus.resilience.faults import Violation as FieldViolation

LANGUAGE = "isthmus/v1"
_LONGEST = 1 << 20
_MOST_SAMPLES = 100
_UNREADABLE = frozenset({"JSON_INVALID", "NAME_TWICE", "TOO_LONG"})
_PARTS = ("source_schema", "target_schema", "field_mappings", "transformations")


@dataclass(frozen=True, slots=True)
class Documents:
    """The parts of a definition as JSON text; the schemas may be empty.

    The text is kept as text and not as jsonb, which would rewrite numbers and refuse NUL characters.
    """

    source_schema: str = ""
    target_schema: str = ""
    field_mappings: str = "[]"
    transformations: str = "{}"

    def definition(self) -> dict[str, Any]:
        """The whole definition, as hosts compile it."""
        parts = {name: json.loads(getattr(self, name)) for name in _PARTS if getattr(self, name)}
        return {"version": LANGUAGE, **parts}

    def fingerprint(self) -> str:
        """Content hash of the definition."""
        return fingerprint(self.definition())


def read_documents(
    source_schema: str, target_schema: str, field_mappings: str, transformations: str
) -> tuple[Documents, list[Violation]]:
    """Read the four documents of a request.

    Returns:
        The documents in compact form, and every mistake in them; with mistakes in the JSON itself the
        compiler is not asked.
    """
    texts = (source_schema, target_schema, field_mappings or "[]", transformations or "{}")
    violations: list[Violation] = []
    packed: dict[str, str] = {}
    for name, text in zip(_PARTS, texts, strict=True):
        if text:
            packed[name] = compact(name, text, violations)
    documents = Documents(**packed)
    if not violations:
        try:
            plan_of(documents)
        except MappingInvalid as invalid:
            violations += invalid.violations
    return documents, violations


def unreadable(violations: Iterable[Violation]) -> list[Violation]:
    """The mistakes for which a definition cannot even be kept as a draft."""
    return [item for item in violations if item.reason in _UNREADABLE]


def compiled(documents: Documents, violations: Iterable[Violation] = ()) -> Plan:
    """Return the plan of a definition.

    Raises:
        FixRequest: `MAPPING_INVALID` with every mistake.
    """
    found = list(violations)
    if not found:
        try:
            return plan_of(documents)
        except MappingInvalid as invalid:
            found = list(invalid.violations)
    more = f" And {len(found) - 1} more; ValidateMapping lists them." if len(found) > 1 else ""
    message = f"{found[0].path or 'definition'}: {found[0].message}{more}"
    details = [FieldViolation(item.path, item.reason, item.message) for item in found]
    raise FixRequest("MAPPING_INVALID", message, path=found[0].path, violations=details)


@lru_cache(maxsize=16)
def plan_of(documents: Documents) -> Plan:
    """Compile a definition, or give the plan compiled before.

    Raises:
        MappingInvalid: with every mistake.
    """
    return compile_mapping(documents.definition())


def samples_of(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Read sample records.

    Raises:
        FixRequest: `SAMPLE_INVALID`, naming every sample that is no JSON object.
    """
    samples = []
    wrong = []
    for index, text in enumerate(texts):
        try:
            sample = json.loads(text)
        except (ValueError, RecursionError):
            sample = None
        if isinstance(sample, dict):
            samples.append(sample)
        else:
            message = "A sample is one JSON object; send it as text."
            wrong.append(FieldViolation(f"samples[{index}]", "SAMPLE_INVALID", message))
    if len(samples) + len(wrong) > _MOST_SAMPLES:
        message = f"Send at most {_MOST_SAMPLES} samples at once."
        raise FixRequest("SAMPLE_INVALID", message, path="samples")
    if wrong:
        message = f"{wrong[0].path} is no JSON object; send each sample as the text of one object."
        raise FixRequest("SAMPLE_INVALID", message, path=wrong[0].path, violations=wrong)
    return samples


def compact(name: str, text: str, violations: list[Violation]) -> str:
    """Give JSON text without spaces; what is wrong with it is added to `violations`, and nothing given."""
    if len(text) > _LONGEST:
        message = f"{name} has more than {_LONGEST} characters; split the mapping."
        violations.append(Violation(f"/{name}", "TOO_LONG", message))
        return ""
    try:
        document = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
        return json.dumps(document, separators=(",", ":"))
    except _TwiceError as twice:
        message = f"The name {twice.name[:60]!r} is there twice in one object; keep one of them."
        violations.append(Violation(f"/{name}", "NAME_TWICE", message))
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        violations.append(
            Violation(f"/{name}", "JSON_INVALID", f"{name} is no JSON at {where}; mend it there.")
        )
    except (ValueError, RecursionError):
        message = f"{name} is no JSON, or nested too deep, or has numbers out of range; mend it."
        violations.append(Violation(f"/{name}", "JSON_INVALID", message))
    return ""


class _TwiceError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise _TwiceError(name)
        members[name] = value
    return members


def _no_constant(constant: str) -> Any:
    raise ValueError(constant)


__all__ = [
    "LANGUAGE",
    "Documents",
    "compact",
    "compiled",
    "plan_of",
    "read_documents",
    "samples_of",
    "unreadable",
]
