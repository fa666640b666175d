"""What can go wrong between a connector and its system; each class says what happens next.

Failure (a Fault of isthmus.resilience)
├── ConfigurationFailure   a person mends the settings
├── AuthenticationFailure  a person renews the credential
├── PermissionFailure      a person grants what the message names
├── TransientFailure       the host waits and repeats
├── RateLimited            the host waits as long as the system asked, and repeats
├── NotFound               the thing asked for does not exist at the system
├── DataFailure            the answer or a record is not what the system promises
├── DeletionsSuspicious    a person looks why so much would be removed
├── Fenced                 a newer attempt owns the flow: stop
├── SignatureInvalid       a webhook was not sent by whom it claims
└── Fatal                  a defect of the connector
"""

from collections.abc import Mapping

from isthmus.resilience.faults import (
    Broken,
    DataLost,
    Fault,
    FixRequest,
    LimitReached,
    Missing,
    NotAllowed,
    Precondition,
    RetryLater,
    Violation,
)


class Failure(Fault):
    """The common root, so that an author can catch every typed failure at once."""

    @property
    def code(self) -> str:
        """The stable word that names the cause; the same as `reason`."""
        return self.reason


class ConfigurationFailure(Failure, FixRequest):
    """The settings cannot work as they are; `violations` name the fields."""

    def __init__(
        self,
        code: str = "CONFIGURATION_INVALID",
        message: str = "The configuration is not valid; mend the fields named in the details.",
        *,
        path: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        FixRequest.__init__(self, code, message, path=path, metadata=metadata, violations=violations)


class AuthenticationFailure(Failure, Precondition):
    """The system refused the credential; renew it."""


class PermissionFailure(Failure, Precondition):
    """The credential is good and may not do this; grant what the message names."""


class TransientFailure(Failure, RetryLater):
    """The system did not answer well this time; waiting and repeating may help."""


class RateLimited(Failure, LimitReached):
    """The system asked to wait; `retry_after` says how many seconds, when it told."""


class NotFound(Failure, Missing):
    """The system does not know the address, stream or record."""


class DataFailure(Failure, DataLost):
    """An answer or a record is not what the system promises; the message says where."""


class DeletionsSuspicious(Failure, Precondition):
    """More would be removed than is believable, so nothing was; look at the source, then raise the limit."""

    def __init__(self, why: str) -> None:
        super().__init__("DELETIONS_SUSPICIOUS", why)


class Fenced(Failure, Precondition):
    """A newer attempt writes this flow; the older one has to stop."""

    def __init__(
        self, code: str = "FENCED", message: str = "A newer attempt writes this flow; stop."
    ) -> None:
        super().__init__(code, message)


class SignatureInvalid(Failure, NotAllowed):
    """The webhook does not carry a valid signature; answer 401 and drop the body."""

    def __init__(
        self,
        code: str = "SIGNATURE_INVALID",
        message: str = "The signature does not fit the body; check the signing secret on both sides.",
    ) -> None:
        super().__init__(code, message)


class Fatal(Failure, Broken):
    """The connector itself is at fault; repeating does not help, reporting it does."""


__all__ = [
    "AuthenticationFailure",
    "ConfigurationFailure",
    "DataFailure",
    "DeletionsSuspicious",
    "Failure",
    "Fatal",
    "Fenced",
    "NotFound",
    "PermissionFailure",
    "RateLimited",
    "SignatureInvalid",
    "TransientFailure",
    "Violation",
]
