"""What an error of PostgreSQL means for a flow; codes are those of its appendix A."""

import psycopg
from isthmus.sdk import (
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    Failure,
    PermissionFailure,
    TransientFailure,
    Verdict,
)

_CODES: dict[str, tuple[type[Failure], str, str]] = {
    "28P01": (
        AuthenticationFailure,
        "AUTHENTICATION_FAILED",
        "The database refused user or password: renew them.",
    ),
    "28000": (
        AuthenticationFailure,
        "AUTHENTICATION_FAILED",
        "The database refused the user: check pg_hba.conf.",
    ),
    "3D000": (ConfigurationFailure, "DATABASE_UNKNOWN", "There is no such database: correct `database`."),
    "42501": (PermissionFailure, "PERMISSION_MISSING_AT_SYSTEM", "Grant the user what is refused: {said}."),
    "42P01": (ConfigurationFailure, "TABLE_UNKNOWN", "The database does not know a table: {said}."),
    "42703": (ConfigurationFailure, "COLUMN_UNKNOWN", "The database does not know a column: {said}."),
    "42601": (ConfigurationFailure, "QUERY_INVALID", "A query is not valid SQL: {said}."),
    "25006": (ConfigurationFailure, "QUERY_WRITES", "Queries run read-only; remove what writes: {said}."),
    "57014": (
        TransientFailure,
        "STATEMENT_TIMEOUT",
        "A statement took too long: raise `statement_timeout_seconds` and, in the limits, `timeouts`.",
    ),
}
_CLASSES: dict[str, tuple[type[Failure], str, str]] = {
    "22": (DataFailure, "VALUE_INVALID", "The database cannot store a value: {said}."),
    "23": (DataFailure, "CONSTRAINT_VIOLATED", "The database refused a row: {said}."),
    "42": (ConfigurationFailure, "STATEMENT_INVALID", "The database refused a statement: {said}."),
}


# The server is short of something, goes down, or comes up: connection exceptions, resources, shutdown.
_UNWELL = ("08", "53", "57P")
# What libpq says where TLS is wanted and not had, or where a password is wanted that is not to be shown.
_UNPROVEN = (
    "certificate verify failed",
    "does not match host name",
    "does not support SSL",
    "root certificate",
    "cannot be requested",
    "authentication method requirement",
)
# Two transactions, or two locks, got in each other's way; nothing is wrong with the server.
_COLLIDED = {"40001", "40P01", "55P03"}


def failure_of(error: psycopg.Error) -> Failure:
    """Gives the typed failure for an error of the driver; connection strings are never repeated."""
    code = error.sqlstate or ""
    said = (error.diag.message_primary or "").rstrip(".")
    if code and code not in _CODES and code[:2] not in _CLASSES:
        text = f"The database failed with {code}: {said}. Repeat later, and look at its log if it stays."
        return TransientFailure("SYSTEM_FAILED", text)
    kind, reason, text = _CODES.get(code) or _CLASSES.get(code[:2]) or _without_code(error)
    return kind(reason, text.format(said=said))


def verdict_of(outcome: object) -> Verdict | None:
    """Says whether an error of the driver is worth another try; None for what is none of the driver's.

    Codes that are not known to pass by themselves end the tries, and so does a statement that
    somebody cancelled: the flow goes on later.
    """
    if not isinstance(outcome, psycopg.Error):
        return None
    code = outcome.sqlstate or ""
    if code in _COLLIDED:
        return Verdict(repeat=True)
    lost = not code and isinstance(failure_of(outcome), TransientFailure)
    unwell = code.startswith(_UNWELL) or lost
    return Verdict(repeat=unwell, healthy=False if unwell else None)


def _without_code(error: psycopg.Error) -> tuple[type[Failure], str, str]:
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return _CODES["28P01"]
    if "does not exist" in text and "database" in text:
        return _CODES["3D000"]
    if "no pg_hba.conf entry" in text or ("role" in text and "does not exist" in text):
        return _CODES["28000"]
    if any(words in text for words in _UNPROVEN):
        return (
            ConfigurationFailure,
            "SERVER_UNPROVEN",
            "The server does not prove who it is by a certificate for `host`: name who vouches for it in "
            "`authorities`; in a network that is protected, ask for less by `sslmode`.",
        )
    return (
        TransientFailure,
        "SYSTEM_UNREACHABLE",
        "The database cannot be reached or went away: check host, port and that it runs.",
    )


__all__ = ["failure_of", "verdict_of"]
