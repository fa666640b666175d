"""What a service says about a request, in words of the document that was applied."""

import re

from isthmus.client.manifest.document import Document
from isthmus.client.problem import ExitCode, Problem, Violation

_FIELDS = {
    "flow.conflict_policy": "spec.conflict.policy",
    "flow.conflict_rules.source_time_field": "spec.conflict.source_field",
    "flow.conflict_rules.destination_time_field": "spec.conflict.destination_field",
    "flow.conflict_rules.skew_tolerance": "spec.conflict.tolerance_seconds",
    "flow.conflict_rules": "spec.conflict",
    "flow.delete_policy.tombstone_field": "spec.deletes.field",
    "flow.delete_policy.tombstone_value": "spec.deletes.value",
    "flow.delete_policy.most_deletions": "spec.deletes.most",
    "flow.delete_policy": "spec.deletes",
    "flow.destination_key": "spec.key",
    "flow.failure_policy": "spec",
    "flow.mapping_id": "spec.mapping",
    "flow.reverse_mapping_id": "spec.reverse_mapping",
    "flow.name": "name",
    "plan.name": "name",
    "flow": "spec",
    "plan": "spec",
}
_PATH = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, _FIELDS))})(?=[.\[`:]|$)")


def refused(document: Document, problem: Problem, *, has_changed: bool) -> Problem:
    """Gives what went wrong with a document, by its name and with its own fields.

    Args:
        document: Which one.
        problem: What went wrong.
        has_changed: Something was applied before, so that the mesh is not as it was.
    """
    named = f"{document.kind} {document.name}"
    message = _told(problem.message)
    if not message.startswith(named):
        message = f"{named}: {message}"
    if not has_changed:
        code = problem.exit_code
    else:
        message += " What came before it is applied; mend it and apply again."
        code = ExitCode.FAILED if problem.exit_code is ExitCode.USAGE else problem.exit_code
    violations = [Violation(_PATH.sub(_field, one.path), _told(one.message)) for one in problem.violations]
    return Problem(problem.reason, message, violations=tuple(violations), exit_code=code)


def _told(message: str) -> str:
    """Names fields as the document does where a sentence quotes one."""
    return re.sub(r"`[^`]+`", lambda quoted: f"`{_PATH.sub(_field, quoted[0][1:-1])}`", message)


def _field(found: re.Match[str]) -> str:
    return _FIELDS[found[0]]


__all__ = ["refused"]
