"""Steps of a check that end before the connector is asked."""

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


__all__ = ["without_credential"]
