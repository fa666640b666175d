"""What an HTTP status means for a flow."""

from collections.abc import Mapping

from isthmus.sdk.failures import (
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    Failure,
    NotFound,
    PermissionFailure,
    RateLimited,
    TransientFailure,
)
from isthmus.sdk.waiting import asked_to_wait

REPEATABLE = frozenset({429, 502, 503, 504})
# A system refuses one record with these; the writer decides what that means.
REFUSALS = frozenset({400, 409, 412, 413, 422})
# Of other answers it is not certain: a 502 or 504 comes from somebody in between.
_WITHOUT_EFFECT = frozenset({429, 503})


def may_have_effect(status: int) -> bool:
    """Whether a request that changes things may have done so, though it was answered like this."""
    return status < 400 or (status >= 500 and status not in _WITHOUT_EFFECT)


def failure_of(status: int, url: str, headers: Mapping[str, str], method: str = "GET") -> Failure:
    """The typed failure for an answer that is none; the message names the address and a remedy."""
    what = f"{method} {url} was answered with {status}"
    wait = asked_to_wait(headers)
    if status == 429:
        hint = f"wait {wait:g} s" if wait is not None else "wait before asking again"
        return RateLimited("RATE_LIMITED", f"{what}: too many requests; {hint}.", retry_after=wait)
    if status >= 500:
        text = f"{what}: the system has a problem; repeat later, and look at its own log if it stays."
        return TransientFailure("SYSTEM_FAILED", text, retry_after=wait)
    if status == 408:
        return TransientFailure("SYSTEM_TIMEOUT", f"{what}: the system gave up waiting; repeat later.")
    return _refusal(status, what)


def _refusal(status: int, what: str) -> Failure:
    if status in {401, 407}:
        text = f"{what}: the credential is missing, wrong or expired; renew it."
        return AuthenticationFailure("AUTHENTICATION_FAILED", text)
    if status == 403:
        text = f"{what}: the account may not do this; grant it access to this address."
        return PermissionFailure("PERMISSION_MISSING_AT_SYSTEM", text)
    if status in {404, 410}:
        return NotFound(
            "NOT_FOUND_AT_SYSTEM", f"{what}: there is nothing at this address; check URL and path."
        )
    if 300 <= status < 400:
        text = f"{what}: the system sends us elsewhere; enter the final address in the settings."
        return ConfigurationFailure("REDIRECTED", text)
    if 400 <= status < 500:
        text = f"{what}: the system does not accept the request; check path, parameters and settings."
        return ConfigurationFailure("REQUEST_REFUSED", text)
    return DataFailure("SYSTEM_ANSWER_INVALID", f"{what}: this status is not one to expect.")
