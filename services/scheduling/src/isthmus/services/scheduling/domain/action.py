"""Actions of connectors as steps of plans: what follows when a call fails."""

from dataclasses import dataclass
from datetime import timedelta

from isthmus.resilience.faults import Fault, LimitReached, OutOfTime, RetryLater

RETRIES = 3


@dataclass(frozen=True, slots=True)
class PlanAction:
    """One call of an action, as a plan's owner wants it.

    Attributes:
        instance_id: Whose action.
        action: Its name.
        input: JSON object.
        retries: How often it is tried again.
    """

    instance_id: str
    action: str
    input: str = "{}"
    retries: int = RETRIES


@dataclass(frozen=True, slots=True)
class ActionCall:
    """A call that has to be made.

    Attributes:
        tenant_id: Whose.
        call_id: What the connector knows it by.
        action: What to call.
        attempts: Tries, this one included.
        is_unsure: Whether an earlier try was begun and nobody knows what came of it.
        correlation_id: Of the run that it belongs to.
    """

    tenant_id: str
    call_id: str
    action: PlanAction
    attempts: int
    is_unsure: bool
    correlation_id: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended, or a try at it.

    Attributes:
        reason: For programs; empty when it went well.
        message: The same in a sentence.
        output: What the action gave.
        retry_after: When it is tried again; None when this is the end.
        is_counted: Whether the try counts against the retries.
    """

    reason: str = ""
    message: str = ""
    output: str = ""
    retry_after: timedelta | None = None
    is_counted: bool = True


def call_failed(call: ActionCall, fault: Fault, wait: timedelta, *, is_repeatable: bool) -> CallEnd:
    """Decide what follows a try that failed.

    A refusal for asking too often says that nothing happened. Silence says nothing, so what must not
    happen twice is not tried again then.

    Args:
        call: Which one.
        fault: How it failed.
        wait: What to wait before another try, unless the system asks for more.
        is_repeatable: Whether repeating it under its id has no further effect.
    """
    passes = isinstance(fault, RetryLater | OutOfTime | LimitReached)
    if passes and not is_repeatable and not isinstance(fault, LimitReached):
        return outcome_unknown(call, fault.message)
    if not passes or call.attempts > call.action.retries:
        return CallEnd(fault.reason, fault.message)
    asked = timedelta(seconds=getattr(fault, "retry_after", None) or 0)
    return CallEnd(fault.reason, fault.message, retry_after=max(wait, asked))


def outcome_unknown(call: ActionCall, what: str) -> CallEnd:
    """Say that a person has to look before the action may be called again."""
    message = (
        f'Nobody can tell whether action "{call.action.action}" happened: {what} It must not happen twice; '
        "look at the system, then run the plan again or do the rest by hand."
    )
    return CallEnd("OUTCOME_UNKNOWN", message)


__all__ = ["RETRIES", "ActionCall", "CallEnd", "PlanAction", "call_failed", "outcome_unknown"]
