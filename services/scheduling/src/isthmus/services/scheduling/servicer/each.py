"""Several requests in one call, each with its own end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.kit.principal import correlated_from_here
from isthmus.kit.trace import continue_trace
from isthmus.resilience.faults import Broken, Fault
from isthmus.scheduling.v1 import scheduling_pb2 as pb

R = TypeVar("R")
A = TypeVar("A")
_log = logger(__name__)


async def each(
    work: Callable[[R], Awaitable[A]], requests: Sequence[R], origins: Sequence[pb.Origin]
) -> list[A | Fault]:
    """Do each request for itself, all at the same time, and give its answer or its fault.

    Args:
        work: Does one.
        requests: What is asked for.
        origins: Where each comes from, as far as that is told.
    """
    told = [*origins[: len(requests)], *[None] * (len(requests) - len(origins))]
    return await asyncio.gather(
        *(_one(work, request, origin) for request, origin in zip(requests, told, strict=True))
    )


async def _one(work: Callable[[R], Awaitable[A]], request: R, origin: pb.Origin | None) -> A | Fault:
    if origin is not None and origin.correlation_id:
        correlated_from_here(origin.correlation_id)
        continue_trace(origin.traceparent)
    try:
        return await work(request)
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            return fault
        _log.error("one of several requests failed unexpectedly", error)
        return Broken("UNEXPECTED", "Something failed on our side; look into the log of scheduling.")


__all__ = ["each"]
