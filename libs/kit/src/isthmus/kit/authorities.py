"""The check of servers that this process connects to and that are no processes of the mesh."""

import ssl
from pathlib import Path

_made: dict[Path | None, tuple[tuple[int, int], ssl.SSLContext]] = {}


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return what accepts only servers for whose certificate and name these authorities vouch.

    It is made once for all connections, also for those of processes that are forked later, and made anew when
    the file was replaced.

    Args:
        ca_file: PEM of the authorities; None takes those that the system trusts.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    stamp = (0, 0)
    if ca_file is not None:
        status = ca_file.stat()
        stamp = (status.st_mtime_ns, status.st_ino)
    known = _made.get(ca_file)
    if known is None or known[0] != stamp:
        known = (stamp, ssl.create_default_context(cafile=ca_file))
        _made[ca_file] = known
    return known[1]


__all__ = ["trusting"]
