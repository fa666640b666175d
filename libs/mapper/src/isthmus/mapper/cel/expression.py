"""An expression of a mapping: what it reads, how it gets into a plan, and what to say where it fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from isthmus.mapper.cel.codes import Code, Local, Unsupported, Variable
from isthmus.mapper.cel.environment import Checked
from isthmus.mapper.cel.failures import Culprit, Locator
from isthmus.mapper.cel.plain import plain
from isthmus.mapper.cel.program import Program, compile_expression
from isthmus.mapper.cel.quick import QuickGenerator
from isthmus.mapper.cel.reads import paths_read
from isthmus.mapper.cel.times import from_datetime
from isthmus.mapper.cel.tree import Ident, Loop, walk
from isthmus.mapper.cel.values import Failed, OverLimit, Timestamp
from isthmus.mapper.errors import Refusal
from isthmus.mapper.generation.lines import Lines
from isthmus.mapper.paths import RECORD, format_path

NOW = "now"
_NOT_BOOLEAN = "The condition is no boolean; compare it with something."


@lru_cache(maxsize=8)
def timestamp_of(now: datetime) -> Timestamp:
    """The evaluation time as CEL has it; a batch asks for the same one thousands of times."""
    return from_datetime(now)


class CelExpression:
    """A checked expression over the record or the element, and the evaluation time.

    Attributes:
        checked: The expression.
        variable: What it calls the object that it reads.
        paths: The members that it reads; an empty path where it reads the object as a whole.
        outer: What it calls the record around the element that it reads; empty where it does without.
        outer_paths: The members of that record that it reads.
    """

    def __init__(self, checked: Checked, variable: str, outer: str = "") -> None:
        self.checked = checked
        self.variable = variable
        self.paths = paths_read(checked.tree.root, variable)
        self.outer_paths = paths_read(checked.tree.root, outer) if outer else ()
        self.outer = outer if self.outer_paths else ""

    @property
    def text(self) -> str:
        """What its author wrote."""
        return self.checked.text

    @cached_property
    def tells_time(self) -> bool:
        """Whether its value is reckoned from the evaluation time; a boolean is a verdict and not counted."""
        nodes = walk(self.checked.tree.root)
        return self.checked.result != "bool" and any(isinstance(n, Ident) and n.name == NOW for n in nodes)

    @cached_property
    def loops(self) -> bool:
        """Whether there is a macro in it."""
        return any(isinstance(node, Loop) for node in walk(self.checked.tree.root))

    @cached_property
    def program(self) -> Program:
        """The expression by itself, for objects that are dictionaries."""
        return compile_expression(self.checked, self._variables)

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self.checked, self._variables)

    @cached_property
    def _variables(self) -> dict[str, str]:
        around = {self.outer: "dyn"} if self.outer else {}
        return {self.variable: "dyn", **around, NOW: "timestamp"}

    def _values(self, record: Any, now: datetime, outer: Any) -> dict[str, Any]:
        around = {self.outer: outer} if self.outer else {}
        return {self.variable: record, **around, NOW: timestamp_of(now)}

    def write(self, lines: Lines, record: Variable, now: str, outer: str = "") -> Code:
        """Adds the statements to a plan and gives the code of the value.

        Args:
            lines: Where they go.
            record: How generated code reads the object.
            now: The local name of the evaluation time.
            outer: The local name of the record around the object, where the expression reads that.

        Raises:
            Unsupported: only the library can evaluate it.
        """
        if self.program.run is None:
            raise Unsupported("The expression is not compiled.")
        told = lines.bind(timestamp_of, "f")
        moment = Local(Code(f"{told}({now})", "timestamp", is_safe=True))
        scope: dict[str, Variable] = {self.variable: record, NOW: moment}
        if self.outer:
            scope[self.outer] = Local(Code(outer, is_safe=True, is_simple=True))
        return QuickGenerator(lines, self.checked.tree, scope, self.checked.environment.functions).write()

    @staticmethod
    def plain(value: Any) -> Any:
        """A value as JSON."""
        return plain(value)

    def value(self, record: Any, now: datetime, outer: Any = None) -> Any:
        """The value for an object as JSON.

        Raises:
            Refusal: there is none.
        """
        values = self._values(record, now, outer)
        return self._refusing(values, lambda: plain(self.program.evaluate(values)))

    def holds(self, record: Any, now: datetime, outer: Any = None) -> bool:
        """Whether a condition holds for an object.

        Raises:
            Refusal: that cannot be said.
        """
        values = self._values(record, now, outer)
        return bool(self._refusing(values, lambda: _boolean(self.program.evaluate(values))))

    def again(self, record: Any, now: datetime, problem: Exception, outer: Any = None) -> Any:
        """The value where the plan's own code failed, which knows the usual case alone.

        Raises:
            Refusal: there is none.
        """
        return self._again(self._values(_plain(record), now, outer), problem, plain)

    def holds_again(self, record: Any, now: datetime, problem: Exception, outer: Any = None) -> bool:
        """Whether a condition holds where the plan's own code failed.

        Raises:
            Refusal: that cannot be said.
        """
        return bool(self._again(self._values(_plain(record), now, outer), problem, _boolean))

    def _again(self, values: dict[str, Any], problem: Exception, made: Callable[[Any], Any]) -> Any:
        def once_more() -> Any:
            if isinstance(problem, OverLimit):
                raise problem
            return made(self.program.evaluate(values))

        return self._refusing(values, once_more)

    def _refusing(self, values: dict[str, Any], give: Callable[[], Any]) -> Any:
        try:
            return give()
        except OverLimit as problem:
            raise self._refusal("EXPRESSION_TOO_COSTLY", f"{problem} Let it do less.", None) from None
        except Failed as problem:
            culprit = self._locator.culprit(values)
            message = str(problem).rstrip(".")
            raise self._refusal("EXPRESSION_FAILED", message, culprit) from None

    def _refusal(self, reason: str, message: str, culprit: Culprit | None) -> Refusal:
        if culprit is None:
            return Refusal(reason, f"The expression has no value: {message}")
        line, column = culprit.place
        where = f"character {column}" if line == 1 else f"line {line}, character {column}"
        hint = "Guard it with has() or write .? and orValue(), or mend the source."
        refusal = Refusal(reason, f"The expression has no value at {where}: {message}. {hint}")
        if culprit.path is not None:
            outer = (RECORD,) if culprit.variable == self.outer else ()
            refusal.located(format_path((*outer, *culprit.path)) or "$", culprit.value)
        return refusal


def _plain(record: Any) -> Any:
    return msgspec.to_builtins(record) if isinstance(record, msgspec.Struct) else record


def _boolean(value: Any) -> bool:
    if value.__class__ is bool:
        return bool(value)
    raise Failed(_NOT_BOOLEAN)
