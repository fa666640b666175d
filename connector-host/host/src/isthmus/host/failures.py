"""What a fault means for an execution: who has to act, or whether waiting helps."""

from isthmus.host.texts import clean
from isthmus.kit.redaction import scrub_personal
from isthmus.resilience import (
    Broken,
    DataLost,
    Fault,
    FixRequest,
    LimitReached,
    Missing,
    NotAllowed,
    Precondition,
    Unsupported,
)
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

Error = scheduling.ExecutionError
KIND = "failure_kind"
_LONGEST_MESSAGE = 1000

_REASONS = {
    "AUTHENTICATION_FAILED": Error.KIND_AUTHENTICATION,
    "AUTH_CONFIG_EXPIRED": Error.KIND_AUTHENTICATION,
    "SECRET_MISSING": Error.KIND_AUTHENTICATION,
    "AUTH_CONFIG_UNKNOWN": Error.KIND_AUTHENTICATION,
    "PERMISSION_MISSING_AT_SYSTEM": Error.KIND_PERMISSION,
    "DELETIONS_SUSPICIOUS": Error.KIND_DATA,
    "EGRESS_DENIED": Error.KIND_PERMISSION,
}
_SDK_CLASSES = {
    "ConfigurationFailure": Error.KIND_CONFIGURATION,
    "AuthenticationFailure": Error.KIND_AUTHENTICATION,
    "PermissionFailure": Error.KIND_PERMISSION,
    "TransientFailure": Error.KIND_TRANSIENT,
    "RateLimited": Error.KIND_RATE_LIMITED,
    "NotFound": Error.KIND_NOT_FOUND,
    "DataFailure": Error.KIND_DATA,
    "Fatal": Error.KIND_FATAL,
}
_CLASSES: tuple[tuple[type[Fault], "Error.Kind.ValueType"], ...] = (
    (FixRequest, Error.KIND_CONFIGURATION),
    (Precondition, Error.KIND_CONFIGURATION),
    (Missing, Error.KIND_NOT_FOUND),
    (NotAllowed, Error.KIND_PERMISSION),
    (LimitReached, Error.KIND_RATE_LIMITED),
    (DataLost, Error.KIND_DATA),
    (Unsupported, Error.KIND_FATAL),
    (Broken, Error.KIND_FATAL),
)


def kind_of(fault: Fault) -> "Error.Kind.ValueType":
    """Return the kind of failure; what nobody foresaw counts as transient."""
    told = fault.metadata.get(KIND, "")
    if told.startswith("KIND_") and told in Error.Kind.keys():  # noqa: SIM118 - an enum wrapper is no mapping
        return Error.Kind.Value(told)
    for name in (kind.__name__ for kind in type(fault).__mro__):
        if name in _SDK_CLASSES:
            return _SDK_CLASSES[name]
    if fault.reason in _REASONS:
        return _REASONS[fault.reason]
    return next((kind for cls, kind in _CLASSES if isinstance(fault, cls)), Error.KIND_TRANSIENT)


def marked(fault: Fault) -> Fault:
    """Write the kind into the fault, so that it survives the way to another process."""
    fault.metadata.setdefault(KIND, Error.Kind.Name(kind_of(fault)))
    return fault


def error_message(fault: Fault, doing: str) -> Error:
    """Return why an attempt did not succeed.

    Args:
        fault: What happened.
        doing: What was being done to what, for example `Reading incident from acme`.
    """
    error = Error(
        kind=kind_of(fault),
        reason=clean(fault.reason, 100) or "UNEXPECTED",
        message=clean(scrub_personal(f"{doing}: {fault.message}"), _LONGEST_MESSAGE),
    )
    wait = getattr(fault, "retry_after", None)
    if wait is not None and wait > 0 and error.kind in {Error.KIND_TRANSIENT, Error.KIND_RATE_LIMITED}:
        error.retry_after.FromNanoseconds(int(min(wait, 86_400.0) * 1e9))
    return error


def is_authentication(fault: Fault) -> bool:
    """Tell whether a new secret may help."""
    return kind_of(fault) == Error.KIND_AUTHENTICATION


__all__ = ["KIND", "error_message", "is_authentication", "kind_of", "marked"]
