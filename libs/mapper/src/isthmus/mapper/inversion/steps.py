"""What undoes a step, or why nothing does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from isthmus.mapper.functions import FUNCTIONS, REQUIRED
from isthmus.mapper.tables import Table
from isthmus.mapper.values import text_of


class NotInvertible(Exception):
    """What a value was cannot be told from what became of it; the message says why and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Back:
    """The steps that lead back.

    Attributes:
        steps: As a definition writes them, the first to be done first.
        is_exact: Whether exactly the value comes back, not only another spelling of it.
    """

    steps: tuple[Any, ...]
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Own:
    """What a definition declares for its steps."""

    functions: Mapping[str, Any]
    tables: Mapping[str, Any]

    def table(self, raw: Any) -> Table:
        """A table by its name or as it is written out; it was found good before."""
        told = self.tables[raw] if isinstance(raw, str) else raw
        otherwise = "default" if "default" in told else told.get("otherwise", "reject")
        return Table(told["entries"], otherwise, told.get("default"), told.get("ignore_case", False))


Arguments = Mapping[str, Any]

_SAME: Final = Back(())
_WHOLE_TIME: Final = (("%Y", "%G"), ("%H", "%I"), ("%M",), ("%S",), ("%d", "%j"))
_KINDS: Final = frozenset({"string", "integer", "number", "boolean", "array", "object"})
_WORDS: Final = {"lower", "upper", "capitalize", "trim"}


def undo(step: Any, kind: str, own: Own) -> Back:
    """What undoes one step.

    Args:
        step: As the definition writes it.
        kind: JSON type of what it gets, as far as the source schema tells; empty where it does not.
        own: The definition's own functions and tables.

    Raises:
        NotInvertible: nothing does.
    """
    ((name, raw),) = step.items() if isinstance(step, dict) else ((step, REQUIRED),)
    if name in own.functions:
        return undo_all(own.functions[name], kind, own)
    if name == "map":
        inner = undo_all(_arguments(name, raw)["steps"], "", own)
        return Back(({"map": list(inner.steps)},) if inner.steps else (), inner.is_exact)
    if name == "lookup":
        return undo_table(own.table(raw), kind, None)
    found = _UNDOING.get(name)
    if found is None:
        why = "makes one spelling of many" if name in _WORDS else "does not tell what the value was before"
        hint = "give the way back a mapping of its own"
        raise NotInvertible("STEP_FORGETS", f"The step {name!r} {why}; {hint}.")
    return found(_arguments(name, raw), kind)


def undo_all(steps: Any, kind: str, own: Own) -> Back:
    """What undoes a chain of steps, from the last to the first.

    Raises:
        NotInvertible: one of them cannot be undone.
    """
    made: list[Any] = []
    is_exact = True
    for step in steps:
        back = undo(step, kind, own)
        made[:0] = back.steps
        is_exact = is_exact and back.is_exact
        kind = kind_after(step, kind, own)
    return Back(tuple(made), is_exact)


def kind_after(step: Any, kind: str, own: Own) -> str:
    """JSON type of what a step gives, where that is known."""
    name, argument = next(iter(step.items())) if isinstance(step, dict) else (step, None)
    if name in own.functions:
        for inner in own.functions[name]:
            kind = kind_after(inner, kind, own)
        return kind
    if name in {"add", "subtract"}:
        return kind
    told = FUNCTIONS[name].returns
    if name == "cast":
        told = (
            argument if isinstance(argument, str) else argument["type"] if isinstance(argument, dict) else ""
        )
    return "string" if told in {"timestamp", "date"} else told if told in _KINDS else ""


def undo_table(table: Table, kind: str, default: Any) -> Back:
    """The table that leads back, where each word has one of its own.

    Args:
        table: The table.
        kind: JSON type of what is looked up, as far as the source schema tells.
        default: What stands for null; the table takes it back to null.

    Raises:
        NotInvertible: two words become one, or words are not kept.
    """
    if table.ignore_case:
        raise NotInvertible("TABLE_IGNORES_CASE", "The table ignores case, which nothing brings back.")
    if table.otherwise != "reject":
        hint = "list all values and let the table reject others"
        raise NotInvertible(
            "TABLE_OPEN", f"What the table does not list cannot be told from what it does; {hint}."
        )
    entries: dict[str, Any] = {}
    for word, result in table.entries.items():
        if not isinstance(result, str | int | float):
            raise NotInvertible(
                "TABLE_NOT_INJECTIVE", f"The table makes no word of {word!r}, so nothing leads back."
            )
        text = text_of(result)
        if text in entries:
            both = f"{entries[text]!r} and {word!r}"
            raise NotInvertible(
                "TABLE_NOT_INJECTIVE", f"The table makes {text!r} of {both}; which it was is lost."
            )
        entries[text] = word
    if default is not None:
        if not isinstance(default, str | int | float) or text_of(default) in entries:
            hint = "default to a word that no entry gives, or leave the default out"
            message = f"The default cannot be told from what the entries give; {hint}."
            raise NotInvertible("DEFAULT_AMBIGUOUS", message)
        entries[text_of(default)] = None
    cast = ({"cast": kind},) if kind in {"integer", "boolean", "number"} else ()
    return Back(({"lookup": {"entries": entries}}, *cast))


