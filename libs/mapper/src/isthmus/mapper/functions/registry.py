"""How functions are declared: name, parameters, result, one sentence and one example that a test runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from isthmus.mapper.errors import Refusal
from isthmus.mapper.values import kind_of, sentence

Step = Callable[..., Any]
Builder = Callable[..., Step]


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of a function, as a definition writes it.

    `kind` is one of text, pattern, whole, number, any, values, choice, steps, condition, table, zone,
    format, path, cast.
    """

    name: str
    kind: str
    default: Any = REQUIRED
    low: int = -(10**9)
    high: int = 10**9
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A step, what goes in, and what comes out."""

    step: Any
    given: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language.

    Attributes:
        name: What a step calls it.
        group: Which chapter of the documentation it belongs to.
        doc: One sentence.
        params: Its arguments, in order.
        returns: Kind of the result: string, integer, number, boolean, timestamp, date, array, object, any.
        build: Makes the step from the arguments.
        example: Runs as a test and appears in the documentation.
        takes_null: Whether the step also sees null; others are skipped for it.
        needs_now: Whether the step takes the evaluation time as its second argument.
    """

    name: str
    group: str
    doc: str
    params: tuple[Param, ...]
    returns: str
    build: Builder = field(repr=False)
    example: Example
    takes_null: bool = False
    needs_now: bool = False


FUNCTIONS: dict[str, Function] = {}


def function(
    name: str,
    *params: Param,
    group: str,
    returns: str,
    example: tuple[Any, Any, Any],
    takes_null: bool = False,
    needs_now: bool = False,
) -> Callable[[Builder], Builder]:
    """Registers the decorated builder under a name; its docstring becomes the documentation."""

    def register(build: Builder) -> Builder:
        doc = " ".join((build.__doc__ or "").split())
        FUNCTIONS[name] = Function(
            name,
            group,
            doc,
            params,
            returns,
            build,
            Example(*example),
            takes_null=takes_null,
            needs_now=needs_now,
        )
        return build

    return register


def need_text(value: Any) -> str:
    """Returns a text and refuses everything else."""
    if isinstance(value, str):
        return value
    raise Refusal(
        "NOT_TEXT", sentence(f"{kind_of(value)} was met where a text is needed; cast it to string.")
    )


def need_list(value: Any) -> list[Any]:
    """Returns a list and refuses everything else."""
    if isinstance(value, list):
        return value
    raise Refusal("NOT_LIST", sentence(f"{kind_of(value)} was met where a list is needed; use as_list."))


def need_object(value: Any) -> dict[str, Any]:
    """Returns an object and refuses everything else."""
    if isinstance(value, dict):
        return value
    raise Refusal("NOT_OBJECT", sentence(f"{kind_of(value)} was met where an object is needed."))


def need_boolean(value: Any) -> bool:
    """Returns a boolean and refuses everything else."""
    if isinstance(value, bool):
        return value
    raise Refusal(
        "NOT_BOOLEAN",
        sentence(f"{kind_of(value)} was met where a check is needed; use equals or cast it."),
    )
