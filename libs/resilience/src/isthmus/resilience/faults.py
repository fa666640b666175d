"""The tree of failures. The class says what the caller does next, the reason says why.

Fault
├── FixRequest          change the request, then send it again
├── Unsupported         ask for something this build can do
├── Missing             it does not exist; create it or correct the name
├── AlreadyExists       it is there already; read it or choose another name
├── Conflict            somebody was faster; read again, then repeat
├── Precondition        bring the system into another state first
├── NotAllowed          ask an administrator for the permission
├── NotAuthenticated    present a valid credential
├── RetryLater          wait, then repeat the very same request
├── LimitReached        slow down, then repeat the very same request
├── OutOfTime           repeat with more time
├── DataLost            records cannot be recovered from here
└── Broken              a defect of ours; report it with the correlation id
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field of a request.

    Attributes:
        path: The field, written `a.b[2].c`.
        reason: Stable word in capitals that a program may compare.
        message: One sentence for a human, with the remedy.
    """

    path: str
    reason: str
    message: str


class Fault(Exception):
    """A failure the caller can act on. The class says what to do, `reason` says why.

    Args:
        reason: Stable word in capitals, for example `ETAG_MISMATCH`.
        message: One sentence that names what happened, to what, and the remedy.
        path: The request field that is to blame, when one is.
        metadata: More facts for a program; never a secret.
    """

    def __init__(
        self, reason: str, message: str, *, path: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.path = path
        self.metadata = dict(metadata or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r}, {self.message!r})"


class FixRequest(Fault):
    """Change the request before sending it again; `violations` names every field to change."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        path: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[Violation] = (),
    ) -> None:
        super().__init__(reason, message, path=path, metadata=metadata)
        self.violations = tuple(violations)
        if not self.violations and path:
            self.violations = (Violation(path, reason, message),)


class Unsupported(Fault):
    """This build or this connector cannot do it; ask for something else."""


class Missing(Fault):
    """The thing asked for does not exist for this tenant."""


class AlreadyExists(Fault):
    """Something with this name or id is there already."""


class Conflict(Fault):
    """Somebody else was faster; read the present state, then repeat."""


class Precondition(Fault):
    """The system is in a state that forbids this; change that state first."""


class NotAllowed(Fault):
    """The caller is known and lacks the permission."""


class NotAuthenticated(Fault):
    """The caller is not known: the credential is absent, wrong or expired."""


class _Waiting(Fault):
    """A failure that passes by itself."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        path: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, path=path, metadata=metadata)
        self.retry_after = retry_after


class RetryLater(_Waiting):
    """Nothing is wrong with the request; wait `retry_after` seconds when given, then repeat it."""


class LimitReached(_Waiting):
    """A quota is used up; wait `retry_after` seconds when given, then repeat the request."""


class OutOfTime(Fault):
    """The deadline passed before the work was done; it may or may not have happened."""


class DataLost(Fault):
    """Records are gone or unreadable and cannot be recovered from here."""


class Broken(Fault):
    """A defect on our side; repeating will not help, reporting it will."""


__all__ = [
    "AlreadyExists",
    "Broken",
    "Conflict",
    "DataLost",
    "Fault",
    "FixRequest",
    "LimitReached",
    "Missing",
    "NotAllowed",
    "NotAuthenticated",
    "OutOfTime",
    "Precondition",
    "RetryLater",
    "Unsupported",
    "Violation",
]
