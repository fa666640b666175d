"""From a definition to the one that leads back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.compiler import compile_mapping
from isthmus.mapper.errors import MappingInvalid, Refusal
from isthmus.mapper.inversion.steps import Back, NotInvertible, Own, kind_after, undo_all, undo_table
from isthmus.mapper.paths import EACH, Path, format_path, parse_path, parse_source
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.schemas import SchemaInvalid, resolve

_MEMBER = re.compile(r"record((?:\.[A-Za-z_][A-Za-z0-9_]*)+)", re.ASCII)
_PLACEHOLDER = re.compile(r"((?:[^{}]|\{\{|\}\})*)\{([^{}?]+)\}((?:[^{}]|\{\{|\}\})*)")
_FIELD = frozenset(
    {"target", "description", "class", "required", "nulls", "default", "steps", "table", "enum", "cast"}
)
_ORIGINS = frozenset(
    {"source", "expression", "constant", "template", "concat", "coalesce", "choose", "items", "now"}
)
_DROPPED_RULES = frozenset(
    {"validate", "tables", "functions", "unclassified", "where", "unmapped", "ignore", "nulls"}
)


@dataclass(frozen=True, slots=True)
class Loss:
    """A target field that does not lead back.

    Attributes:
        target: Its path; of a member of the elements of a list with `[*]`; empty where a rule is meant.
        sources: The source paths that it is made from.
        reason: Why, for programs.
        message: Why, and what to do about it.
        matters: Whether something is lost: not where a constant is left out, or all that the field is made
            from comes back by others.
    """

    target: str
    sources: tuple[str, ...]
    reason: str
    message: str
    matters: bool = True


@dataclass(frozen=True, slots=True)
class Inverse:
    """What a mapping can undo of itself.

    Attributes:
        definition: The definition that leads back; `None` where no field does.
        losses: The target fields that do not lead back, in order.
        respelled: Source paths of which another spelling comes back, such as a time in UTC.
    """

    definition: dict[str, Any] | None
    losses: tuple[Loss, ...] = ()
    respelled: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether everything that the mapping reads comes back."""
        return self.definition is not None and not any(loss.matters for loss in self.losses)


def invert_mapping(definition: Mapping[str, Any]) -> Inverse:
    """Derives the definition that leads back.

    Mapped there, back, and there again, a record becomes what it became the first time; the fields that
    come back exactly are what they were.

    Raises:
        MappingInvalid: the definition itself has mistakes.
    """
    plan = compile_mapping(definition)
    raw = dict(definition)
    read = read_definition(raw, Report())
    assert read is not None
    rules = raw.get("transformations", {})
    deriving = _Deriving(read.source_schema, rules)
    sources = {item.target: item.sources for item in plan.lineage}
    for name in rules.keys() - _DROPPED_RULES:
        told = f"The rule {name!r} has no way back; give the way back a mapping of its own."
        deriving.losses.append(Loss("", (), "RULE_NOT_INVERTIBLE", told))
    if "where" in rules:
        told = "Records that the filter leaves out do not come back; the way back has no filter."
        deriving.losses.append(Loss("", (), "FILTER_DROPPED", told, matters=False))
    if read.split is not None:
        return Inverse(None, tuple(deriving.losses))
    fields = deriving.fields(raw["field_mappings"], sources)
    made = deriving.transformations(raw["field_mappings"])
    if not fields and made.get("unmapped") != "keep":
        return Inverse(None, tuple(deriving.losses), ())
    inverse = {
        "version": raw["version"],
        "field_mappings": fields,
        **({"transformations": made} if made else {}),
    }
    swapped = {
        there: raw[here]
        for here, there in (("source_schema", "target_schema"), ("target_schema", "source_schema"))
        if raw.get(here) is not None
    }
    try:
        compile_mapping({**inverse, **swapped})
        inverse |= swapped
    except MappingInvalid:
        # The schemas ask for more than comes back.
        compile_mapping(inverse)
    return Inverse(inverse, tuple(deriving.losses), tuple(dict.fromkeys(deriving.respelled)))


@dataclass(slots=True)
class _Candidate:
    """A field that leads back, if nothing else makes the same source field."""

    source: Path
    target: str
    field: dict[str, Any]
    is_exact: bool


