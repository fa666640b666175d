"""Expressions ready to be evaluated: compiled to Python where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.cel.codes import Code, Local, Unsupported
from isthmus.mapper.cel.environment import Checked
from isthmus.mapper.cel.generator import Generator
from isthmus.mapper.cel.limits import MAX_ASKED, MAX_COST
from isthmus.mapper.cel.namespace import weigh
from isthmus.mapper.cel.reference import Unaskable, evaluate
from isthmus.mapper.cel.tameness import copies
from isthmus.mapper.cel.values import Failed, OverLimit
from isthmus.mapper.generation.lines import Lines

Run = Callable[[Mapping[str, Any], list[int]], Any]


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that can be evaluated.

    Attributes:
        checked: The expression.
        run: The compiled function; `None` where only the library can evaluate it.
        copies: How many times as large as what goes in a value on the way can be.
    """

    checked: Checked
    run: Run | None
    copies: int

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value for these variables.

        Raises:
            Failed: there is none.
            OverLimit: it would cost too much to say.
        """
        if self.run is None:
            return self.again(values, Failed("The expression cannot be evaluated."))
        try:
            return self.run(values, [0, MAX_COST])
        except OverLimit:
            raise
        except Exception as problem:
            return self.again(values, problem)

    def again(self, values: Mapping[str, Any], problem: Exception) -> Any:
        """What the library says to an expression that failed in the compiled form.

        Raises:
            Failed: there is no value.
            OverLimit: the library gave up.
        """
        if self._may_ask(values):
            try:
                return evaluate(self.checked, values)
            except (Unaskable, RecursionError):
                pass
        if isinstance(problem, Failed):
            raise problem
        told = str(problem) if isinstance(problem, KeyError | ZeroDivisionError) else type(problem).__name__
        raise Failed(f"The expression has no value: {told[:100]}.") from None

    def _may_ask(self, values: Mapping[str, Any]) -> bool:
        """Whether the library, which bounds turns of loops and nothing else, makes nothing large of these."""
        try:
            weight = sum(map(weigh, values.values())) + len(self.checked.text)
        except RecursionError:
            return False
        return (self.copies + 1) * weight <= MAX_ASKED


def compile_expression(checked: Checked, variables: Mapping[str, str]) -> Program:
    """Makes a program of a checked expression.

    Args:
        checked: The expression.
        variables: The types of its variables; values of a type other than `dyn` are of that type for sure.
    """
    try:
        run: Run | None = _compiled(checked, variables)
    except (Unsupported, RecursionError):
        run = None
    return Program(checked, run, copies(checked.tree.root, checked.environment.functions))


def _compiled(checked: Checked, variables: Mapping[str, str]) -> Run:
    lines = Lines()
    with lines.block("def run(s, m):"):
        places = {}
        for name, kind in variables.items():
            local = lines.name("v")
            lines.add(f"{local} = s[{lines.bind(name)}]")
            places[name] = Local(Code(local, kind, is_safe=True, is_simple=True))
        made = Generator(lines, checked.tree, places, checked.environment.functions).write()
        lines.add(f"return {made.text}")
    run: Run = lines.function_named("run")
    return run
