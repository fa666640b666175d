"""The rules about an instance's limits."""

import json
from typing import Any

from isthmus.resilience import LIMITS_SCHEMA
from isthmus.resilience.faults import FixRequest, Violation
from isthmus.services.registry.domain.schema import compiled

# The member around them makes every pointer begin with /limits, in paths and in sentences.
_SCHEMA = json.dumps({"type": "object", "properties": {"limits": LIMITS_SCHEMA}})


def limits_violations(limits: dict[str, Any]) -> list[Violation]:
    """List what is wrong with limits; pointers begin with `/limits`."""
    return compiled(_SCHEMA).violations({"limits": limits})


def check_limits(limits: dict[str, Any]) -> None:
    """Refuse limits that are unknown or out of their bounds.

    Raises:
        FixRequest: `LIMITS_INVALID`, with one violation per field.
    """
    found = limits_violations(limits)
    if found:
        more = f" And {len(found) - 1} more; see the violations." if len(found) > 1 else ""
        raise FixRequest("LIMITS_INVALID", found[0].message + more, path=found[0].path, violations=found)


__all__ = ["check_limits", "limits_violations"]
