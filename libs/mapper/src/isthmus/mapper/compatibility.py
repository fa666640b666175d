"""What can be said about a definition and its schemas before any record comes."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.model import (
    NOTHING,
    Block,
    Concat,
    Constant,
    Definition,
    Expression,
    Field,
    Items,
    Now,
    Source,
    Template,
)
from isthmus.mapper.model import Value as MappedValue
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.reading.report import Report, join
from isthmus.mapper.schemas import SchemaInvalid, compile_schema, resolve
from isthmus.mapper.values import show

_JSON_TYPES = {"timestamp": "string", "date": "string"}
_RESULTS = {
    "bool": {"boolean"},
    "int": {"integer"},
    "uint": {"integer"},
    "double": {"number"},
    "string": {"string"},
    "bytes": {"string"},
    "timestamp": {"string"},
    "duration": {"string"},
    "list": {"array"},
    "map": {"object"},
}
"""JSON types of what expressions give, by CEL type; those that are missing say nothing."""
_COMPATIBLE = {("integer", "number"), ("number", "integer")}


def check_schemas(definition: Definition, report: Report) -> None:
    """Notes where a definition cannot give what its target asks, or reads what its source never has."""
    for name, schema in (
        ("source_schema", definition.source_schema),
        ("target_schema", definition.target_schema),
    ):
        if schema is not None and not _usable(
            schema, name, report, strict=definition.validate and name[0] == "t"
        ):
            return
    if definition.target_schema is not None:
        # Paths of parts begin at the element, whose schema is not looked up.
        source = definition.source_schema if definition.split is None else None
        checker = _Targets(definition.target_schema, source, report)
        checker.block(definition.block, definition.target_schema, "")
    if definition.source_schema is not None and definition.split is None:
        for field in definition.block.fields:
            _check_source(field, definition.source_schema, report)


def _usable(schema: dict[str, Any], name: str, report: Report, *, strict: bool) -> bool:
    try:
        compile_schema(schema)
    except SchemaInvalid as problem:
        if strict or "leads nowhere" in str(problem) or "leaves the schema" in str(problem):
            report.add(join("", name), "SCHEMA_INVALID", str(problem))
            return False
    except RecursionError:
        report.add(join("", name), "SCHEMA_INVALID", "The schema is nested too deep.")
        return False
    return True


def step_into(root: object, schema: object, part: object) -> object:
    """The schema of a member or element; `True` where nothing is known, `False` where none may be."""
    schema = resolve(root, schema)
    if not isinstance(schema, dict):
        return schema
    if any(word in schema for word in ("anyOf", "oneOf", "allOf", "if", "patternProperties", "prefixItems")):
        return True
    if isinstance(part, str):
        properties = schema.get("properties")
        if isinstance(properties, dict) and part in properties:
            return properties[part]
        return schema.get("additionalProperties", True)
    return schema.get("items", True)


def _at(root: object, path: Path) -> object:
    schema = root
    for part in path:
        schema = step_into(root, schema, part)
        if schema is False:
            return False
    return resolve(root, schema)


def _types(schema: object) -> set[str] | None:
    """The types a schema allows, `None` where it does not say."""
    if not isinstance(schema, dict) or "type" not in schema:
        return None
    names = schema["type"]
    return {names} if isinstance(names, str) else set(names)


def _check_source(field: Field, schema: dict[str, Any], report: Report) -> None:
    origin = field.value.origin
    reads: tuple[Source, ...] = ()
    if isinstance(origin, Source):
        reads, place = (origin,), join(field.place, "source")
    elif isinstance(origin, Expression):
        reads, place = origin.reads, join(field.place, "expression")
    for read in reads:
        if _at(schema, read.path) is False:
            hint = f"The source schema has no {format_path(read.path)}; mend the path."
            report.add(place, "SOURCE_UNKNOWN", hint)


class _Targets:
    """Compares targets with the target schema."""

    def __init__(self, root: dict[str, Any], source: dict[str, Any] | None, report: Report) -> None:
        self.root = root
        self.source = source
        self.report = report

    def block(self, block: Block, schema: object, place: str) -> None:
        """Compares one block with the schema of the object it makes."""
        made: dict[Path, set[str]] = {(): set()}
        for field in block.fields:
            here = schema
            for depth, part in enumerate(field.target):
                here = step_into(self.root, here, part)
                if isinstance(part, str):
                    made.setdefault(field.target[:depth], set()).add(part)
            if here is False:
                self.report.add(
                    join(field.place, "target"),
                    "TARGET_UNKNOWN",
                    f"The target schema allows no {format_path(field.target)}; mend the name.",
                )
            else:
                self._field(field, resolve(self.root, here))
        for target in (target for rule in block.rules for target, _ in rule.defaults):
            for depth, part in enumerate(target):
                made.setdefault(target[:depth], set()).add(str(part))
        if block.keep_unmapped:
            return
        for prefix, names in made.items():
            self._required(schema, prefix, names, place)

    def _required(self, schema: object, prefix: Path, names: set[str], place: str) -> None:
        here = schema
        for part in prefix:
            here = step_into(self.root, here, part)
        here = resolve(self.root, here)
        required = here.get("required", []) if isinstance(here, dict) else []
        for name in required if isinstance(required, list) else []:
            if name not in names:
                missing = format_path((*prefix, name))
                message = f"The target schema requires {missing}; add a field mapping for it."
                self.report.add(join(place, "field_mappings"), "TARGET_REQUIRED", message)

    def _field(self, field: Field, schema: object) -> None:
        if isinstance(field.value.origin, Items) and not field.value.steps:
            inner = step_into(self.root, schema, EACH)
            # Paths of elements begin at the element, whose schema is not looked up.
            elements = _Targets(self.root, None, self.report)
            elements.block(field.value.origin.block, inner, join(field.place, "items"))
        allowed = _types(schema)
        given = _given(field.value, self.source)
        if allowed and given and not any(self._fits(kind, allowed) for kind in given):
            wanted, met = " or ".join(sorted(allowed)), " or ".join(sorted(given))
            message = f"{format_path(field.target)} must be {wanted} but gets {met}; cast it."
            self.report.add(field.place, "TARGET_TYPE", message)
            return
        self._outcomes(field, schema)

    @staticmethod
    def _fits(kind: str, allowed: set[str]) -> bool:
        return kind in allowed or any((kind, other) in _COMPATIBLE for other in allowed)

    def _outcomes(self, field: Field, schema: object) -> None:
        """Every value that is known beforehand must be one the schema allows."""
        try:
            check = compile_schema(schema, self.root)
        except SchemaInvalid:
            return
        for value in _known(field.value):
            problem = None if value is None else next(check(value), None)
            if problem is not None:
                message = f"The field can get {show(value)}, but: {problem[1]}"
                self.report.add(field.place, "TARGET_VALUE", message)
                return


def _known(value: MappedValue) -> tuple[Any, ...]:
    """Values the field will or may get whatever the record."""
    default = () if value.default is NOTHING else (value.default,)
    if value.steps:
        return (*(value.steps[-1].outcomes or ()), *default)
    return (*default, value.origin.value) if isinstance(value.origin, Constant) else default


def _given(value: MappedValue, source: dict[str, Any] | None) -> set[str] | None:
    """JSON types that a value can have, as far as that is known; a default counts by its own."""
    if value.steps:
        kind = _JSON_TYPES.get(value.steps[-1].returns, value.steps[-1].returns)
        return None if kind == "any" else {kind}
    match value.origin:
        case Template() | Concat() | Now():
            return {"string"}
        case Items():
            return {"array"}
        case Expression(body=body):
            return _RESULTS.get(body.checked.result)
        case Source(path=path) if source is not None:
            types = _types(_at(source, path))
            return types - {"null"} if types and EACH not in path else None
    return None
