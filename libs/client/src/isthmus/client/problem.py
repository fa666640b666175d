"""What went wrong, in one sentence with a remedy."""

from dataclasses import dataclass
from enum import IntEnum

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class ExitCode(IntEnum):
    """How the command line ends; the numbers are stable."""

    DONE = 0
    """It worked."""
    FAILED = 1
    """It was tried and failed, or something differs: a check, a sync, `isthmus diff`."""
    USAGE = 2
    """The command, a file or a name in it has to be mended; nothing was changed."""
    REFUSED = 3
    """The key is not valid, or does not allow this."""
    UNREACHABLE = 4
    """No mesh answers here, or not in time."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what has begun in the mesh goes on."""


@dataclass(frozen=True)
class Violation:
    """One field that has to be mended."""

    path: str
    message: str


class Problem(Exception):
    """A failure that a person can act on."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        violations: tuple[Violation, ...] = (),
        exit_code: ExitCode = ExitCode.FAILED,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = violations
        self.exit_code = exit_code


_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.NOT_FOUND: ExitCode.USAGE,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.REFUSED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
}


def problem_from(error: grpc.RpcError) -> Problem:
    """Turns a failed call into a sentence with a remedy.

    Details follow google.rpc.ErrorInfo and BadRequest (AIP-193).
    """
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    reason, violations = _details(error)
    message = (error.details() if isinstance(error, grpc.Call) else str(error)) or code.name
    if not reason and code is grpc.StatusCode.UNAVAILABLE:
        message = "The mesh does not answer: run `isthmus status`, or start it with `isthmus up`."
    if not reason and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = "The mesh did not answer in time: run `isthmus status` and try again."
    return Problem(
        reason or code.name,
        message,
        violations=violations,
        exit_code=_EXIT_CODES.get(code, ExitCode.FAILED),
    )


def _details(error: grpc.RpcError) -> tuple[str, tuple[Violation, ...]]:
    if not isinstance(error, grpc.Call):
        return "", ()
    status = rpc_status.from_call(error)
    reason = ""
    violations: list[Violation] = []
    for packed in status.details if status is not None else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if packed.Unpack(info):
            reason = info.reason
        elif packed.Unpack(bad):
            violations += [Violation(item.field, item.description) for item in bad.field_violations]
    return reason, tuple(violations)
