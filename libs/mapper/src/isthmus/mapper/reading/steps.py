"""Reads steps: function names with arguments, tables, casts and the definition's own functions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.mapper.casts import CASTS
from isthmus.mapper.cel.limits import MAX_EXPRESSIONS
from isthmus.mapper.functions import FUNCTIONS, REQUIRED, Function, Param, plugins
from isthmus.mapper.limits import (
    MAX_BOUND_STEPS,
    MAX_PATTERNS,
    MAX_STEPS,
    MAX_TABLE_ENTRIES,
    SMALL_TEXT,
)
from isthmus.mapper.model import Step
from isthmus.mapper.paths import Path, lenient, reader
from isthmus.mapper.reading.arguments import INVALID, READERS
from isthmus.mapper.reading.expressions import RECORD, element
from isthmus.mapper.reading.outer import OfRecord, bound_to, record_reads, with_record
from isthmus.mapper.reading.report import Report, join
from isthmus.mapper.tables import OTHERWISE, Table

_CLEAN_KINDS = frozenset({"boolean", "integer", "timestamp", "date"})


@dataclass(slots=True)
class Scope:
    """What names mean while a definition is read."""

    report: Report
    tables: dict[str, Table] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)
    expanding: tuple[str, ...] = ()
    budget: int = MAX_BOUND_STEPS
    """How many steps may still be bound; functions that call functions multiply."""
    patterns: int = MAX_PATTERNS
    """How many patterns may still be compiled; each may take memory of its own."""
    expressions: int = MAX_EXPRESSIONS
    """How many expressions may still be compiled."""
    variable: str = RECORD
    """What expressions call the object that they read."""
    schema: dict[str, Any] | None = None
    """The JSON Schema of that object, where there is one."""

    @property
    def in_element(self) -> bool:
        """Whether what is read is the element of a list or a result, with a record around it or behind it."""
        return self.variable != RECORD

    def path(self, raw: object, place: str) -> Path:
        """Reads a path into the record or element."""
        return self.report.source(raw, place, in_element=self.in_element)


def read_steps(scope: Scope, raw: object, place: str) -> tuple[Step, ...]:
    """Reads a chain of steps."""
    steps: list[Step] = []
    for index, item in enumerate(scope.report.items(raw, place, MAX_STEPS, "a list of steps")):
        steps += read_step(scope, item, join(place, index))
    return tuple(steps)


def read_step(scope: Scope, raw: object, place: str) -> tuple[Step, ...]:
    """Reads one step; one of the definition's own functions gives all its steps."""
    scope.budget -= 1
    if scope.budget < 0:
        scope.report.add(place, "TOO_MANY", "The functions call one another too often; simplify them.")
        return ()
    if isinstance(raw, str):
        name, argument, where = raw, REQUIRED, place
    elif isinstance(raw, dict) and len(raw) == 1:
        ((name, argument),) = raw.items()
        where = join(place, name)
    else:
        scope.report.add(
            place, "STEP_INVALID", "A step is a name, or an object with one name: {replace: [old, new]}."
        )
        return ()
    if name in scope.functions:
        return _expand(scope, name, argument, where)
    function = FUNCTIONS.get(name) or _of_plugin(scope, name, where)
    if function is None:
        return ()
    step = bind(scope, function, argument, where)
    return () if step is None else (step,)


def _of_plugin(scope: Scope, name: str, place: str) -> Function | None:
    """The function of a plug-in, which has a dot in its name; `None` where there is none, which is noted."""
    brings, dot, _ = name.partition(".")
    known: Iterable[str] = (*FUNCTIONS, *scope.functions)
    if dot:
        problem = plugins.missing(brings, place)
        if problem is not None:
            scope.report.add(problem.path, problem.reason, problem.message)
            return None
        plugin = plugins.plugin(brings)
        assert plugin is not None
        if name in plugin.functions:
            scope.report.plugins[brings] = plugin.version
            return plugin.functions[name]
        known = plugin.functions
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else "docs/functions.md lists all functions."
    scope.report.add(place, "FUNCTION_UNKNOWN", f"There is no function {name[:60]!r}; {hint}")
    return None


