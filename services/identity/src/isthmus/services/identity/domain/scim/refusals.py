"""How a request that SCIM does not allow is refused."""

from isthmus.resilience.faults import FixRequest

KINDS = {
    "invalidFilter": "SCIM_INVALID_FILTER",
    "invalidPath": "SCIM_INVALID_PATH",
    "invalidSyntax": "SCIM_INVALID_SYNTAX",
    "invalidValue": "SCIM_INVALID_VALUE",
    "mutability": "SCIM_MUTABILITY",
    "noTarget": "SCIM_NO_TARGET",
    "tooMany": "SCIM_TOO_MANY",
}


def refusal(kind: str, message: str) -> FixRequest:
    """Build the fault for one of SCIM's kinds of errors."""
    return FixRequest(KINDS[kind], message, metadata={"scim_type": kind})


__all__ = ["KINDS", "refusal"]
