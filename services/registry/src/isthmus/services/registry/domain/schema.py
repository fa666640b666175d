"""JSON Schema 2020-12 with the mark for secrets, told in sentences a person can act on.

References reach inside the schema only: nothing is ever fetched. Tenants
register schemas too, so patterns run in linear time and an evaluation has a
limit. Values are never repeated in a message, for they might be secrets.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from isthmus.resilience.faults import Violation
from isthmus.services.registry.domain.explain import explain
from isthmus.services.registry.domain.formats import FORMATS
from isthmus.services.registry.domain.keywords import KEYWORDS, TooCostly, is_pattern, limited
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

_MOST_VIOLATIONS = 50


def schema_trouble(schema: Any) -> str:
    """Say what is wrong with a configuration schema; empty when nothing is."""
    if not isinstance(schema, dict):
        return "it is no JSON object"
    return next(_forbidden(schema), "") or _evaluation_trouble(schema)


def _evaluation_trouble(schema: dict[str, Any]) -> str:
    try:
        Draft202012Validator.check_schema(schema)
        with limited():
            list(_validator(schema).iter_errors({}))
    except SchemaError as error:
        return f"`{error.json_path}` is no valid JSON Schema 2020-12"
    except (Unresolvable, RecursionError) as error:
        return f"its references lead nowhere ({type(error).__name__})"
    except TooCostly:
        return "it takes too long to evaluate"
    return ""


class ConfigurationSchema:
    """Checks configurations against one connector version's schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = _validator(schema)

    def violations(self, configuration: dict[str, Any]) -> list[Violation]:
        """List what is wrong with a configuration, in the order of its fields."""
        try:
            with limited():
                found = [violation for error in self._errors(configuration) for violation in explain(error)]
        except (Unresolvable, RecursionError):
            message = "The connector's own schema cannot be evaluated; tell the connector's author."
            return [Violation("", "SCHEMA_UNUSABLE", message)]
        except TooCostly:
            message = "The configuration takes too long to check; make it smaller."
            return [Violation("", "TOO_COSTLY", message)]
        return list(dict.fromkeys(found))[:_MOST_VIOLATIONS]

    def _errors(self, configuration: dict[str, Any]) -> Iterable[ValidationError]:
        return sorted(self._validator.iter_errors(configuration), key=lambda error: str(error.json_path))


@lru_cache(maxsize=256)
def compiled(document: str) -> ConfigurationSchema:
    """Return the checker of a schema given as JSON text; the same one for the same text."""
    return ConfigurationSchema(json.loads(document))


def _forbidden(schema: Any) -> Iterator[str]:
    """Say which references lead outwards and which patterns cannot be searched for in linear time."""
    for keyword, value in _keywords(schema):
        if keyword in {"$ref", "$dynamicRef"} and isinstance(value, str) and not value.startswith("#"):
            yield f"`$ref` {value[:100]!r} leads out of the schema; references must begin with `#`"
        for pattern in _patterns(keyword, value):
            if not is_pattern(pattern):
                yield f"the pattern {pattern[:100]!r} is invalid, or uses look-around or back-references"


def _patterns(keyword: str, value: Any) -> list[str]:
    if keyword == "pattern" and isinstance(value, str):
        return [value]
    return list(value) if keyword == "patternProperties" and isinstance(value, dict) else []


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Walk every member of every object in a schema; what is no keyword there does no harm."""
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            yield keyword, value
            yield from _keywords(value)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _keywords(inner)


_Validator: Any = extend(Draft202012Validator, KEYWORDS)  # type: ignore[no-untyped-call]


def _validator(schema: dict[str, Any]) -> Any:
    return _Validator(_one_dialect(schema), registry=Registry(), format_checker=FORMATS)


def _one_dialect(schema: Any) -> Any:
    """Leave out every `$schema`: an inner one would make the library go on without the keywords of here."""
    if isinstance(schema, dict):
        members = {name: _one_dialect(inner) for name, inner in schema.items()}
        return members if not isinstance(members.get("$schema"), str) else _without(members, "$schema")
    return [_one_dialect(inner) for inner in schema] if isinstance(schema, list) else schema


def _without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {known: value for known, value in members.items() if known != name}


__all__ = ["ConfigurationSchema", "compiled", "schema_trouble"]
