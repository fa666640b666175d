"""Reads schemas of every notation, with all that is wrong with them."""

import json
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from isthmus.resilience.faults import FixRequest, Violation
from isthmus.services.mapping.domain.registry.avro.reading import read_avro
from isthmus.services.mapping.domain.registry.avro.to_json_schema import json_schema_of
from isthmus.services.mapping.domain.registry.knowledge import Document
from isthmus.services.mapping.domain.registry.model import Definition, Format
from isthmus.services.mapping.domain.registry.protobuf.reading import ProtoInvalid, read_proto
from isthmus.services.mapping.domain.registry.protobuf.to_json_schema import (
    json_schema_of as protobuf_schema_of,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_VIOLATIONS = 50
_DEEPEST = 100


def read_definition(form: Format, text: str) -> Definition:
    """Read a schema.

    Raises:
        FixRequest: `SCHEMA_INVALID`, with everything that is wrong.
    """
    return _READERS[form](text)


def invalid(violations: list[Violation]) -> FixRequest:
    """The refusal of a schema that cannot be used."""
    first, more = violations[0], len(violations) - 1
    message = first.message + (f" And {more} more; see the violations." if more else "")
    return FixRequest("SCHEMA_INVALID", message, path="definition", violations=tuple(violations))


def violation(path: str, message: str) -> Violation:
    """One thing that is wrong at a JSON pointer into the definition."""
    return Violation(f"definition{path}", "SCHEMA_INVALID", message)


def as_json(text: str) -> Any:
    """The JSON value that a definition is the text of.

    Raises:
        FixRequest: `SCHEMA_INVALID`.
    """
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except RecursionError:
        raise invalid([violation("", "The schema is nested too deep.")]) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise invalid([violation("", f"The schema is no valid JSON ({where}): {error.msg}.")]) from None
    except ValueError as error:
        raise invalid([violation("", str(error))]) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON; leave it out.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"The name {twice!r} stands twice in one object; leave one out.")
    return found


def canonical(document: Any) -> str:
    """JSON whose text is the same for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(document: Any) -> str:
    """Content hash of a JSON value."""
    return sha256(canonical(document).encode("utf-8", "surrogatepass")).hexdigest()


def _json_schema(text: str) -> Definition:
    document = as_json(text)
    if not isinstance(document, dict):
        raise invalid([violation("", "Send a JSON object; true and false are no schemas of records.")])
    if problems := schema_violations(document):
        raise invalid(problems)
    title = document.get("title", "")
    return Definition(Format.JSON_SCHEMA, text, text, fingerprint_of(document), title)


def schema_violations(document: dict[str, Any]) -> list[Violation]:
    """What is wrong with a JSON Schema: by the metaschema, and by what is known here."""
    from jsonschema import Draft202012Validator

    dialect = document.get("$schema", DIALECT)
    if str(dialect).rstrip("#") != DIALECT:
        return [violation("/$schema", f"The dialect {dialect!s:.100} is not read; write it in {DIALECT}.")]
    found = [
        violation("".join(f"/{part}" for part in error.absolute_path), f"{error.message[:200]}.")
        for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(document)
    ]
    if not found:
        found = _unknown_references(Document(document), document, "", 0)
    if not found and _leads_back(Document(document), document):
        found = [violation("", "A reference leads back to itself without any field or element between.")]
    return found[:_MOST_VIOLATIONS]


def _leads_back(document: Document, here: Any) -> bool:
    """Whether some schema is part of itself, so that no value could ever be checked by it."""
    done: set[int] = set()
    pending = [here]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict) and _is_circular(document, one, set(), done):
            return True
        pending += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return False


def _is_circular(document: Document, schema: dict[str, Any], above: set[int], done: set[int]) -> bool:
    if id(schema) in above or len(above) > _DEEPEST:
        return True
    if id(schema) in done:
        return False
    inner = [
        document.target(schema.get("$ref")),
        *(schema.get(word) for word in ("not", "if", "then", "else")),
    ]
    inner += [one for word in ("allOf", "anyOf", "oneOf") for one in _listed(schema.get(word))]
    within = {*above, id(schema)}
    if any(_is_circular(document, one, within, done) for one in inner if isinstance(one, dict)):
        return True
    done.add(id(schema))
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unknown_references(document: Document, here: Any, path: str, depth: int) -> list[Violation]:
    """References that name nothing, wherever they stand."""
    if depth > _DEEPEST:
        return [violation(path, "The schema is nested too deep.")]
    found: list[Violation] = []
    if isinstance(here, dict):
        reference = here.get("$ref")
        if isinstance(reference, str) and document.target(reference) is None:
            message = f"The reference {reference[:80]!r} names nothing in the schema; only #/… is followed."
            found.append(violation(f"{path}/$ref", message))
    inside = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
    for name, inner in inside:
        if name not in {"const", "enum", "default", "examples"}:
            found += _unknown_references(document, inner, f"{path}/{name}", depth + 1)
    return found


def _avro(text: str) -> Definition:
    document = as_json(text)
    avro = read_avro(document)
    if avro.problems:
        raise invalid([violation(path, message) for path, message in avro.problems[:_MOST_VIOLATIONS]])
    if avro.root["type"] != "record":
        raise invalid([violation("", "Records are described by a record; wrap the schema into one.")])
    schema, losses = json_schema_of(avro)
    title = avro.root["name"].rpartition(".")[2]
    return Definition(Format.AVRO, text, canonical(schema), fingerprint_of(document), title, tuple(losses))


def _protobuf(text: str) -> Definition:
    try:
        proto = read_proto(text)
    except ProtoInvalid as error:
        raise invalid([violation("", str(error))]) from None
    schema, losses = protobuf_schema_of(proto)
    title = proto.root.rpartition(".")[2]
    return Definition(
        Format.PROTOBUF, text, canonical(schema), fingerprint_of(asdict(proto)), title, tuple(losses)
    )


_READERS = {Format.JSON_SCHEMA: _json_schema, Format.AVRO: _avro, Format.PROTOBUF: _protobuf}

__all__ = [
    "DIALECT",
    "as_json",
    "canonical",
    "fingerprint_of",
    "invalid",
    "read_definition",
    "schema_violations",
    "violation",
]
