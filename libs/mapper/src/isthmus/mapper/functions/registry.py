"""How functions are declared: name, parameters, result, one sentence and examples that a test runs.

One declaration serves both forms: a step of a mapping, and, where it names one, a function of expressions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from isthmus.mapper.casts import in_range
from isthmus.mapper.errors import Refusal
from isthmus.mapper.values import kind_of, sentence

Step = Callable[..., Any]
Builder = Callable[..., Step]


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()

TAKES = ("string", "number", "integer", "boolean", "time", "span", "array", "object", "any")
"""What kinds of values functions take: a `time` is a timestamp or text, a `span` seconds or a duration."""
GIVES = ("string", "integer", "number", "boolean", "timestamp", "date", "span", "array", "object", "any")
"""What kinds of values functions give: a `span` is seconds to a mapping, and a duration to an expression."""


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of a function, as a definition writes it.

    `kind` is one of text, texts (one or a list), pattern, whole, number, any, values, members, choice, steps,
    condition, table, zone, time, format, formats, path, cast. Those that name parts of a definition (steps,
    condition, table, path, cast) have no form in expressions.
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
        area: Which chapter of the documentation it belongs to.
        doc: One sentence, or a few.
        params: Its arguments, in order.
        returns: Kind of the result, one of `GIVES`.
        build: Makes the step from the arguments.
        examples: Run as tests, the first of them in both forms, and appear in the documentation.
        takes: Kind of the value it works on, one of `TAKES`.
        cel: What expressions call it; empty where they have no use for it.
        takes_null: Whether the step also sees null; others are skipped for it.
        needs_now: Whether the step takes the evaluation time as its second argument.
        nullable: Whether it may give null for a value.
        grows: Whether its result may be many times as large as its operands together.
        since: The first version that has it.
        plugin: The plug-in it comes from; empty for those of the product.
    """

    name: str
    area: str
    doc: str
    params: tuple[Param, ...]
    returns: str
    build: Builder = field(repr=False)
    examples: tuple[Example, ...]
    takes: str = "any"
    cel: str = ""
    takes_null: bool = False
    needs_now: bool = False
    nullable: bool = False
    grows: bool = False
    since: str = "0.1"
    plugin: str = ""

    @property
    def example(self) -> Example:
        """The first of its examples."""
        return self.examples[0]

    @property
    def kind(self) -> str:
        """Kind of the step's result: spans are numbers to a mapping."""
        return "number" if self.returns == "span" else self.returns


class Library:
    """Functions that are declared together: the product's own, or those of a plug-in."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}

    def function(
        self,
        name: str,
        *params: Param,
        area: str,
        returns: str,
        example: tuple[Any, Any, Any],
        also: tuple[tuple[Any, Any, Any], ...] = (),
        **traits: Any,
    ) -> Callable[[Builder], Builder]:
        """Declares the decorated builder under a name; its docstring becomes the documentation.

        Args:
            name: What a step calls it.
            params: Its arguments, in order.
            area: The chapter of the documentation.
            returns: Kind of the result.
            example: A step, a value for it, and what it gives; run by a test in both forms.
            also: More examples, run as steps.
            traits: The other attributes of `Function`: `takes`, `cel`, `nullable` and so on.
        """
        if returns not in GIVES or traits.get("takes", "any") not in TAKES:
            raise ValueError(f"Function {name!r} takes or gives a kind of value that there is not.")

        def register(build: Builder) -> Builder:
            self.functions[name] = Function(
                name=name,
                area=area,
                doc=" ".join((build.__doc__ or "").split()),
                params=params,
                returns=returns,
                build=build,
                examples=tuple(Example(*each) for each in (example, *also)),
                **traits,
            )
            return build

        return register

    def named(self, plugin: str) -> dict[str, Function]:
        """The functions by their names with the plug-in's in front: `initials` becomes `acme.initials`."""
        return {
            f"{plugin}.{name}": replace(
                function,
                name=f"{plugin}.{name}",
                cel=f"{plugin}.{function.cel}" if function.cel else "",
                examples=tuple(_under(plugin, name, example) for example in function.examples),
                plugin=plugin,
            )
            for name, function in self.functions.items()
        }


def _under(plugin: str, name: str, example: Example) -> Example:
    """An example that calls a plug-in's function by its full name."""
    step = f"{plugin}.{name}" if example.step == name else {f"{plugin}.{name}": example.step[name]}
    return replace(example, step=step)


LIBRARY: Final = Library()
"""The functions of the product."""
FUNCTIONS: Final = LIBRARY.functions
function = LIBRARY.function


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


def need_number(value: Any) -> int | float:
    """Returns a finite number of at most 64 bits and refuses everything else, texts too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("NOT_NUMBER", sentence(f"{kind_of(value)} was met where a number is needed; cast it."))
    return checked_number(value)


def checked_number(value: int | float) -> int | float:
    """Returns a number that can be stored and refuses others."""
    if isinstance(value, int):
        return in_range(value)
    if not math.isfinite(value):
        raise Refusal("NUMBER_OUT_OF_RANGE", "The number is not finite.")
    return value
