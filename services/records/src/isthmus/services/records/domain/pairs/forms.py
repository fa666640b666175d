"""Records in the form in which both sides of a flow are compared.

A member that is null says the same as one that is absent: systems differ in which of the two they
send. Lists are compared as a whole.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from isthmus.resilience.faults import FixRequest

Form = dict[str, Any]

_decode = msgspec.json.Decoder(Form).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def load(text: str | bytes | None) -> Form | None:
    """Read a stored form; None where there is no record."""
    return None if text is None else _decode(text)


def dump(form: Form | None) -> str | None:
    """Write a form for the store; None where there is no record."""
    return None if form is None else _encode(form).decode()


def parse(text: str) -> Form:
    """Read a record that a person wrote.

    Raises:
        FixRequest: `RECORD_INVALID`, it is no JSON object.
    """
    try:
        return tidy(_decode(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f"Send the record as a JSON object ({error})."
        raise FixRequest("RECORD_INVALID", message, path="record") from error


def tidy(form: Form) -> Form:
    """Leave out members that are null, at every depth of objects."""
    return {name: _tidy(value) for name, value in form.items() if value is not None}


def _tidy(value: Any) -> Any:
    return tidy(value) if isinstance(value, dict) else value


def same(one: Any, other: Any) -> bool:
    """Tell whether two values say the same; `1` and `1.0` do, `1` and `true` do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one.get(name), other.get(name)) for name in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def digest(*parts: Form | str | None) -> str:
    """Give a short mark that is equal for what says the same."""
    marks = [part if isinstance(part, str) else _encode(part and tidy(part)).decode() for part in parts]
    return hashlib.sha256("\x1e".join(marks).encode()).hexdigest()[:32]


def differences(one: Form, other: Form, path: str = "") -> Iterator[str]:
    """Name the dotted paths at which two forms disagree, in alphabetical order."""
    for name in sorted(one.keys() | other.keys()):
        here, there = one.get(name), other.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            yield from differences(here, there, f"{path}{name}.")
        elif not same(here, there):
            yield f"{path}{name}"


def merge(base: Form, one: Form, other: Form, choose: Callable[[str], bool], path: str = "") -> Form:
    """Put the changes of two sides together, field by field.

    Args:
        base: What both held before.
        one: What one side holds now.
        other: What the other side holds now.
        choose: Asked for each field that both have changed differently; True takes `one`.
        path: Where the forms stand, ending in a dot.
    """
    merged: Form = {}
    for name in sorted(one.keys() | other.keys()):
        value = _merged(base.get(name), one.get(name), other.get(name), choose, f"{path}{name}")
        if value is not None:
            merged[name] = value
    return merged


def _merged(base: Any, one: Any, other: Any, choose: Callable[[str], bool], path: str) -> Any:
    if same(one, other) or same(one, base):
        return other
    if same(other, base):
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return merge(base if isinstance(base, dict) else {}, one, other, choose, f"{path}.")
    return one if choose(path) else other


def with_value(form: Form, path: str, value: Any) -> Form:
    """Give a copy in which the field at a dotted path has a value."""
    name, _, rest = path.partition(".")
    inner = form.get(name)
    if rest:
        value = with_value(inner if isinstance(inner, dict) else {}, rest, value)
    return {**form, name: value}


def at(form: Form, path: str) -> Any:
    """Give the value at a dotted path; None where there is none."""
    value: Any = form
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def emptied(wanted: Form, present: Form | None) -> Form:
    """Say null for members that a side holds and is not to hold any more.

    Systems that change only what they are sent would keep them otherwise.
    """
    filled = dict(wanted)
    for name, value in (present or {}).items():
        if name not in wanted:
            filled[name] = None
        elif isinstance(value, dict) and isinstance(wanted[name], dict):
            filled[name] = emptied(wanted[name], value)
    return filled


__all__ = [
    "Form",
    "at",
    "differences",
    "digest",
    "dump",
    "emptied",
    "load",
    "merge",
    "parse",
    "same",
    "tidy",
    "with_value",
]
