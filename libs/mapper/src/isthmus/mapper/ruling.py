"""What becomes of results for which a rule does not hold."""

from __future__ import annotations

import copy
from typing import Any, Final

from isthmus.mapper.errors import FieldError, MappingStopped, Refusal
from isthmus.mapper.lineage import rule_paths
from isthmus.mapper.model import Rule
from isthmus.mapper.paths import Path, format_path

NOTED: Final = frozenset({"warn", "default"})
"""Consequences that let the record pass."""
BROKEN, STOPPED = "RULE_BROKEN", "RULE_STOPPED"


class BrokenRule:
    """A rule, ready to be told of."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.target, self.source = rule_paths(rule)

    def error(self, why: object) -> FieldError:
        """What there is to say of a result for which it does not hold.

        Args:
            why: What the check gave, or why it gave nothing.
        """
        rule = self.rule
        message = rule.message.rstrip(".") or "The result does not fulfil the rule"
        hint = "Mend the record at its source, or the mapping."
        if isinstance(why, Refusal):
            hint = why.message
        elif isinstance(why, Exception):
            hint = f"The rule cannot be asked ({type(why).__name__}); mend its check."
        reason = STOPPED if rule.consequence == "stop" else BROKEN
        message = f"{message} (rule {rule.name}). {hint}"
        return FieldError(self.target, self.source, reason, message, rule=rule.name)


def broken(
    told: BrokenRule, why: object, made: dict[str, Any], notes: list[tuple[FieldError, str]] | None
) -> list[FieldError] | None:
    """Carries out the consequence of a rule that does not hold.

    Args:
        told: The rule.
        why: What its check gave, or why it gave nothing.
        made: The result; defaults are put into it.
        notes: Gets rules that let the record pass.

    Returns:
        The errors for which the record is rejected; `None` where it passes.

    Raises:
        MappingStopped: the rule ends everything.
    """
    error, consequence = told.error(why), told.rule.consequence
    if consequence == "stop":
        raise MappingStopped([error])
    if consequence == "quarantine":
        return [error]
    if notes is not None:
        notes.append((error, consequence))
    for path, value in told.rule.defaults:
        if not _put(made, path, value):
            hint = f"The default for {format_path(path)} has no place: what is around it is no object."
            return [FieldError(format_path(path), "", "PATH_NOT_OBJECT", hint, rule=told.rule.name)]
    return None


def _put(made: dict[str, Any], path: Path, value: Any) -> bool:
    here: Any = made
    for name in path[:-1]:
        inner = here.get(name)
        if inner is None:
            inner = here[name] = {}
        if not isinstance(inner, dict):
            return False
        here = inner
    # Every record gets its own copy, for whoever takes the record may change it.
    here[path[-1]] = copy.deepcopy(value)
    return True
