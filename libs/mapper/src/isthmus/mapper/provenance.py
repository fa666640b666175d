"""What every target field is made of: source paths, functions, tables, constants, expressions, conditions.

A plan's `lineage` says which paths a field reads, which is what hosts need. This tells the whole story of a
field, for people; it reads the definition anew and is of no use to whoever maps records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.mapper.errors import MappingInvalid
from isthmus.mapper.lineage import field_reads, located, tells_time, value_reads
from isthmus.mapper.model import NOTHING, Block, Choose, Coalesce, Concat, Field, Items, Value
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.reading.values import ORIGINS

_WRITTEN_OUT = "(written in place)"
_NESTED_STEPS = ("map",)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What one target field is made of.

    Attributes:
        target: Its path; elements of a list stand as `[*]`.
        origin: The member of the field mapping that says where its value comes from, such as `source`.
        sources: Source paths that its value is made from.
        conditions: Source paths that only decide whether it is there or which value it gets.
        functions: Functions that its value goes through, in order; those that the mapping names itself
            stand before what they consist of.
        tables: Names of the tables it is looked up in; one without a name stands as written in place.
        constants: What does not come from the record: constants, templates, defaults.
        expressions: CEL expressions, as they are written.
        is_required: Whether a record without it is rejected.
        has_default: Whether something stands in for a missing value.
        tells_time: Whether it depends on the evaluation time.
        place: JSON pointer to its field mapping.
    """

    target: str
    origin: str
    sources: tuple[str, ...]
    conditions: tuple[str, ...]
    functions: tuple[str, ...]
    tables: tuple[str, ...]
    constants: tuple[Any, ...]
    expressions: tuple[str, ...]
    is_required: bool
    has_default: bool
    tells_time: bool
    place: str


def provenance_of(definition: Mapping[str, Any]) -> tuple[Provenance, ...]:
    """Tells of every target field what it is made of, in the order of the definition.

    Raises:
        MappingInvalid: the definition cannot be read.
    """
    raw, report = dict(definition), Report()
    read = read_definition(raw, report)
    report.finish()
    if read is None:
        raise MappingInvalid(())
    shared = raw.get("transformations", {})
    return tuple(_of_block(read.block, raw, shared.get("functions", {}), (), read.inside))


def _of_block(
    block: Block, raw: Any, chains: Mapping[str, Any], target: Path, source: Path
) -> Iterator[Provenance]:
    for one in block.fields:
        at = (*target, *one.target)
        yield _of_field(one, _at(raw, one.place), chains, at, source)
        origin = one.value.origin
        if isinstance(origin, Items):
            inside = (*located(source, origin.path), EACH)
            yield from _of_block(origin.block, raw, chains, (*at, EACH), inside)


def _of_field(one: Field, raw: Any, chains: Mapping[str, Any], target: Path, source: Path) -> Provenance:
    told = _Told(chains)
    told.value(raw)
    sources = tuple(dict.fromkeys(format_path(located(source, path)) for path in _made_from(one.value)))
    reads = tuple(dict.fromkeys(format_path(located(source, read.path)) for read in field_reads(one)))
    is_list = isinstance(one.value.origin, Items)
    return Provenance(
        target=format_path(target),
        origin=next((name for name in ORIGINS if name in raw), ""),
        sources=sources,
        conditions=() if is_list else tuple(path for path in reads if path not in sources),
        functions=tuple(told.functions),
        tables=tuple(dict.fromkeys(told.tables)),
        constants=tuple(told.constants),
        expressions=tuple(told.expressions),
        is_required=one.required,
        has_default=one.value.default is not NOTHING,
        tells_time=tells_time(one.value),
        place=one.place,
    )


def _made_from(value: Value) -> Iterator[Path]:
    """The paths whose values go into a value; what only chooses between values is left out."""
    match value.origin:
        case Choose(cases=cases, otherwise=otherwise):
            for part in (*(part for _, part in cases), *((otherwise,) if otherwise is not None else ())):
                yield from _made_from(part)
        case Concat(values=values) | Coalesce(values=values):
            for part in values:
                yield from _made_from(part)
        case Items(path=path):
            yield path
        case _:
            yield from (read.path for read in value_reads(value))


def _at(raw: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        raw = raw[int(name)] if isinstance(raw, list) else raw[name]
    return raw


@dataclass(slots=True)
class _Told:
    """What a field mapping says, read as it is written, because a compiled one has no names any more."""

    chains: Mapping[str, Any]
    functions: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    expressions: list[str] = field(default_factory=list)

    def value(self, raw: Any) -> None:
        """Takes note of a value and of all that it consists of."""
        if not isinstance(raw, dict):
            return
        self._origin(raw)
        self.steps(raw.get("steps", ()))
        if "table" in raw:
            self._table(raw["table"])
        if "enum" in raw:
            self.tables.append(_WRITTEN_OUT)
        if "cast" in raw:
            self.functions.append("cast")
        if "default" in raw:
            self.constants.append(raw["default"])

    def _origin(self, raw: Mapping[str, Any]) -> None:
        for name, noted in (
            ("constant", self.constants),
            ("template", self.constants),
            ("expression", self.expressions),
        ):
            if name in raw:
                noted.append(raw[name])
        several = raw.get("concat", raw.get("coalesce", ()))
        for part in several.get("values", ()) if isinstance(several, dict) else several:
            self.value(part)
        if isinstance(choose := raw.get("choose"), dict):
            branches = [case.get("then") for case in choose.get("cases", ())]
            for branch in (*branches, *([choose["otherwise"]] if "otherwise" in choose else [])):
                if isinstance(branch, dict):
                    self.value(branch)
                else:
                    self.constants.append(branch)

    def steps(self, raw: Sequence[Any]) -> None:
        """Takes note of a chain of steps."""
        for step in raw:
            name, argument = (step, None) if isinstance(step, str) else next(iter(step.items()))
            self.functions.append(name)
            if name in self.chains:
                self.steps(self.chains[name])
            elif name == "lookup":
                self._table(argument.get("table", argument) if isinstance(argument, dict) else argument)
            elif name in _NESTED_STEPS and isinstance(argument, list):
                self.steps(argument)

    def _table(self, raw: Any) -> None:
        self.tables.append(raw if isinstance(raw, str) else _WRITTEN_OUT)


__all__ = ["Provenance", "provenance_of"]
