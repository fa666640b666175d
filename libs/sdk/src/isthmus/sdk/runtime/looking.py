"""Looks for records that a dead attempt may have created."""

import asyncio
import time
from typing import Any

from isthmus.sdk.failures import DataFailure
from isthmus.sdk.model import OnDoubt, Stream
from isthmus.sdk.page import Batch
from isthmus.sdk.tracking import Entry, Item, Outcome

OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"


async def resolve_doubts(stream: Stream, batch: Batch[Any]) -> None:
    """Finds for each record in doubt whether the system holds it; rejects those where nobody can tell.

    Raises:
        Failure: The system could not be asked.
    """
    if batch.tracking is None:
        return
    since = time.monotonic()
    for place, item in enumerate(batch.peek()):
        entry = batch.tracking.entries[place]
        if entry.outcome is not None or not _is_worth_a_look(stream, entry):
            continue
        if entry.in_doubt and stream.lookup is not None:
            # The system may take a request late, and may find what it has taken later still.
            await asyncio.sleep(max(0.0, stream.lookup_lag - entry.open_for - (time.monotonic() - since)))
        await _resolve(stream, batch, place, item, entry)


def _is_worth_a_look(stream: Stream, entry: Entry) -> bool:
    """In doubt, or without the id that somebody could tell."""
    if entry.in_doubt or stream.lookup is None or entry.external_id:
        return entry.in_doubt
    return entry.exists or stream.lookup_always


async def _resolve(stream: Stream, batch: Batch[Any], place: int, item: Item[Any], entry: Entry) -> None:
    if stream.lookup is None:
        if stream.on_doubt == OnDoubt.QUARANTINE:
            _set_aside(batch, place, "Nobody can tell whether an earlier attempt wrote the record")
        return
    try:
        answer = await stream.lookup(item)
    except DataFailure as failure:
        _set_aside(batch, place, failure.message.rstrip("."))
        return
    several = answer if isinstance(answer, list | tuple) else [answer]
    found = {str(one) for one in several if one is not None}
    if len(found) > 1:
        _set_aside(batch, place, f"The system holds {len(found)} records for this one")
    elif found:
        entry.external_id, entry.exists, entry.in_doubt = found.pop(), True, False
        entry.was_found = True
    elif item.deletes:
        entry.outcome, entry.in_doubt = Outcome.DELETED, False
    else:
        entry.in_doubt = False


def _set_aside(batch: Batch[Any], place: int, why: str) -> None:
    message = f"{why}. Look there: requeue the record when it is missing, drop and adopt it when it exists."
    batch.reject_at(place, message, reason=OUTCOME_UNKNOWN)
    if batch.tracking is not None:
        batch.tracking.entries[place].outcome = Outcome.SET_ASIDE


__all__ = ["OUTCOME_UNKNOWN", "resolve_doubts"]
