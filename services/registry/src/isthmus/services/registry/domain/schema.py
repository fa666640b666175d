"""JSON Schema 2020-12 with the mark for secrets, told in sentences a person can act on.

References reach inside the schema only: nothing is ever fetched. Values are
never repeated in a message, for they might be secrets.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from isthmus.resilience.faults import Violation
from isthmus.services.registry.domain.explain import explain
from isthmus.services.registry.domain.secrets import SECRET
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

_MOST_VIOLATIONS = 50
_PLAIN: Mapping[str, Any] = Draft202012Validator.VALIDATORS


def schema_trouble(schema: Any) -> str:
    """Say what is wrong with a configuration schema; empty when nothing is."""
    if not isinstance(schema, dict):
        return "it is no JSON object"
    outward = next(_outward_references(schema), "")
    if outward:
        return f"`$ref` {outward[:100]!r} leads out of the schema; references must begin with `#`"
    try:
        Draft202012Validator.check_schema(schema)
        list(_validator(schema).iter_errors({}))
    except SchemaError as error:
        return f"`{error.json_path}` is no valid JSON Schema 2020-12"
    except (Unresolvable, RecursionError) as error:
        return f"its references lead nowhere ({type(error).__name__})"
    return ""


class ConfigurationSchema:
    """Checks configurations against one connector version's schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = _validator(schema)

    def violations(self, configuration: dict[str, Any]) -> list[Violation]:
        """List what is wrong with a configuration, in the order of its fields."""
        try:
            found = [violation for error in self._errors(configuration) for violation in explain(error)]
        except (Unresolvable, RecursionError):
            message = "The connector's own schema cannot be evaluated; tell the connector's author."
            return [Violation("", "SCHEMA_UNUSABLE", message)]
        return list(dict.fromkeys(found))[:_MOST_VIOLATIONS]

    def _errors(self, configuration: dict[str, Any]) -> Iterable[ValidationError]:
        return sorted(self._validator.iter_errors(configuration), key=lambda error: str(error.json_path))


@lru_cache(maxsize=256)
def compiled(document: str) -> ConfigurationSchema:
    """Return the checker of a schema given as JSON text; the same one for the same text."""
    import json

    return ConfigurationSchema(json.loads(document))


def _outward_references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for keyword in ("$ref", "$dynamicRef"):
            target = schema.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                yield target
        for inner in schema.values():
            yield from _outward_references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _outward_references(inner)


def _secret(_validator: Any, is_secret: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if is_secret is True and instance is not None:
        yield ValidationError("holds a secret")


def _required(
    validator: Validator, required: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Report each absent field at its own path; secrets come from the vault and are never missed here."""
    if not validator.is_type(instance, "object"):
        return
    for name in required:
        if name not in instance and not _is_secret(schema.get("properties", {}).get(name)):
            yield ValidationError("is missing", path=[name])


def _is_secret(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema.get(SECRET) is True or any(map(_is_secret, schema.get("anyOf", ())))


def _additional(
    validator: Validator, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Report each unknown field at its own path."""
    if allowed is not False:
        yield from _PLAIN["additionalProperties"](validator, allowed, instance, schema)
    elif validator.is_type(instance, "object"):
        patterns = schema.get("patternProperties", {})
        known = schema.get("properties", {})
        for name in instance:
            if name not in known and not any(_matches(validator, pattern, name) for pattern in patterns):
                yield ValidationError("is unknown", path=[name])


def _matches(validator: Validator, pattern: str, name: str) -> bool:
    return not any(_PLAIN["pattern"](validator, pattern, name, {}))


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {SECRET: _secret, "required": _required, "additionalProperties": _additional},
)


def _validator(schema: dict[str, Any]) -> Any:
    return _Validator(schema, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)


__all__ = ["ConfigurationSchema", "compiled", "schema_trouble"]