def _expand(scope: Scope, name: str, argument: object, place: str) -> tuple[Step, ...]:
    if argument is not REQUIRED:
        scope.report.add(
            place, "ARGUMENT_INVALID", f"{name!r} is one of your own functions and takes no arguments."
        )
        return ()
    if name in scope.expanding:
        chain = " → ".join((*scope.expanding, name))
        scope.report.add(place, "FUNCTION_CYCLE", f"The functions call one another in a circle: {chain}.")
        return ()
    scope.expanding = (*scope.expanding, name)
    steps = read_steps(scope, scope.functions[name], join("/transformations/functions", name))
    scope.expanding = scope.expanding[:-1]
    return steps


def bind(scope: Scope, function: Function, raw: object, place: str) -> Step | None:
    """Binds arguments to a function; `None` where they are wrong, which is noted."""
    scope.patterns -= any(param.kind == "pattern" for param in function.params)
    if scope.patterns < 0:
        scope.report.add(
            place, "TOO_MANY", f"A definition has at most {MAX_PATTERNS} patterns; join them with |."
        )
        return None
    arguments = _assign(scope, function, raw, place)
    if arguments is None or any(argument is INVALID for argument in arguments):
        return None
    reads = record_reads(arguments)
    try:
        call = function.build(*(one.given({}) if isinstance(one, OfRecord) else one for one in arguments))
    except (ValueError, OverflowError) as problem:
        scope.report.add(place, "ARGUMENT_INVALID", str(problem))
        return None
    if reads:
        call = with_record(function.build, arguments, needs_now=function.needs_now)
    outcomes = _outcomes(function.name, arguments)
    returns = function.kind
    if function.name == "cast":
        returns = CASTS[arguments[0][0]].kind
    small = outcomes is not None and all(map(_is_small, outcomes))
    return Step(
        name=function.name,
        call=call,
        returns=returns,
        takes_null=function.takes_null,
        needs_now=function.needs_now,
        clean=returns in _CLEAN_KINDS or small,
        outcomes=outcomes,
        argument=arguments[0] if len(arguments) == 1 else None,
        fast=function.name != "cast" or arguments[0][1] == "lossless",
        nullable=_is_nullable(function, arguments, outcomes),
        record_reads=reads,
    )


def _outcomes(name: str, arguments: list[Any]) -> tuple[Any, ...] | None:
    if name == "choose":
        return tuple(arguments)
    if name == "lookup":
        table: Table = arguments[0]
        return table.outcomes
    return None


def _is_nullable(function: Function, arguments: list[Any], outcomes: tuple[Any, ...] | None) -> bool:
    """Whether the step may give null although it got a value."""
    if function.name == "cast":
        name, strictness = arguments[0]
        return bool(strictness == "lenient" or name == "json")
    if outcomes is not None:
        table = arguments[0]
        return None in outcomes or (isinstance(table, Table) and table.otherwise == "null")
    return function.returns == "any" or function.nullable


