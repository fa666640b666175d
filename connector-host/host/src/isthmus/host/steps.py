"""Steps of a check that end before the connector is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.resilience import Fault

_Step = connector.CheckStep


def without_credential(fault: Fault) -> list[connector.CheckStep]:
    """Return the steps of a check whose credential could not be borrowed."""
    skipped = "Not tried, because the credential is not at hand."
    return [
        _Step(step="configuration", result=_Step.RESULT_PASSED),
        _Step(step="reach", result=_Step.RESULT_SKIPPED, reason="SKIPPED", message=skipped),
        _Step(
            step="authenticate",
            result=_Step.RESULT_FAILED,
            reason=fault.reason,
            message=fault.message,
            remedy="Enter the secret again, or choose another credential.",
        ),
        _Step(step="permit", result=_Step.RESULT_SKIPPED, reason="SKIPPED", message=skipped),
        _Step(step="sample", result=_Step.RESULT_SKIPPED, reason="SKIPPED", message=skipped),
    ]


def granted(needed: Sequence[str], scopes: Sequence[str] | None) -> connector.CheckStep | None:
    """Return the step that compares the scopes a connector needs with those of the access token.

    None where nothing is needed, or where the credential has no scopes that anybody could tell.
    """
    if not needed or scopes is None:
        return None
    step = _Step(step="scopes", granted_permissions=scopes, needed_permissions=needed)
    lacking = [one for one in needed if one not in scopes]
    step.result = _Step.RESULT_WARNING if lacking else _Step.RESULT_PASSED
    if lacking:
        step.reason = "SCOPES_NOT_GRANTED"
        step.message = f"The connector needs scopes that the access token lacks: {', '.join(lacking)}."
        step.remedy = "Add them to the credential, and have them granted at the external system."
    return step


def needed(declared: Sequence[str], configuration: Mapping[str, Any]) -> list[str]:
    """Return the scopes that a connector needs, and those that an instance of a generic one says it does."""
    more = configuration.get("needed_scopes")
    own = [one for one in more if isinstance(one, str)] if isinstance(more, list) else []
    return list(dict.fromkeys((*declared, *own)))


__all__ = ["granted", "needed", "without_credential"]
