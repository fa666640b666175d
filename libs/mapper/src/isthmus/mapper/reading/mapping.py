"""Reads a whole definition."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from isthmus.mapper.functions import FUNCTIONS
from isthmus.mapper.limits import MAX_FIELDS, MAX_TARGET_INDEX
from isthmus.mapper.model import Block, Condition, Definition, Field, Split
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.privacy.classes import DataClass, class_named
from isthmus.mapper.reading.conditions import read_condition
from isthmus.mapper.reading.expressions import element
from isthmus.mapper.reading.report import Report, check_json, join
from isthmus.mapper.reading.rules import read_rules
from isthmus.mapper.reading.steps import Scope, read_steps, read_table
from isthmus.mapper.reading.values import VALUE_MEMBERS, read_value_members
from isthmus.models import ModelUnknown, schema_of

VERSION = "isthmus/v1"
RULES = ("where", "unmapped", "ignore", "nulls")
MEMBERS = ("version", "description", "source_schema", "target_schema", "field_mappings", "transformations")
TRANSFORMATIONS = (*RULES, "validate", "rules", "split", "tables", "functions", "unclassified")
FIELD_MEMBERS = ("target", *VALUE_MEMBERS, "required", "when", "nulls", "description", "class")
CLASSES = tuple(kind.name.lower() for kind in DataClass)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def read_definition(raw: object, report: Report) -> Definition | None:
    """Reads a definition, noting every mistake; `None` where nothing could be read at all."""
    check_json(raw, report)
    if report.violations:
        return None
    members = report.members(raw, "", MEMBERS, ("version", "field_mappings"))
    if not isinstance(raw, dict):
        return None
    if members.get("version", VERSION) != VERSION:
        report.add("/version", "VERSION_UNKNOWN", f"This compiler reads version {VERSION}; write that.")
    _text_only(report, members, "description", "")
    place = "/transformations"
    shared = report.members(members.get("transformations", {}), place, TRANSFORMATIONS)
    scope = _read_scope(report, shared, place)
    scope.schema = source_schema = _schema(report, members, "source_schema")
    target_schema = _schema(report, members, "target_schema")
    fields = members.get("field_mappings", [])
    split = _read_split(scope, shared, place) if "split" in shared else None
    if split is None:
        block = read_block(scope, shared, place, fields, "")
    else:
        block = _read_parts(scope, shared, place, fields)
    rules = read_rules(scope, shared.get("rules", []), join(place, "rules"), target_schema)
    return Definition(
        block=replace(block, rules=rules),
        source_schema=source_schema,
        target_schema=target_schema,
        validate=report.flag(shared.get("validate", False), join(place, "validate")),
        unclassified=_class(report, shared, "unclassified", place),
        split=split,
    )


def _read_split(scope: Scope, shared: dict[str, Any], place: str) -> Split:
    where = join(place, "split")
    members = scope.report.members(shared["split"], where, ("each", "where"), ("each",))
    each = scope.path(members.get("each", "$"), join(where, "each"))
    condition = None
    if "where" in shared:
        condition = read_condition(scope, shared["where"], join(place, "where"))
    if shared.get("unmapped", "drop") == "keep":
        hint = "A mapping that splits records names the fields of its parts; it cannot keep unmapped ones."
        scope.report.add(join(place, "unmapped"), "MEMBERS_EXCLUDE", hint)
    return Split(each, condition)


def _read_parts(scope: Scope, shared: dict[str, Any], place: str, fields: object) -> Block:
    """Reads what is made of each element that a record is split into."""
    rules = {name: told for name, told in shared.items() if name != "where"}
    split = shared["split"]
    with element(scope):
        block = read_block(scope, rules, place, fields, "")
        if isinstance(split, dict) and "where" in split:
            condition = read_condition(scope, split["where"], join(join(place, "split"), "where"))
            block = replace(block, where=condition)
    return block


def _class(report: Report, members: dict[str, Any], name: str, place: str) -> DataClass | None:
    if name not in members:
        return None
    return class_named(report.choice(members[name], join(place, name), CLASSES))


def _schema(report: Report, members: dict[str, Any], name: str) -> dict[str, Any] | None:
    schema = members.get(name)
    if schema is None or isinstance(schema, dict):
        return schema
    if not isinstance(schema, str):
        report.wrong_type(join("", name), "a JSON Schema (an object) or the name of a model", schema)
        return None
    try:
        return schema_of(schema)
    except ModelUnknown as problem:
        report.add(join("", name), "MODEL_UNKNOWN", str(problem))
        return None


def _read_scope(report: Report, members: dict[str, Any], place: str) -> Scope:
    scope = Scope(report)
    tables = members.get("tables", {})
    if not isinstance(tables, dict):
        report.wrong_type(join(place, "tables"), "an object", tables)
        tables = {}
    for name, item in tables.items():
        where = join(join(place, "tables"), name)
        _check_name(report, name, where)
        table = read_table(report, item, where)
        if table is not None:
            scope.tables[name] = table
    functions = members.get("functions", {})
    if not isinstance(functions, dict):
        report.wrong_type(join(place, "functions"), "an object", functions)
        functions = {}
    for name, chain in functions.items():
        where = join(join(place, "functions"), name)
        _check_name(report, name, where)
        if name in FUNCTIONS:
            report.add(where, "NAME_TAKEN", f"{name!r} is a built-in function; choose another name.")
        else:
            scope.functions[name] = chain
    for name, chain in scope.functions.items():
        # Read once on its own, so that a mistake in a function nobody calls yet is found too.
        read_steps(
            Scope(report, scope.tables, scope.functions, (name,)), chain, join(join(place, "functions"), name)
        )
    return scope


def _check_name(report: Report, name: str, place: str) -> None:
    if not _NAME.fullmatch(name):
        report.add(
            place, "NAME_INVALID", "A name begins with a letter and has letters, digits, dots, - and _ only."
        )


def _text_only(report: Report, members: dict[str, Any], name: str, place: str) -> None:
    if not isinstance(members.get(name, ""), str):
        report.wrong_type(join(place, name), "a text", members[name])


def read_block(scope: Scope, rules: dict[str, Any], place: str, raw_fields: object, parent: str) -> Block:
    """Reads field mappings with the rules that govern them all: `where`, `unmapped`, `ignore`, `nulls`."""
    report = scope.report
    where: Condition | None = None
    if "where" in rules:
        where = read_condition(scope, rules["where"], join(place, "where"))
    unmapped = report.choice(rules.get("unmapped", "drop"), join(place, "unmapped"), ("drop", "keep"))
    ignore = report.items(rules.get("ignore", []), join(place, "ignore"), MAX_FIELDS, "a list of names")
    if not all(isinstance(name, str) for name in ignore):
        report.wrong_type(join(place, "ignore"), "a list of names", ignore)
        ignore = []
    nulls = report.choice(rules.get("nulls", "omit"), join(place, "nulls"), ("omit", "keep"))
    where_fields = join(parent, "field_mappings")
    fields = []
    for index, raw in enumerate(
        report.items(raw_fields, where_fields, MAX_FIELDS, "a list of field mappings")
    ):
        field = _read_field(scope, raw, join(where_fields, index), nulls)
        if field is not None:
            fields.append(field)
    if isinstance(raw_fields, list) and not raw_fields and unmapped == "drop":
        report.add(
            where_fields, "EMPTY", "Without a field mapping every record would come out empty; add one."
        )
    _check_targets(report, fields)
    return Block(tuple(fields), where, unmapped == "keep", frozenset(ignore))


def _read_field(scope: Scope, raw: object, place: str, nulls: str) -> Field | None:
    report = scope.report
    members = report.members(raw, place, FIELD_MEMBERS, ("target",))
    if not isinstance(raw, dict):
        return None
    _text_only(report, members, "description", place)
    target = _target(report, members["target"], join(place, "target")) if "target" in members else None
    value = read_value_members(scope, members, place)
    when = read_condition(scope, members["when"], join(place, "when")) if "when" in members else None
    keep = report.choice(members.get("nulls", nulls), join(place, "nulls"), ("omit", "keep")) == "keep"
    required = report.flag(members.get("required", False), join(place, "required"))
    kind = _class(report, members, "class", place)
    if target is None or value is None:
        return None
    return Field(target, value, place, required, keep, when, kind)


def _target(report: Report, raw: object, place: str) -> Path | None:
    path = report.path(raw, place)
    if not path:
        if raw == "$":
            report.add(
                place, "TARGET_INVALID", "A target names a field; to keep whole records use unmapped: keep."
            )
        return None
    if not isinstance(path[0], str) or EACH in path:
        report.add(
            place,
            "TARGET_INVALID",
            "A target begins with a name and has no [*]; make lists with items or map.",
        )
        return None
    if any(isinstance(part, int) and not 0 <= part <= MAX_TARGET_INDEX for part in path):
        report.add(place, "TARGET_INVALID", f"Positions in a target run from 0 to {MAX_TARGET_INDEX}.")
        return None
    return path


def _check_targets(report: Report, fields: list[Field]) -> None:
    """No target may be given twice, lie inside another, or be a list here and an object there."""
    leaves: dict[Path, Field] = {}
    parents: dict[Path, type] = {}
    for field in fields:
        place, target = join(field.place, "target"), field.target
        inside = next((target[:n] for n in range(1, len(target)) if target[:n] in leaves), None)
        if target in leaves:
            report.add(
                place,
                "TARGET_TWICE",
                f"{format_path(target)} is mapped twice; use coalesce or choose instead.",
            )
        elif inside is not None:
            report.add(place, "TARGET_CONFLICT", f"{format_path(inside)} is mapped as a whole already.")
        elif target in parents:
            report.add(place, "TARGET_CONFLICT", f"Fields inside {format_path(target)} are mapped already.")
        for n in range(1, len(target)):
            kind = type(target[n])
            if parents.setdefault(target[:n], kind) is not kind:
                report.add(
                    place,
                    "TARGET_CONFLICT",
                    f"{format_path(target[:n])} is a list in one target, not in another.",
                )
        leaves[target] = field
