"""What an error of the file system, or of the database beside a file, means for a flow."""

import errno
import sqlite3

from isthmus.sdk import Failure, PermissionFailure, TransientFailure, Verdict
from isthmus.sdk.folder import PASSING

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# The database speaks its own codes for what the file system did to it.
_OF_SQLITE = {
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_PROTOCOL: errno.ENOLCK,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
}


def failure_of(error: Exception) -> Failure | None:
    """Gives the typed failure; None for what neither the file system nor the database says."""
    code = _code(error)
    if code is None:
        return None
    said = errno.errorcode.get(code, str(code))
    if code in _FULL:
        text = f"There is no room for the file ({said}): free some, or grant more."
        return TransientFailure("FILE_SYSTEM_FULL", text)
    if code in _FORBIDDEN:
        text = f"The file system refuses access ({said}): grant it to the account of the host."
        return PermissionFailure("FILE_FORBIDDEN", text)
    text = f"The file system failed ({said}): look at the disk, the network and the permissions if it stays."
    return TransientFailure("FILE_SYSTEM_FAILED", text)


def verdict_of(outcome: object) -> Verdict | None:
    """Says whether another try may help at once; None for what neither of the two says."""
    code = _code(outcome)
    if code is None:
        return None
    return Verdict(repeat=True, healthy=False) if code in PASSING else Verdict()


def _code(error: object) -> int | None:
    if isinstance(error, sqlite3.Error):
        # The lowest byte is the kind; what stands above it goes into detail.
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return error.errno if isinstance(error, OSError) else None


__all__ = ["failure_of", "verdict_of"]