def _is_small(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= SMALL_TEXT
    return value is None or isinstance(value, bool | int | float)


def _assign(scope: Scope, function: Function, raw: object, place: str) -> list[Any] | None:
    """Gives each parameter its argument: one by itself, several as a list or by name."""
    params = function.params
    given: dict[str, object] = {}
    places: dict[str, str] = {}
    if raw is REQUIRED:
        pass
    elif not params:
        scope.report.add(
            place, "ARGUMENT_INVALID", f"{function.name!r} takes no arguments; write its name alone."
        )
        return None
    elif len(params) == 1:
        given, places = {params[0].name: raw}, {params[0].name: place}
    elif isinstance(raw, list):
        if len(raw) > len(params):
            scope.report.add(place, "ARGUMENT_INVALID", _usage(function))
            return None
        for index, (param, item) in enumerate(zip(params, raw, strict=False)):
            given[param.name], places[param.name] = item, join(place, index)
    elif isinstance(raw, dict):
        given = scope.report.members(raw, place, [param.name for param in params])
        places = {name: join(place, name) for name in given}
    else:
        given, places = {params[0].name: raw}, {params[0].name: place}
    arguments = []
    for param in params:
        if param.name in given:
            arguments.append(read_argument(scope, param, given[param.name], places[param.name]))
        elif param.default is REQUIRED:
            scope.report.add(place, "ARGUMENT_MISSING", _usage(function))
            return None
        else:
            default = param.default
            arguments.append(default if default is None else read_argument(scope, param, default, place))
    return arguments


def _usage(function: Function) -> str:
    names = ", ".join(p.name if p.default is REQUIRED else f"{p.name} (optional)" for p in function.params)
    return f"{function.name!r} takes {names or 'no arguments'}."


def read_argument(scope: Scope, param: Param, raw: object, place: str) -> Any:
    """Reads one argument by the kind of its parameter; `INVALID` where it is wrong, which is noted."""
    read = READERS.get(param.kind)
    if read is not None:
        return read(scope.report, param, raw, place)
    return _READERS[param.kind](scope, param, raw, place)


def _steps(scope: Scope, _param: Param, raw: object, place: str) -> Any:
    chain = raw if isinstance(raw, list) else [raw]
    steps = read_steps(scope, chain, place)
    reads = tuple(path for step in steps for path in step.record_reads)
    if reads:
        return OfRecord(lambda record: run_steps(tuple(bound_to(step, record) for step in steps)), reads)
    return run_steps(steps)


def run_steps(steps: tuple[Step, ...]) -> Callable[[Any, datetime], Any]:
    """One function that runs a chain; null skips every step that does not ask for it."""
    plain = tuple((step.call, step.takes_null, step.needs_now) for step in steps)
    if len(steps) == 1 and not steps[0].takes_null and not steps[0].needs_now:
        only = steps[0].call
        return lambda value, _now: None if value is None else only(value)

    def run(value: Any, now: datetime) -> Any:
        for call, takes_null, needs_now in plain:
            if value is not None or takes_null:
                value = call(value, now) if needs_now else call(value)
        return value

    return run


def _condition(scope: Scope, _param: Param, raw: object, place: str) -> Any:
    from isthmus.mapper.lineage import condition_record_reads
    from isthmus.mapper.reading.conditions import predicate, predicate_in_record, read_condition

    with element(scope):
        condition = read_condition(scope, raw, place)
    if condition is None:
        return INVALID
    reads = condition_record_reads(condition)
    return OfRecord(predicate_in_record(condition), reads) if reads else predicate(condition)


def _table(scope: Scope, _param: Param, raw: object, place: str) -> Any:
    if isinstance(raw, str):
        if raw in scope.tables:
            return scope.tables[raw]
        near = difflib.get_close_matches(raw, scope.tables, 1)
        hint = f"did you mean {near[0]!r}?" if near else "declare it under transformations.tables."
        scope.report.add(place, "TABLE_UNKNOWN", f"There is no table {raw[:60]!r}; {hint}")
        return INVALID
    table = read_table(scope.report, raw, place)
    return INVALID if table is None else table


def read_table(report: Report, raw: object, place: str) -> Table | None:
    """Reads a table written out: `entries`, and `default` or `otherwise` for unknown values."""
    before = len(report.violations)
    members = report.members(raw, place, ("entries", "default", "otherwise", "ignore_case"), ("entries",))
    entries = members.get("entries", {})
    if not isinstance(entries, dict):
        report.wrong_type(join(place, "entries"), "an object", entries)
    elif len(entries) > MAX_TABLE_ENTRIES:
        report.add(join(place, "entries"), "TOO_MANY", f"A table has at most {MAX_TABLE_ENTRIES} entries.")
    if "default" in members and "otherwise" in members:
        report.add(place, "MEMBERS_EXCLUDE", "Give either default or otherwise, not both.")
    otherwise = "default" if "default" in members else "reject"
    if "otherwise" in members:
        otherwise = report.choice(members["otherwise"], join(place, "otherwise"), OTHERWISE)
    ignore_case = report.flag(members.get("ignore_case", False), join(place, "ignore_case"))
    if ignore_case and isinstance(entries, dict) and len({k.casefold() for k in entries}) < len(entries):
        report.add(
            join(place, "entries"),
            "ENTRY_TWICE",
            "Two entries differ only in case, which this table ignores.",
        )
    if len(report.violations) > before:
        return None
    return Table(entries, otherwise, members.get("default"), ignore_case)


def _path(scope: Scope, _param: Param, raw: object, place: str) -> Any:
    return lenient(reader(scope.report.path(raw, place)))


_READERS: dict[str, Callable[[Scope, Param, object, str], Any]] = {
    "steps": _steps,
    "condition": _condition,
    "table": _table,
    "path": _path,
}