class _Deriving:
    def __init__(self, schema: Any, rules: Mapping[str, Any]) -> None:
        self.schema = schema
        self.rules = rules
        self.own = Own(rules.get("functions", {}), rules.get("tables", {}))
        self.losses: list[Loss] = []
        self.respelled: list[str] = []

    def fields(
        self,
        raw: Sequence[Mapping[str, Any]],
        sources: Mapping[str, Sequence[str]],
        where: str = "",
        at: Path = (),
    ) -> list[dict[str, Any]]:
        """The field mappings that lead back from these.

        Args:
            raw: Field mappings.
            sources: What each target is made from.
            where: The target path of the list around them.
            at: The source path of that list.
        """
        found: list[_Candidate] = []
        failed: list[tuple[str, tuple[str, ...], NotInvertible]] = []
        for field in raw:
            target = where + field["target"]
            try:
                found.append(self._back(field, where, at))
            except Refusal as refused:
                failed.append((target, (), NotInvertible("STEP_FORGETS", refused.message)))
            except NotInvertible as problem:
                read = sources.get(target) or [format_path((*at, *path)) for path in _read(field, at)]
                failed.append((target, tuple(read), problem))
        kept: list[_Candidate] = []
        for one in found:
            is_inside = any(one.source != each.source and _covers(each.source, one.source) for each in found)
            if is_inside or any(one.source == each.source for each in kept):
                told = "What it is made from comes back by another field."
                path = format_path((*at, *one.source))
                self.losses.append(Loss(where + one.target, (path,), "SOURCE_TWICE", told, matters=False))
            else:
                kept.append(one)
        covered = [(*at, *each.source) for each in kept]
        for target, read, why in failed:
            is_covered = bool(read) and all(
                any(_covers(path, parse_path(each)) for path in covered) for each in read
            )
            matters = why.reason not in {"CONSTANT", "NOW"} and not is_covered
            self.losses.append(Loss(target, tuple(read), why.reason, why.message, matters))
        self.respelled += [format_path((*at, *each.source)) for each in kept if not each.is_exact]
        return [each.field for each in kept]

    def transformations(self, raw: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The rules of the way back: what is carried over, and nulls."""
        made: dict[str, Any] = {}
        if self.rules.get("unmapped") == "keep":
            made["unmapped"] = "keep"
            # What the mapping adds by itself, and what it leaves out on purpose, is not carried back.
            added = [str(parse_path(field["target"])[0]) for field in raw]
            ignored = dict.fromkeys([*self.rules.get("ignore", []), *added])
            made["ignore"] = list(ignored)
        if "nulls" in self.rules:
            made["nulls"] = self.rules["nulls"]
        return made

    def _back(self, field: Mapping[str, Any], where: str, at: Path) -> _Candidate:
        """The field mapping that leads back from one.

        Raises:
            NotInvertible: there is none.
        """
        unknown = field.keys() - _FIELD - _ORIGINS
        if unknown:
            why = (
                "Whether the field is there at all depends on a condition"
                if "when" in unknown
                else "It has rules"
            )
            message = f"{why}, of which nothing can be told from the result: {', '.join(sorted(unknown))}."
            raise NotInvertible("RULE_NOT_INVERTIBLE", message)
        if "items" in field:
            return self._items(field, where, at)
        source, before = _origin(field)
        path = parse_source(source, in_element=bool(at))
        _check_path(path)
        chain = [*before, *field.get("steps", [])]
        chain += [{"lookup": field["table"]}] if "table" in field else []
        chain += [{"lookup": {"entries": field["enum"]}}] if "enum" in field else []
        chain += [{"cast": field["cast"]}] if "cast" in field else []
        back = self._undone(chain, self._kind((*at, *path)), field.get("default"))
        made: dict[str, Any] = {"target": format_path(path), "source": field["target"]}
        if back.steps:
            made["steps"] = list(back.steps)
        made |= {name: field[name] for name in ("required", "nulls") if name in field}
        return _Candidate(path, field["target"], made, back.is_exact)

    def _undone(self, chain: list[Any], kind: str, default: Any) -> Back:
        """What undoes a chain of steps; a default comes back as null where the chain ends with a table."""
        if default is None:
            return undo_all(chain, kind, self.own)
        if not (chain and isinstance(chain[-1], dict) and "lookup" in chain[-1]):
            hint = "leave the default out, or use a table whose results do not hold it"
            message = f"The default cannot be told from the same value; {hint}."
            raise NotInvertible("DEFAULT_AMBIGUOUS", message)
        first = undo_all(chain[:-1], kind, self.own)
        for step in chain[:-1]:
            kind = kind_after(step, kind, self.own)
        last = undo_table(self.own.table(chain[-1]["lookup"]), kind, default)
        return Back((*last.steps, *first.steps), first.is_exact and last.is_exact)

    def _items(self, field: Mapping[str, Any], where: str, at: Path) -> _Candidate:
        items = field["items"]
        more = (items.keys() - {"source", "field_mappings"}) | (
            field.keys() & {"steps", "table", "enum", "cast", "default"}
        )
        if more:
            message = f"What becomes of the list besides cannot be undone: {', '.join(sorted(more))}."
            raise NotInvertible("RULE_NOT_INVERTIBLE", message)
        path = parse_source(items["source"], in_element=bool(at))
        _check_path(path)
        inner = self.fields(items["field_mappings"], {}, f"{where}{field['target']}[*].", (*at, *path, EACH))
        if not inner:
            raise NotInvertible("STEP_FORGETS", "Nothing in the elements of the list leads back.")
        made: dict[str, Any] = {
            "target": format_path(path),
            "items": {"source": field["target"], "field_mappings": inner},
        }
        made |= {name: field[name] for name in ("required", "nulls") if name in field}
        return _Candidate(path, field["target"], made, is_exact=True)

    def _kind(self, path: Path) -> str:
        """The JSON type at a source path, as far as the schema tells; empty where it does not."""
        schema = self.schema
        try:
            for segment in path:
                schema = resolve(self.schema, schema)
                if not isinstance(schema, dict):
                    return ""
                schema = (
                    schema.get("properties", {}).get(segment)
                    if isinstance(segment, str)
                    else schema.get("items")
                )
            schema = resolve(self.schema, schema)
        except SchemaInvalid:
            return ""
        told = schema.get("type") if isinstance(schema, dict) else None
        kinds = [each for each in (told if isinstance(told, list) else [told]) if each not in {None, "null"}]
        return str(kinds[0]) if len(kinds) == 1 else ""


def _origin(field: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The one source path of a field, and what its origin does to the value.

    Raises:
        NotInvertible: it has none, or several.
    """
    if "source" in field:
        return str(field["source"]), []
    if "constant" in field:
        raise NotInvertible("CONSTANT", "It is the same for every record, so the way back leaves it out.")
    if "now" in field:
        raise NotInvertible("NOW", "It is the time of mapping, so the way back leaves it out.")
    if "expression" in field:
        member = _MEMBER.fullmatch(field["expression"].strip())
        if member is not None:
            return member[1][1:], []
        hint = "write rules, or give the way back a mapping of its own"
        raise NotInvertible("EXPRESSION", f"What an expression read cannot be told from its value; {hint}.")
    if "template" in field:
        only = _PLACEHOLDER.fullmatch(field["template"])
        if only is None:
            raise NotInvertible(
                "SEVERAL_SOURCES", "A text with several values in it cannot be cut into them again."
            )
        before, path, after = (only[1], only[2], only[3])
        steps = [{name: _unescaped(text)} for name, text in (("prepend", before), ("append", after)) if text]
        return path, steps
    name = next(iter(field.keys() & _ORIGINS))
    raise NotInvertible(
        "SEVERAL_SOURCES", f"Which of its parts a value of {name!r} came from cannot be told."
    )


def _unescaped(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


def _check_path(path: Path) -> None:
    if not path:
        raise NotInvertible("WHOLE_RECORD", "The record as a whole cannot be made of one field.")
    if not all(isinstance(segment, str) for segment in path):
        hint = "map the list with items"
        raise NotInvertible(
            "LIST_ELEMENT", f"One element or member of a list does not make the list; {hint}."
        )


def _read(field: Mapping[str, Any], at: Path) -> list[Path]:
    return [parse_source(field["source"], in_element=bool(at))] if "source" in field else []


def _covers(outer: Path, inner: Path) -> bool:
    return inner[: len(outer)] == outer


__all__ = ["Inverse", "Loss", "invert_mapping"]
