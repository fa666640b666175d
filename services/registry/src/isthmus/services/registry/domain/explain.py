"""Turns what a JSON Schema validator found into sentences with a remedy."""

import json
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from isthmus.resilience.faults import Violation
from isthmus.services.registry.domain.pointer import pointer
from isthmus.services.registry.domain.secrets import SECRET, found_secret
from jsonschema.exceptions import ValidationError

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_EXAMPLES = {
    "uri": "https://example.com/path",
    "email": "person@example.com",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "host.example.com",
    "uuid": "2f1b6f0e-6d0c-4d7f-9a1e-0f6f3c1b2a3d",
}


def explain(error: ValidationError) -> Iterator[Violation]:
    """Tell one finding; a choice between forms is told by the form that was most likely meant."""
    keyword = str(error.validator)
    path = pointer(error.absolute_path)
    if keyword == SECRET:
        yield found_secret(path)
    elif keyword in {"anyOf", "oneOf"}:
        yield from _explain_choice(error, path)
    else:
        reason, tell = _RULES.get(keyword, ("RULE_BROKEN", _any_rule))
        yield Violation(path, reason, tell(path or "the configuration", error))


def _explain_choice(error: ValidationError, path: str) -> Iterator[Violation]:
    forms: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        forms.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [found for found in forms.values() if not any(_is_other_form(inner, error) for inner in found)]
    if meant:
        for inner in min(meant, key=len):
            yield from explain(inner)
    elif error.context:
        message = f"`{path or 'the configuration'}` has none of the allowed forms: {_forms(error)}."
        yield Violation(path, "NO_FORM_FITS", message)
    else:
        yield Violation(
            path, "FORM_UNCLEAR", f"`{path}` fits more than one of the allowed forms; leave out fields."
        )


def _is_other_form(inner: ValidationError, choice: ValidationError) -> bool:
    """Tell whether a finding says that another form was meant: a wrong type or another tag."""
    depth = len(inner.absolute_path) - len(choice.absolute_path)
    return (inner.validator == "type" and depth == 0) or (inner.validator in {"const", "enum"} and depth <= 1)


def _forms(error: ValidationError) -> str:
    told: Any = error.validator_value
    forms = [form for form in told if isinstance(form, dict)]
    return ", ".join(dict.fromkeys(map(_form, forms)))


def _form(form: dict[str, Any]) -> str:
    if "const" in form or "enum" in form:
        return ", ".join(json.dumps(value) for value in form.get("enum", [form.get("const")]))
    name = form.get("title") or str(form.get("$ref", "")).rpartition("/")[2]
    return f"`{name}`" if name else _types(form.get("type", "another form"))


def _types(expected: Any) -> str:
    names = expected if isinstance(expected, list) else [expected]
    return " or ".join(_TYPES.get(str(name), str(name)) for name in names)


def _actual(value: Any) -> str:
    kinds = (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "null")


def _type(path: str, error: ValidationError) -> str:
    return f"Use {_types(error.validator_value)} for `{path}`; it is {_actual(error.instance)}."


def _required(path: str, _: ValidationError) -> str:
    return f"Set `{path}`; it is required."


def _unknown(path: str, error: ValidationError) -> str:
    known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
    near = get_close_matches(str(error.absolute_path[-1]), known, n=1)
    if near:
        return f"Remove `{path}`, which is not known here; did you mean `{near[0]}`?"
    return f"Remove `{path}`, which is not known here; there are {', '.join(sorted(known)) or 'none'}."


def _choice(path: str, error: ValidationError) -> str:
    told: Any = error.validator_value
    values = told if error.validator == "enum" else [told]
    return f"Use {' or '.join(json.dumps(value) for value in values)} for `{path}`."


def _limit(words: str) -> Callable[[str, ValidationError], str]:
    return lambda path, error: f"Use {words.format(error.validator_value)} for `{path}`."


def _format(path: str, error: ValidationError) -> str:
    name = str(error.validator_value)
    example = f", for example {_EXAMPLES[name]}" if name in _EXAMPLES else ""
    return f"Use a valid {name} for `{path}`{example}."


def _pattern(path: str, error: ValidationError) -> str:
    examples = error.schema.get("examples", []) if isinstance(error.schema, dict) else []
    if examples and isinstance(examples, list):
        return f"Use a text such as {json.dumps(examples[0])} for `{path}`."
    return f"Use a text that matches {error.validator_value} for `{path}`."


def _any_rule(path: str, error: ValidationError) -> str:
    return f"`{path}` breaks the rule `{error.validator}` of the connector's schema; see its documentation."


_RULES: dict[str, tuple[str, Callable[[str, ValidationError], str]]] = {
    "type": ("WRONG_TYPE", _type),
    "required": ("REQUIRED", _required),
    "additionalProperties": ("UNKNOWN_FIELD", _unknown),
    "enum": ("NOT_ALLOWED", _choice),
    "const": ("NOT_ALLOWED", _choice),
    "minimum": ("OUT_OF_RANGE", _limit("{} or more")),
    "maximum": ("OUT_OF_RANGE", _limit("{} or less")),
    "exclusiveMinimum": ("OUT_OF_RANGE", _limit("more than {}")),
    "exclusiveMaximum": ("OUT_OF_RANGE", _limit("less than {}")),
    "multipleOf": ("OUT_OF_RANGE", _limit("a multiple of {}")),
    "minLength": ("TOO_SHORT", _limit("at least {} characters")),
    "maxLength": ("TOO_LONG", _limit("at most {} characters")),
    "minItems": ("TOO_SHORT", _limit("at least {} elements")),
    "maxItems": ("TOO_LONG", _limit("at most {} elements")),
    "uniqueItems": ("NOT_UNIQUE", _limit("each element once only")),
    "pattern": ("WRONG_FORM", _pattern),
    "format": ("WRONG_FORM", _format),
}

__all__ = ["explain"]
