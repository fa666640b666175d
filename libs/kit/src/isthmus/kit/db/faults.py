"""What PostgreSQL's failures mean to a caller."""

import psycopg
from isthmus.resilience.faults import AlreadyExists, Fault, FixRequest, OutOfTime, RetryLater
from sqlalchemy import exc

_UNREACHABLE = "The database cannot be reached; repeat the call in a moment."
_BUSY = "The database is busy; repeat the call in a moment."


def fault_from_database_error(error: BaseException) -> Fault | None:
    """Return the fault an error of the driver stands for; None for a defect and for other errors."""
    if isinstance(error, exc.TimeoutError):
        return RetryLater("DATABASE_BUSY", _BUSY, retry_after=0.5)
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    return _by_class(cause) or _by_connection(error, cause)


def _by_class(cause: psycopg.Error) -> Fault | None:
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return OutOfTime("DATABASE_TOO_SLOW", "The database took too long; ask for less at once.")
    if isinstance(cause, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected):
        return RetryLater("DATABASE_CONFLICT", "Two changes met; repeat the call.", retry_after=0.1)
    if isinstance(cause, psycopg.errors.LockNotAvailable | psycopg.errors.TooManyConnections):
        return RetryLater("DATABASE_BUSY", _BUSY, retry_after=0.5)
    if isinstance(cause, psycopg.errors.UniqueViolation):
        return AlreadyExists("ALREADY_EXISTS", "Something with this name or id is there already.")
    if isinstance(cause, psycopg.DataError):
        message = "A value cannot be stored; remove NUL characters, and numbers or dates out of range."
        return FixRequest("VALUE_UNSTORABLE", message)
    return None


def _by_connection(error: BaseException, cause: psycopg.Error) -> Fault | None:
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    if lost or isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return RetryLater("DATABASE_UNREACHABLE", _UNREACHABLE, retry_after=1.0)
    return None


__all__ = ["fault_from_database_error"]
