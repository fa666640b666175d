"""Links to records in destinations without transactions: what may be written, and what came of it.

A link is open between the announcement of a write and its outcome. One that nobody settled
and nobody holds any more tells that somebody died in between: an update by id may be repeated, while
behind a create stands a doubt, and the destination has to be looked at first.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from isthmus.resilience.faults import RetryLater

UPSERT, PATCH, DELETE = 1, 2, 3
_LOOK_AGAIN = 1.0


class State(IntEnum):
    """Where a link is in its life; the numbers are the contract's."""

    OPEN = 1
    LINKED = 2
    DELETED = 3
    SET_ASIDE = 4


class Verdict(IntEnum):
    """What to do with an announced record; the numbers are the contract's."""

    FRESH = 1
    LINKED = 2
    UNCHANGED = 3
    IN_DOUBT = 4


class Result(IntEnum):
    """What came of an announced write; the numbers are the contract's."""

    DONE = 1
    DELETED = 2
    REJECTED = 3
    UNTOUCHED = 4
    UNKNOWN = 5
    SET_ASIDE = 6


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of one record of a flow.

    Attributes:
        key: Which record.
        state: Where it is in its life.
        external_id: The destination's own id; empty where it is not known.
        content_hash: Of what the destination holds; empty where that is not known.
        correlation_id: Stands in the destination's record where that has a field for it.
        destination: Where the record was written; empty where that is not known.
        is_in_doubt: A write may have created the record or not.
        operation: The announced one.
        intent_hash: Of the announced content.
        fencing_token: The attempt that announced last.
        claim: Who holds it while it is open; empty when nobody does.
        open_since: When the write that is in doubt, or else the present one, was announced.
        held_until: Until when the claim holds it.
        create_time: When the record was first announced.
        update_time: When the link last changed.
    """

    key: str
    state: State = State.OPEN
    external_id: str = ""
    content_hash: bytes = b""
    correlation_id: str = ""
    destination: str = ""
    is_in_doubt: bool = False
    operation: int = UPSERT
    intent_hash: bytes = b""
    fencing_token: int = 0
    claim: str = ""
    open_since: datetime | None = None
    held_until: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    def is_held(self, now: datetime) -> bool:
        """Tell whether a writer is at work on it."""
        return bool(self.claim) and self.held_until is not None and self.held_until > now


@dataclass(frozen=True, slots=True)
class LinkFlow:
    """The links of one flow.

    Attributes:
        flow_name: What it was called when it was deleted.
        delete_time: When it was deleted; None while it is there.
        links: How many there are.
        in_doubt: Of how many records nobody knows whether they were created.
    """

    flow_id: str
    flow_name: str
    delete_time: datetime | None
    links: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is about to be made; `content_hash` is of no meaning for deletions."""

    key: str
    correlation_id: str
    operation: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """Who announces, and under which circumstances.

    Attributes:
        claim: Names one writing of one batch.
        fencing_token: Its attempt.
        now: When it announces.
        hold: How long nobody else may write the records.
        is_requeue: A person has looked at the records that were set aside.
        destination: Where it writes; empty where that does not matter.
    """

    claim: str
    fencing_token: int
    now: datetime
    hold: timedelta
    is_requeue: bool = False
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a writer is told about one record.

    Attributes:
        verdict: What to do.
        link: To be stored; None where nothing changes.
        external_id: Where to write.
        open_for: How long ago the write in doubt was announced.
    """

    verdict: Verdict
    link: Link | None = None
    external_id: str = ""
    open_for: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one announced write."""

    key: str
    result: Result
    external_id: str = ""


def decide(link: Link | None, intent: Intent, claim: Claim) -> Decision:
    """Tell what to do with an announced record.

    Args:
        link: What is known of it; None for nothing.
        intent: What is to be written.
        claim: By whom.

    Raises:
        RetryLater: `INTENTS_HELD`, somebody else is writing it.
    """
    if link is not None and not link.is_held(claim.now) and _is_elsewhere(link, claim):
        link = None
    if link is not None and link.state == State.OPEN:
        return _decide_open(link, intent, claim)
    if link is not None and link.state == State.SET_ASIDE and not claim.is_requeue:
        return _in_doubt(link, intent, claim)
    if link is not None and _is_so_already(link, intent):
        return Decision(Verdict.UNCHANGED, external_id=link.external_id)
    if link is not None and link.state == State.LINKED:
        return _opened(Verdict.LINKED, link, intent, claim)
    return _opened(Verdict.FRESH, Link(intent.key), intent, claim)


def _is_elsewhere(link: Link, claim: Claim) -> bool:
    """The flow has been given another destination, which knows nothing of the record."""
    return bool(link.destination and claim.destination) and link.destination != claim.destination


