"""What token servers say when they give no token, as faults with a remedy."""

import re
from collections.abc import Mapping
from typing import Any

from isthmus.resilience.faults import Fault, Precondition, RetryLater
from isthmus.services.credentials.domain import is_safe_url

_ERROR = re.compile(r"[a-z_]{1,40}")
_ENTRA_CODE = re.compile(r"AADSTS\d{4,8}")
_REMEDIES = {
    "invalid_client": ("TOKEN_CLIENT_REFUSED", "correct the client id, the secret, or how they are sent"),
    "unauthorized_client": ("TOKEN_CLIENT_REFUSED", "allow the client this grant at the token server"),
    "invalid_scope": ("TOKEN_SCOPE_REFUSED", "correct the scopes, or have them granted to the client"),
    "invalid_target": ("TOKEN_SCOPE_REFUSED", "correct the audience"),
    "access_denied": ("AUTHORIZATION_DENIED", "the person said no; start again"),
    "expired_token": ("AUTHORIZATION_EXPIRED", "the code was not entered in time; start again"),
    "invalid_grant": ("TOKEN_GRANT_REFUSED", "authorize it again, or correct what stands in the grant"),
}
_PASSING = {"slow_down", "temporarily_unavailable", "server_error"}


def refusal_of(url: str, status: int, headers: Mapping[str, str], answer: Mapping[str, Any]) -> Fault:
    """Gives the fault for an answer without a token; nothing that may be a secret is repeated.

    Args:
        url: Who has answered.
        status: Of HTTP.
        headers: Of the answer.
        answer: Its JSON; empty where it had none.
    """
    told = answer.get("error")
    error = told if isinstance(told, str) and _ERROR.fullmatch(told) else ""
    # Descriptions may repeat what was sent; of them only Microsoft's error numbers are shown.
    number = _ENTRA_CODE.search(str(answer.get("error_description", "")))
    said = f"{error or f'status {status}'}{f' ({number[0]})' if number else ''}"
    where = shown(url)
    if error == "authorization_pending":
        return RetryLater("AUTHORIZATION_PENDING", f"{where}: the person has not decided yet.")
    if status == 429 or status >= 500 or error in _PASSING:
        return _passing(where, status, said, error, headers)
    if error in _REMEDIES:
        reason, remedy = _REMEDIES[error]
        return Precondition(reason, f"{where} answers {said}: {remedy}.")
    if error:
        return Precondition("TOKEN_REQUEST_REFUSED", f"{where} answers {said}: correct the configuration.")
    message = (
        f"{where} answers with status {status} and nothing that a token server says (RFC 6749, 5.2); "
        "correct `token_url`."
    )
    return Precondition("TOKEN_ANSWER_INVALID", message)


def _passing(where: str, status: int, said: str, error: str, headers: Mapping[str, str]) -> RetryLater:
    after = _retry_after(headers)
    if status >= 500 and error not in _PASSING:
        message = f"{where} is in trouble (status {status}); repeat later."
        return RetryLater("TOKEN_SERVER_UNREACHABLE", message, retry_after=after)
    message = f"{where} asks to be left alone for a while ({said}); repeat later."
    return RetryLater("TOKEN_SERVER_BUSY", message, retry_after=after, metadata={"error": error})


def _retry_after(headers: Mapping[str, str]) -> float:
    told = headers.get("retry-after", "").strip()
    return float(told) if told.isdecimal() and len(told) < 6 else 5.0


def unreachable(url: str, why: str) -> RetryLater:
    """Gives the fault for no answer."""
    message = f"{shown(url)} {why}; check `token_url` and the network, or repeat later."
    return RetryLater("TOKEN_SERVER_UNREACHABLE", message, retry_after=5.0)


def shown(url: str) -> str:
    """The address without what might be a secret in it."""
    return f"The token server {url.partition('?')[0]}" if is_safe_url(url) else "The token server"


__all__ = ["refusal_of", "shown", "unreachable"]
