"""Reads what has to hold of results."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.limits import MAX_FIELDS, MAX_RULE_MESSAGE, MAX_RULES
from isthmus.mapper.model import Condition, Rule
from isthmus.mapper.paths import Path
from isthmus.mapper.reading.conditions import read_condition
from isthmus.mapper.reading.expressions import RESULT, element, read_expression
from isthmus.mapper.reading.report import Report, join
from isthmus.mapper.reading.steps import Scope

CONSEQUENCES = ("warn", "default", "quarantine", "stop")
_MEMBERS = ("name", "check", "consequence", "message", "default")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def read_rules(scope: Scope, raw: object, place: str, schema: dict[str, Any] | None) -> tuple[Rule, ...]:
    """Reads the rules of a mapping, in the order in which they are asked.

    Args:
        scope: What names mean.
        raw: The list of rules.
        place: Where it stands.
        schema: JSON Schema of results, where there is one.
    """
    rules: dict[str, Rule] = {}
    for index, item in enumerate(scope.report.items(raw, place, MAX_RULES, "a list of rules")):
        where = join(place, index)
        with element(scope, RESULT, schema):
            rule = _read_rule(scope, item, where)
        if rule is None:
            continue
        if rule.name in rules:
            scope.report.add(
                join(where, "name"),
                "NAME_TAKEN",
                f"Another rule is called {rule.name!r}; choose another name.",
            )
        rules[rule.name] = rule
    return tuple(rules.values())


def _read_rule(scope: Scope, raw: object, place: str) -> Rule | None:
    report = scope.report
    members = report.members(raw, place, _MEMBERS, ("name", "check", "consequence"))
    if not {"name", "check", "consequence"} <= members.keys():
        return None
    name, message = members["name"], members.get("message", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        hint = "A name begins with a letter and has letters, digits, dots, - and _ only."
        report.add(join(place, "name"), "NAME_INVALID", hint)
        return None
    if not isinstance(message, str) or len(message) > MAX_RULE_MESSAGE:
        hint = f"A message is a text of at most {MAX_RULE_MESSAGE} characters."
        report.add(join(place, "message"), "MESSAGE_INVALID", hint)
        return None
    consequence = report.choice(members["consequence"], join(place, "consequence"), CONSEQUENCES)
    check = _check(scope, members["check"], join(place, "check"))
    defaults: tuple[tuple[Path, Any], ...] = ()
    if (consequence == "default") != ("default" in members):
        hint = "Give default where the consequence is default, and only there: default: {target: value}."
        report.add(join(place, "default"), "MEMBERS_EXCLUDE", hint)
    elif consequence == "default":
        defaults = _defaults(report, members["default"], join(place, "default"))
    return None if check is None else Rule(name, check, consequence, message, defaults)


def _check(scope: Scope, raw: object, place: str) -> Condition | None:
    """A condition; a text is an expression."""
    if isinstance(raw, str):
        return read_expression(scope, raw, place, is_condition=True)
    return read_condition(scope, raw, place)


def _defaults(report: Report, raw: object, place: str) -> tuple[tuple[Path, Any], ...]:
    if not isinstance(raw, dict) or not 0 < len(raw) <= MAX_FIELDS:
        report.wrong_type(place, "an object with a value for each target", raw)
        return ()
    found = []
    for text, value in raw.items():
        path = report.path(text, join(place, text))
        if path and all(isinstance(part, str) for part in path):
            found.append((path, value))
        elif path or text == "$":
            hint = "Defaults are put into fields: names with dots between them."
            report.add(join(place, text), "TARGET_INVALID", hint)
    return tuple(found)