def _is_so_already(link: Link, intent: Intent) -> bool:
    if intent.operation == DELETE:
        return link.state == State.DELETED
    return link.state == State.LINKED and link.content_hash == intent.content_hash != b""


def adopt(link: Link | None, key: str, external_id: str, now: datetime) -> Link:
    """Return the link of a record that a person has found at the destination.

    Raises:
        RetryLater: `INTENTS_HELD`, somebody is writing it.
    """
    known = link or Link(key)
    if known.is_held(now):
        raise _held(known, now)
    linked = Link(key, State.LINKED, external_id, correlation_id=known.correlation_id)
    return replace(linked, destination=known.destination, fencing_token=known.fencing_token)


def settle(link: Link, settlement: Settlement) -> Link | None:
    """Return the link as it is after a write; None where nothing is left to know.

    Args:
        link: Open, and the claim's own.
        settlement: What came of the write.
    """
    external_id = settlement.external_id or link.external_id
    free = replace(link, claim="", held_until=None, external_id=external_id)
    settled = replace(free, is_in_doubt=False, open_since=None, intent_hash=b"", operation=UPSERT)
    if settlement.result == Result.DONE:
        return replace(settled, state=State.LINKED, content_hash=link.intent_hash)
    if settlement.result == Result.DELETED:
        return replace(settled, state=State.DELETED, content_hash=b"")
    if settlement.result == Result.SET_ASIDE:
        return replace(free, state=State.SET_ASIDE, is_in_doubt=True)
    if settlement.result == Result.UNKNOWN or (settlement.result == Result.UNTOUCHED and link.is_in_doubt):
        return replace(free, is_in_doubt=link.is_in_doubt or _creates(link))
    if external_id or link.content_hash:
        return replace(settled, state=State.LINKED)
    return None


def _creates(link: Link) -> bool:
    """Without an id to write to, repeating an announced write may add a second record."""
    return not link.external_id and link.operation != DELETE


def _decide_open(link: Link, intent: Intent, claim: Claim) -> Decision:
    if link.claim == claim.claim:
        return _repeated(link, claim)
    if link.is_held(claim.now):
        raise _held(link, claim.now)
    if link.is_in_doubt or _creates(link):
        return _in_doubt(link, intent, claim)
    if link.operation == DELETE and intent.operation != DELETE and link.external_id:
        return _in_doubt(link, intent, claim)
    if link.external_id:
        return _opened(Verdict.LINKED, replace(link, content_hash=b""), intent, claim)
    return _opened(Verdict.FRESH, link, intent, claim)


def _held(link: Link, now: datetime) -> RetryLater:
    # The holder may be ready long before its time is over.
    left = (link.held_until - now).total_seconds() if link.held_until else 0.0
    message = "Another writer is at work on one of the records; wait until it has finished."
    return RetryLater("INTENTS_HELD", message, retry_after=min(left, _LOOK_AGAIN))


def _repeated(link: Link, claim: Claim) -> Decision:
    held = replace(link, held_until=claim.now + claim.hold)
    if link.is_in_doubt:
        return Decision(Verdict.IN_DOUBT, held, open_for=_age(link, claim))
    known = link.external_id or link.content_hash
    return Decision(Verdict.LINKED if known else Verdict.FRESH, held, link.external_id)


def _in_doubt(link: Link, intent: Intent, claim: Claim) -> Decision:
    doubtful = replace(link, is_in_doubt=True, content_hash=b"", external_id="")
    opened = _opened(Verdict.IN_DOUBT, doubtful, intent, claim)
    return replace(opened, open_for=_age(link, claim))


def _opened(verdict: Verdict, link: Link, intent: Intent, claim: Claim) -> Decision:
    opened = replace(
        link,
        state=State.OPEN,
        correlation_id=intent.correlation_id,
        destination=claim.destination,
        operation=intent.operation or UPSERT,
        intent_hash=intent.content_hash,
        fencing_token=claim.fencing_token,
        claim=claim.claim,
        open_since=(link.open_since if link.is_in_doubt else None) or claim.now,
        held_until=claim.now + claim.hold,
    )
    return Decision(verdict, opened, opened.external_id)


def _age(link: Link, claim: Claim) -> timedelta:
    return max(claim.now - (link.open_since or claim.now), timedelta())


__all__ = [
    "DELETE",
    "PATCH",
    "UPSERT",
    "Claim",
    "Decision",
    "Intent",
    "Link",
    "Result",
    "Settlement",
    "State",
    "Verdict",
    "adopt",
    "decide",
    "settle",
]
