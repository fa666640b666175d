"""The one table between faults and gRPC statuses, read in both directions."""

import sys
from typing import Any, NamedTuple
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from isthmus.kit.redaction import scrub
from isthmus.resilience.faults import (
    AlreadyExists,
    Broken,
    Conflict,
    DataLost,
    Fault,
    FixRequest,
    LimitReached,
    Missing,
    NotAllowed,
    NotAuthenticated,
    OutOfTime,
    Precondition,
    RetryLater,
    Unsupported,
    Violation,
)
from isthmus.type.v1.refusal_pb2 import Refusal

_DOMAIN = "isthmus.dev"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_DETAILS_KEY = "grpc-status-details-bin"
# Trailers above 8 KiB are refused by most gRPC clients; the message goes percent-encoded, details in base64.
_LONGEST_MESSAGE = 1500
_LARGEST_DETAILS = 4000
_DEFAULT_RETRY = 1.0
_LONGEST_PUSHBACK = 10.0

_TABLE: tuple[tuple[type[Fault], grpc.StatusCode], ...] = (
    (FixRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (Missing, grpc.StatusCode.NOT_FOUND),
    (AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (Conflict, grpc.StatusCode.ABORTED),
    (Precondition, grpc.StatusCode.FAILED_PRECONDITION),
    (NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (NotAuthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (RetryLater, grpc.StatusCode.UNAVAILABLE),
    (LimitReached, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (OutOfTime, grpc.StatusCode.DEADLINE_EXCEEDED),
    (DataLost, grpc.StatusCode.DATA_LOSS),
    (Unsupported, grpc.StatusCode.UNIMPLEMENTED),
    (Broken, grpc.StatusCode.INTERNAL),
)
_CODES = dict(_TABLE)
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
_FAULTS = {code: fault for fault, code in _TABLE}

# What a status means when the peer (or gRPC itself) sent no reason with it.
_BARE: dict[grpc.StatusCode, tuple[type[Fault], str]] = {
    grpc.StatusCode.UNAVAILABLE: (RetryLater, "PEER_UNREACHABLE"),
    grpc.StatusCode.CANCELLED: (RetryLater, "CALL_CANCELLED"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (OutOfTime, "DEADLINE_EXCEEDED"),
    grpc.StatusCode.UNIMPLEMENTED: (Unsupported, "RPC_UNKNOWN"),
    grpc.StatusCode.OUT_OF_RANGE: (FixRequest, "OUT_OF_RANGE"),
}


class Answer(NamedTuple):
    """A fault as gRPC sends it."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def code_of(fault: Fault) -> grpc.StatusCode:
    """Return the status of a fault, by the nearest class the table knows."""
    return next((_CODES[kind] for kind in type(fault).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


def answer_of(fault: Fault, correlation_id: str = "") -> Answer:
    """Return status, message and rich details of a fault, small enough for any client's limits."""
    code = code_of(fault)
    message = _transmittable(scrub(fault.message))
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    metadata = {key: _shortened(value, 200) for key, value in list(fault.metadata.items())[:8]}
    if correlation_id:
        metadata["correlation_id"] = correlation_id
    if fault.path:
        metadata["path"] = _shortened(fault.path, 200)
    _pack(status, error_details_pb2.ErrorInfo(reason=fault.reason, domain=_DOMAIN, metadata=metadata))
    if isinstance(fault, RetryLater | LimitReached):
        _pack(status, error_details_pb2.RetryInfo(retry_delay=_duration(fault.retry_after)))
    if isinstance(fault, LimitReached) and "quota" in fault.metadata:
        _pack(status, _quota_failure(fault.metadata["quota"], message))
    if isinstance(fault, FixRequest) and fault.violations:
        _pack(status, _bad_request(fault.violations, _LARGEST_DETAILS - status.ByteSize()))
    trailers: tuple[tuple[str, str | bytes], ...] = ((_DETAILS_KEY, status.SerializeToString()),)
    if isinstance(fault, LimitReached):
        trailers = (*trailers, (_PUSHBACK_KEY, _pushback(fault.retry_after)))
    return Answer(code, message, trailers)


def _bad_request(violations: tuple[Violation, ...], largest: int) -> error_details_pb2.BadRequest:
    details = error_details_pb2.BadRequest()
    for violation in violations:
        details.field_violations.add(
            field=_shortened(violation.path, 200),
            reason=violation.reason,
            description=_shortened(scrub(violation.message), 300),
        )
        if details.ByteSize() > largest:
            del details.field_violations[-1]
            break
    return details


def _pushback(seconds: float | None) -> str:
    """Say to gRPC's own repetitions when to come, or that coming soon is of no use."""
    delay = _DEFAULT_RETRY if seconds is None else seconds
    return str(int(delay * 1000)) if delay <= _LONGEST_PUSHBACK else "-1"


def _quota_failure(quota: str, message: str) -> error_details_pb2.QuotaFailure:
    details = error_details_pb2.QuotaFailure()
    details.violations.add(subject=_shortened(quota, 200), description=_shortened(message, 300))
    return details


def _pack(status: status_pb2.Status, detail: Any) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def _duration(seconds: float | None) -> duration_pb2.Duration:
    delay = _DEFAULT_RETRY if seconds is None else max(0.0, min(seconds, 86_400.0))
    return duration_pb2.Duration(seconds=int(delay), nanos=int(delay % 1 * 1e9))


def _transmittable(message: str) -> str:
    shortened = _shortened(message, _LONGEST_MESSAGE)
    while len(quote(shortened)) > _LONGEST_MESSAGE:
        shortened = shortened[: len(shortened) * 3 // 4] + "…"
    return shortened


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def fault_from_rpc_error(error: grpc.RpcError) -> Fault:
    """Return the fault a peer raised, with its reason, message, metadata and violations.

    Statuses that gRPC itself makes, such as an unreachable peer, get a reason of their own.
    """
    code: grpc.StatusCode = error.code()
    message = error.details() or code.name.replace("_", " ").capitalize()
    status = _rich_status(error)
    if status is None:
        return _bare_fault(code, message)
    info, retry, bad = _unpack(status)
    return _build(code, info, message, retry, bad)


def _rich_status(error: grpc.RpcError) -> status_pb2.Status | None:
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == _DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _unpack(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, float | None, tuple[Violation, ...]]:
    info = error_details_pb2.ErrorInfo()
    retry: float | None = None
    violations: list[Violation] = []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry = delay.seconds + delay.nanos / 1e9
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            found = error_details_pb2.BadRequest.FromString(detail.value).field_violations
            violations.extend(Violation(item.field, item.reason, item.description) for item in found)
    return info, retry, tuple(violations)


def _build(
    code: grpc.StatusCode,
    info: error_details_pb2.ErrorInfo,
    message: str,
    retry_after: float | None,
    violations: tuple[Violation, ...],
) -> Fault:
    bare, default_reason = _BARE.get(code, (Broken, code.name))
    kind = _FAULTS.get(code, bare)
    reason = info.reason or default_reason
    metadata = dict(info.metadata)
    path = metadata.pop("path", "")
    if issubclass(kind, FixRequest):
        return kind(reason, message, path=path, metadata=metadata, violations=violations)
    if issubclass(kind, RetryLater | LimitReached):
        return kind(reason, message, path=path, metadata=metadata, retry_after=retry_after)
    return kind(reason, message, path=path, metadata=metadata)


def _bare_fault(code: grpc.StatusCode, message: str) -> Fault:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return FixRequest("MESSAGE_TOO_LARGE", "The message is too large; send less at once.")
    kind, reason = _BARE.get(code, (_FAULTS.get(code, Broken), code.name))
    return kind(reason, message)


def refusal_of(fault: Fault) -> Refusal:
    """Return a fault as the result of one of several things that were asked for in one call."""
    refusal = Refusal(
        code=code_of(fault).value[0],
        reason=fault.reason,
        message=_shortened(scrub(fault.message), _LONGEST_MESSAGE),
        metadata={key: _shortened(value, 200) for key, value in list(fault.metadata.items())[:8]},
    )
    if fault.path:
        refusal.metadata["path"] = _shortened(fault.path, 200)
    if isinstance(fault, RetryLater | LimitReached):
        refusal.retry_after.CopyFrom(_duration(fault.retry_after))
    return refusal


def fault_of_refusal(refusal: Refusal) -> Fault:
    """Return the fault that one of several things has ended with."""
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, metadata=refusal.metadata)
    after = refusal.retry_after.ToTimedelta().total_seconds() if refusal.HasField("retry_after") else None
    return _build(_BY_NUMBER.get(refusal.code, grpc.StatusCode.UNKNOWN), info, refusal.message, after, ())


def fault_of(error: BaseException) -> Fault | None:
    """Return the fault an exception stands for, or None when it is a defect nobody foresaw."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return _fault_of_peer(error)
    if isinstance(error, TimeoutError):
        return OutOfTime("TIMED_OUT", "It took longer than the deadline allows; repeat with more time.")
    if isinstance(error, NotImplementedError):
        return Unsupported("RPC_NOT_IMPLEMENTED", "This version does not offer this call.")
    if {"sqlalchemy", "psycopg"} & sys.modules.keys():
        from isthmus.kit.db.faults import fault_from_database_error

        return fault_from_database_error(error)
    return None


def _fault_of_peer(error: grpc.aio.AioRpcError) -> Fault | None:
    """Hand on what a peer said, except that it refused our own identity: that is a defect of ours."""
    fault = fault_from_rpc_error(error)
    return None if isinstance(fault, NotAllowed | NotAuthenticated | Broken) else fault


__all__ = [
    "Answer",
    "answer_of",
    "code_of",
    "fault_from_rpc_error",
    "fault_of",
    "fault_of_refusal",
    "refusal_of",
]
