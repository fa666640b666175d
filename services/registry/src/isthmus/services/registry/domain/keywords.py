"""How single keywords of JSON Schema are checked where the library's own way does not do.

Absent and unknown fields are reported at their own path, secrets are refused,
patterns run in linear time, and every evaluation of a keyword counts against a limit.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any

import re2  # type: ignore[import-untyped]
from isthmus.services.registry.domain.secrets import SECRET
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_MOST_STEPS = 50_000
_COSTS = {"$ref": 10, "$dynamicRef": 10}
_steps: ContextVar[int] = ContextVar("isthmus_registry_schema_steps", default=0)


class TooCostly(Exception):
    """An evaluation took more steps than any honest schema and configuration need."""


@contextmanager
def limited() -> Iterator[None]:
    """Count the steps of the evaluation inside the block from 0.

    Raises:
        TooCostly: there were too many of them.
    """
    token = _steps.set(0)
    try:
        yield
    finally:
        _steps.reset(token)


def is_pattern(pattern: str) -> bool:
    """Tell whether a pattern can be searched for in linear time."""
    try:
        _compiled(pattern)
    except re2.error:
        return False
    return True


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _secret(_validator: Any, is_secret: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if is_secret is True and instance is not None:
        yield ValidationError("holds a secret")


def _required(
    validator: Any, required: Any, instance: Any, schema: Mapping[str, Any]
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
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Report each unknown field at its own path."""
    if not validator.is_type(instance, "object"):
        return
    patterns = [_compiled(pattern) for pattern in schema.get("patternProperties", {})]
    for name, value in instance.items():
        if name in schema.get("properties", {}) or any(pattern.search(name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError("is unknown", path=[name])
        else:
            yield from validator.descend(value, allowed, path=name)


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _compiled(pattern).search(instance):
        yield ValidationError("does not match")


def _pattern_properties(
    validator: Any, forms: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, form in forms.items():
        for name, value in instance.items():
            if _compiled(pattern).search(name):
                yield from validator.descend(value, form, path=name, schema_path=pattern)


def _unique(validator: Any, is_unique: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Compare elements by their canonical form, which takes linear time; 1 and 1.0 are equal."""
    if is_unique and validator.is_type(instance, "array"):
        forms = {json.dumps(_without_zeros(value), sort_keys=True) for value in instance}
        if len(forms) < len(instance):
            yield ValidationError("has an element twice")


def _without_zeros(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _without_zeros(inner) for name, inner in value.items()}
    return [_without_zeros(inner) for inner in value] if isinstance(value, list) else value


def _counted(check: Check, cost: int) -> Check:
    @wraps(check)
    def counting(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        steps = _steps.get() + cost
        if steps > _MOST_STEPS:
            raise TooCostly
        _steps.set(steps)
        return check(validator, value, instance, schema)

    return counting


_OWN: dict[str, Check] = {
    SECRET: _secret,
    "required": _required,
    "additionalProperties": _additional,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique,
}
KEYWORDS = {
    name: _counted(check, _COSTS.get(name, 1))
    for name, check in {**Draft202012Validator.VALIDATORS, **_OWN}.items()
}

__all__ = ["KEYWORDS", "TooCostly", "is_pattern", "limited"]