def _arguments(name: str, raw: Any) -> Arguments:
    """The arguments of a step by name, however they are written."""
    params = FUNCTIONS[name].params
    defaults = {param.name: param.default for param in params if param.default is not REQUIRED}
    if raw is REQUIRED:
        return defaults
    names = [param.name for param in params]
    if isinstance(raw, dict) and raw.keys() <= set(names) and raw and params[0].kind != "table":
        return {**defaults, **raw}
    if isinstance(raw, list) and len(params) > 1:
        return {**defaults, **dict(zip(names, raw, strict=False))}
    return {**defaults, names[0]: raw} if names else defaults


def _only_text(kind: str) -> None:
    if kind not in {"", "string"}:
        raise NotInvertible(
            "TYPE_CHANGES", f"The step makes text of what is {kind}; cast it to string before it."
        )


def _prepend(arguments: Arguments, kind: str) -> Back:
    _only_text(kind)
    return Back(({"regex_replace": [f"^{re.escape(arguments['text'])}", ""]},))


def _append(arguments: Arguments, kind: str) -> Back:
    _only_text(kind)
    return Back(({"regex_replace": [f"{re.escape(arguments['text'])}\\z", ""]},))


def _cast(arguments: Arguments, kind: str) -> Back:
    to = arguments["to"]
    wanted, strictness = (
        (to, "lossless") if isinstance(to, str) else (to["type"], to.get("strictness", "lossless"))
    )
    if strictness == "lenient":
        raise NotInvertible(
            "CAST_FORGETS", "A lenient cast makes null of what it cannot read; cast lossless."
        )
    if wanted == kind:
        return _SAME
    if wanted == "timestamp":
        if kind in {"integer", "number"}:
            return Back(("to_epoch",), is_exact=False)
        return Back((), is_exact=False)
    scalars = {"string", "integer", "number", "boolean"}
    if wanted == "integer" and kind == "number":
        return Back((), is_exact=False)
    if wanted in scalars and kind in scalars:
        return Back(({"cast": kind},), is_exact=wanted == "string")
    if wanted in scalars and not kind:
        hint = "tell the field's type in source_schema"
        raise NotInvertible("TYPE_UNKNOWN", f"What was cast to {wanted} may have been of any type; {hint}.")
    raise NotInvertible("CAST_FORGETS", f"A cast to {wanted} does not keep all that the value was.")


def _parse_date(arguments: Arguments, _kind: str) -> Back:
    return Back(({"format_date": [arguments["format"], arguments["zone"]]},), is_exact=False)


def _format_date(arguments: Arguments, kind: str) -> Back:
    pattern = arguments["format"]
    months = ("%m", "%b", "%B", "%j")
    if not all(any(code in pattern for code in codes) for codes in (*_WHOLE_TIME, months)):
        hint = "write all of the time down to the second"
        raise NotInvertible("FORMAT_FORGETS", f"The format {pattern!r} leaves out parts of the time; {hint}.")
    after = ("to_epoch",) if kind in {"integer", "number"} else ()
    return Back(({"parse_date": [pattern, arguments["zone"]]}, *after), is_exact=False)


def _from_epoch(arguments: Arguments, _kind: str) -> Back:
    if arguments["unit"] != "s":
        raise NotInvertible("FORMAT_FORGETS", "Only whole seconds come back as a number of seconds.")
    return Back(("to_epoch",), is_exact=False)


def _choose(arguments: Arguments, kind: str) -> Back:
    if kind != "boolean":
        hint = "tell in source_schema that the field is a boolean"
        raise NotInvertible("TYPE_UNKNOWN", f"Only booleans come back from two words; {hint}.")
    table = Table({"true": arguments["then"], "false": arguments["else"]})
    return undo_table(table, "boolean", None)


def _whole(name: str) -> Callable[[Arguments, str], Back]:
    def back(arguments: Arguments, kind: str) -> Back:
        number = arguments["number"]
        if isinstance(number, float) or kind not in {"integer", "number"}:
            hint = "add whole numbers to a field whose type source_schema tells"
            raise NotInvertible("NUMBERS_ROUND", f"Numbers with a fraction are rounded; {hint}.")
        return Back(({name: number},), is_exact=kind == "integer")

    return back


def _steps(*steps: Any, exact: bool = True) -> Callable[[Arguments, str], Back]:
    return lambda _arguments, _kind: Back(steps, exact)


def _split(arguments: Arguments, kind: str) -> Back:
    _only_text(kind)
    return Back(({"join": arguments["separator"]},))


_UNDOING: Final[dict[str, Callable[[Arguments, str], Back]]] = {
    "add": _whole("subtract"),
    "append": _append,
    "cast": _cast,
    "choose": _choose,
    "format_date": _format_date,
    "from_epoch": _from_epoch,
    "not": _steps("not"),
    "parse_date": _parse_date,
    "parse_json": _steps("to_json", exact=False),
    "prepend": _prepend,
    "split": _split,
    "subtract": _whole("add"),
    "to_epoch": _steps("from_epoch", exact=False),
    "to_json": _steps("parse_json"),
    "to_utc": _steps(exact=False),
    "url_decode": _steps("url_encode", exact=False),
    "url_encode": _steps("url_decode"),
}
"""What undoes the steps of each function that can be undone."""
