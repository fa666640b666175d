"""Optimistic concurrency: the etag of a row is its revision number."""

from isthmus.resilience.faults import Conflict


def check_etag(expected: str, revision: int) -> None:
    """Let an update pass when it was made against the present revision.

    Args:
        expected: The etag the caller sent; empty means the caller does not mind.
        revision: The row's present revision, read in the same transaction.

    Raises:
        Conflict: `ETAG_MISMATCH`, somebody changed the row in between.
    """
    if expected and expected != str(revision):
        message = "It was changed since you read it; read it again and repeat the update with its new etag."
        raise Conflict("ETAG_MISMATCH", message, path="etag", metadata={"current_etag": str(revision)})


__all__ = ["check_etag"]
