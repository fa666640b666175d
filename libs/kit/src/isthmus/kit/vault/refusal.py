"""What the vault's errors mean to whoever called."""

import ssl

from isthmus.resilience.faults import Conflict, Fault, Missing, RetryLater

_RETRY_AFTER = 1.0


def fault_of(error: Exception) -> Fault:
    """Say an error of the client in the mesh's words, without the address and what was sent.

    Args:
        error: From `hvac`, from the HTTP client beneath it, or from reading a file of the login.
    """
    import hvac.exceptions as errors

    if isinstance(error, Fault):
        return error
    if isinstance(error, errors.InvalidPath):
        return Missing("SECRET_UNKNOWN", "The vault has no such secret; enter it again.")
    if isinstance(error, errors.InvalidRequest) and "check-and-set" in str(error):
        return Conflict("SECRET_CHANGED", "Somebody else stored this secret meanwhile; read it again.")
    if isinstance(error, errors.VaultDown):
        return sealed()
    return unreachable(_why(error))


def _why(error: Exception) -> str:
    import hvac.exceptions as errors

    if (why := _why_not_believed(error)) is not None:
        return why
    known: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        ((errors.Forbidden, errors.Unauthorized), "refuses this service's token"),
        (errors.VaultError, f"answered with an error ({type(error).__name__})"),
        (
            (FileNotFoundError, PermissionError),
            "cannot be asked: the file with this service's token or role, or with the vault's authorities, "
            "cannot be read",
        ),
    )
    if isinstance(error, errors.InvalidRequest) and "secret id" in str(error):
        return "refuses this service's secret id; put a new one into its file"
    if isinstance(error, errors.InvalidRequest) and "HTTPS server" in str(error):
        return "wants TLS: begin its address with https://"
    return next((words for kinds, words in known if isinstance(error, kinds)), "cannot be reached")


def _why_not_believed(error: Exception) -> str | None:
    import requests.exceptions

    if not isinstance(error, (ssl.SSLError, requests.exceptions.SSLError)):
        return None
    told = str(error).lower()
    if "certificate verify failed" in told:
        return (
            "is not believed, since nobody vouches for its certificate; name its authorities in "
            "ISTHMUS_VAULT_CA_FILE"
        )
    if "no certificate" in told:
        return "cannot be asked: ISTHMUS_VAULT_CA_FILE holds no certificate"
    return "cannot be spoken to with TLS; look whether its address is right"


def unreachable(why: str, retry_after: float = _RETRY_AFTER) -> RetryLater:
    """Make the refusal that asks to come again.

    Args:
        why: What follows "The vault".
        retry_after: In how many seconds.
    """
    message = f"The vault {why}; repeat the call in a moment."
    return RetryLater("VAULT_UNREACHABLE", message, retry_after=retry_after)


def sealed() -> RetryLater:
    """Make the refusal of a vault that answers and has not got its key."""
    message = "The vault is sealed or starting; unseal it, then the call may be repeated."
    return RetryLater("VAULT_SEALED", message, retry_after=_RETRY_AFTER)


__all__ = ["fault_of", "sealed", "unreachable"]
