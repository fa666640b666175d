"""The formats of JSON Schema 2020-12, section 7.3 of its validation part, as far as they can be checked."""

from datetime import timedelta

from jsonschema import Draft202012Validator, FormatChecker
from pydantic import TypeAdapter

FORMATS = FormatChecker(formats=())
FORMATS.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)

_SPAN = TypeAdapter(timedelta)


@FORMATS.checks("duration", raises=ValueError)
def _is_duration(instance: object) -> bool:
    """Check a span as ISO 8601 writes it; Pydantic would take `1:30` as well."""
    if not isinstance(instance, str):
        return True
    _SPAN.validate_python(instance)
    return instance.startswith("P")


__all__ = ["FORMATS"]
