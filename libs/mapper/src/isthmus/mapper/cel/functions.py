"""Functions of this product and of plug-ins for expressions, besides those of the language.

A function of the library that names a form for expressions is called with the value as first operand and
its arguments behind it, and does what its step does. The library checks calls by its signatures, both
evaluators call the same Python function, and both refuse the same operands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from isthmus.mapper.cel.builtins import Builtin
from isthmus.mapper.cel.operators import span
from isthmus.mapper.cel.times import parse_timestamp, to_datetime
from isthmus.mapper.cel.values import HIGHEST, Duration, Failed, Timestamp, UInt, no_overload
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions import FUNCTIONS, REQUIRED, Function, plugins
from isthmus.mapper.reading.report import Report
from isthmus.mapper.reading.steps import Scope, bind
from isthmus.mapper.values import clean

_ANY = ("bool", "int", "uint", "double", "string", "list", "map")
_TAKES: dict[str, tuple[str, ...]] = {
    "string": ("string",),
    "number": ("int", "double"),
    "integer": ("int",),
    "boolean": ("bool",),
    "time": ("timestamp", "string"),
    "span": ("duration", "int", "double"),
    "array": ("list",),
    "object": ("map",),
    "any": _ANY,
}
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("text", "pattern", "zone", "format", "choice"), ("string",)),
    **dict.fromkeys(("texts", "formats"), ("string", "list")),
    "time": ("timestamp", "string"),
    "whole": ("int",),
    "number": ("int", "double"),
    "values": ("list",),
    "members": ("map",),
    "any": (*_ANY, "null"),
}
_GIVES = {
    **dict.fromkeys(("string", "date"), "string"),
    "integer": "int",
    "number": "double",
    "boolean": "bool",
    "timestamp": "timestamp",
    "span": "duration",
    "array": "list",
    "object": "map",
    "any": "dyn",
}
_KIND_OF: dict[type, str] = {
    bool: "bool",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    Timestamp: "timestamp",
    Duration: "duration",
    UInt: "uint",
    type(None): "null",
}
_SECOND = 10**9
_KEPT = 16
"""How many ways of calling a function are kept ready; arguments that are members of a record vary."""
_LONGEST_KEPT = 500


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """One function.

    Attributes:
        name: What expressions call it; a dot makes a namespace.
        overloads: CEL types of the operands, the target first, for each way of calling it.
        returns: CEL type of the result.
        call: Takes values as `isthmus.mapper.cel.values` tells; it checks their types and never changes them.
        grows: Whether its result may be much larger than its operands.
        is_member: Whether the first operand stands in front of a dot.
    """

    name: str
    overloads: tuple[tuple[str, ...], ...]
    returns: str
    call: Callable[..., Any]
    grows: bool = False
    is_member: bool = False

    @property
    def builtin(self) -> Builtin:
        """How generated code calls it; what it costs is not known, so it counts as heavy."""
        return Builtin(self.call, self.returns, is_heavy=True, grows=self.grows)


def own(function: Function) -> OwnFunction:
    """The form for expressions of a function that has one."""
    overloads = overloads_of(function)
    returns = "dyn" if function.nullable else _GIVES[function.returns]
    return OwnFunction(function.cel, overloads, returns, _called(function, overloads), grows=function.grows)


def overloads_of(function: Function) -> tuple[tuple[str, ...], ...]:
    """The CEL types of all ways of calling a function; arguments with a default may be left out."""
    needed = sum(param.default is REQUIRED for param in function.params)
    kinds = [_TAKES[function.takes], *(_ARGUMENTS[param.kind] for param in function.params)]
    counts = range(needed + 1, len(kinds) + 1)
    return tuple(overload for count in counts for overload in product(*kinds[:count]))


def _called(function: Function, overloads: tuple[tuple[str, ...], ...]) -> Callable[..., Any]:
    taken = frozenset(overloads)
    given = _RESULTS.get(function.returns, _cleaned)
    ready = lru_cache(_KEPT, typed=True)(lambda *arguments: _bound(function, arguments))

    def called(*values: Any) -> Any:
        if tuple(map(_kind, values)) not in taken:
            raise no_overload(function.cel, *values)
        value, *arguments = values
        try:
            step = ready(*arguments) if all(map(_is_short, arguments)) else _bound(function, arguments)
            made = step(_told(value))
            return None if made is None else given(made)
        except Refusal as refusal:
            raise Failed(refusal.message) from None
        except Failed:
            raise
        except Exception as problem:
            raise Failed(f"{function.cel} cannot use the value ({type(problem).__name__}).") from None

    return called


def _kind(value: Any) -> str:
    if value.__class__ is int:
        return "int" if value <= HIGHEST else "uint"
    return _KIND_OF.get(value.__class__, "")


def _is_short(argument: Any) -> bool:
    """Whether a way of calling may be kept under the argument."""
    kind = argument.__class__
    return len(argument) <= _LONGEST_KEPT if kind is str else kind in {int, float, bool}


def _bound(function: Function, arguments: Any) -> Callable[[Any], Any]:
    """The step with these arguments, which are read as a definition's are."""
    report = Report()
    raw: Any = [_told(argument) for argument in arguments] or REQUIRED
    if raw is not REQUIRED and len(function.params) == 1:
        raw = raw[0]
    step = bind(Scope(report), function, raw, "")
    if step is None:
        raise Failed(report.violations[0].message)
    return step.call


def _told(value: Any) -> Any:
    """A value as steps take it."""
    kind = value.__class__
    if kind is str:
        return value
    if kind is Timestamp:
        return to_datetime(value)
    if kind is Duration:
        return value.nanoseconds / _SECOND
    return clean(value, [0])


def _cleaned(made: Any) -> Any:
    return clean(made, [0])


def _integer(made: Any) -> int:
    if made > HIGHEST:
        raise Failed("The result does not fit 64 bits with a sign.")
    return int(made)


_RESULTS: dict[str, Callable[[Any], Any]] = {
    "boolean": bool,
    "number": float,
    "integer": _integer,
    "timestamp": parse_timestamp,
    "span": lambda seconds: span(round(seconds * _SECOND)),
}


def of_plugins(names: tuple[str, ...]) -> tuple[OwnFunction, ...]:
    """The functions for expressions that these plug-ins bring, as far as they can be used."""
    brought = (plugins.plugin(name) for name in names)
    return tuple(function for plugin in brought if plugin is not None for function in _of_plugin(plugin))


@lru_cache(maxsize=64)
def _of_plugin(plugin: plugins.Plugin) -> tuple[OwnFunction, ...]:
    return tuple(own(function) for function in plugin.functions.values() if function.cel)


OWN: tuple[OwnFunction, ...] = tuple(own(function) for function in FUNCTIONS.values() if function.cel)
"""All of the product; whatever is added to its library with a form for expressions is known to every one."""
