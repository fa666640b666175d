"""Calls to the control plane that end in faults, once or until they succeed."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from isthmus.kit.errors import fault_from_rpc_error
from isthmus.resilience import (
    Broken,
    Conflict,
    Deadline,
    Fault,
    LimitReached,
    OutOfTime,
    Retry,
    RetryLater,
    RetryPolicy,
)

T = TypeVar("T")
_BROKEN_CONNECTION = frozenset({"INTERNAL", "UNKNOWN"})
_PATIENT = RetryPolicy.exponential(attempts=100_000, first=0.2, longest=2.0)  # time is what ends it
_PASSING = (RetryLater, OutOfTime, LimitReached, Conflict)


async def call(method: Any, request: Any, *, seconds: float = 10.0) -> Any:
    """Call a peer once, and give up after some seconds.

    Raises:
        Fault: What the peer answered, or what kept the call from reaching it.
    """
    try:
        return await method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise fault_from(error) from error


def fault_from(error: grpc.RpcError) -> Fault:
    """Return what a peer answered; a connection that breaks in the middle is a fault that passes.

    A peer gives reasons with its faults. INTERNAL and UNKNOWN without one come from gRPC itself, when
    a connection is reset at the wrong moment.
    """
    fault = fault_from_rpc_error(error)
    if isinstance(fault, Broken) and fault.reason in _BROKEN_CONNECTION:
        return RetryLater("CONNECTION_BROKEN", f"The connection broke ({fault.message}).")
    return fault


def passes(fault: Fault) -> bool:
    """Tell whether repeating the very same call may help."""
    return isinstance(fault, _PASSING)


async def persist(
    work: Callable[[], Awaitable[T]], *, deadline: Deadline | None = None, seconds: float = 0.0
) -> T:
    """Repeat what fails for reasons that pass by themselves.

    Args:
        work: Called until it succeeds; safe to repeat.
        deadline: When the last fault is raised.
        seconds: The same as a length of time, where there is no deadline yet.

    Raises:
        Fault: What does not pass, or has not passed in time.
    """
    retry = Retry(_PATIENT, when=_is_passing)
    return await retry(work, deadline=deadline or Deadline.after(seconds))


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, _PASSING)


__all__ = ["call", "fault_from", "passes", "persist"]
