"""What a host tells scheduling of several executions at once: leases wanted, attempts ended."""

from collections.abc import Sequence
from typing import Any, Protocol

from isthmus.host.calling import call
from isthmus.kit import current_correlation_id
from isthmus.kit.errors import fault_of_refusal
from isthmus.kit.gathering import Gathered
from isthmus.kit.principal import current_principal
from isthmus.kit.trace import current_traceparent
from isthmus.resilience import Fault
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_LEASE_SECONDS = 8.0
_MOST_AT_ONCE = 50
_PACE_SECONDS = 0.03
_LARGEST = 32 * 1024
_Finish = tuple[scheduling.FinishAttemptRequest, scheduling.Origin]


class Taker(Protocol):
    """Who carries out what scheduling hands over on the occasion of another execution's end.

    Attributes:
        host_id: Who it is to scheduling.
        connector_id: The connector that it runs.
    """

    host_id: str
    connector_id: str

    def reserve(self) -> int:
        """Keep room for as many executions as could be taken over now, and say how many."""
        ...

    async def take(self, tenant_id: str, given: Sequence[scheduling.HandedOver], reserved: int) -> None:
        """Begin with what was given, and give up the rest of what was reserved."""
        ...


class Leasing:
    """Asks for leases, and gives them back; a call tells of as many executions as there are to tell of.

    Args:
        stub: Of scheduling.
    """

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self.taker: Taker | None = None
        """Who has room for more; nobody at first."""
        self._finishing: Gathered[str, _Finish, scheduling.FinishAttemptResponse] = Gathered(
            self._finish, self._finish_alone, most=_MOST_AT_ONCE, pace=_PACE_SECONDS
        )

    async def acquire(
        self, wanted: Sequence[scheduling.AcquireLeaseRequest], origins: Sequence[scheduling.Origin]
    ) -> Sequence[scheduling.AcquireLeaseResponse | Fault]:
        """Ask for the leases of one tenant's executions and give, for each, the lease or why there is none.

        Args:
            wanted: Of which executions.
            origins: What each belongs to.
        """
        stub = self._stub
        try:
            if len(wanted) == 1:
                return [await call(stub.AcquireLease, wanted[0], seconds=_LEASE_SECONDS)]
            request = scheduling.AcquireLeasesRequest(leases=wanted, origins=origins)
            results = (await call(stub.AcquireLeases, request, seconds=_LEASE_SECONDS)).results
        except Fault as fault:
            return [fault] * len(wanted)
        return [one.lease if one.HasField("lease") else fault_of_refusal(one.refusal) for one in results]

    async def finish(self, request: scheduling.FinishAttemptRequest) -> scheduling.FinishAttemptResponse:
        """Say how an attempt of the acting tenant's has ended; repeating it is safe.

        Raises:
            Fault: What is said to this one, or what keeps scheduling from hearing it.
        """
        origin = scheduling.Origin(correlation_id=current_correlation_id(), traceparent=current_traceparent())
        tenant_id = current_principal().tenant_id
        if request.ByteSize() > _LARGEST:
            return await self._finish_alone(tenant_id, (request, origin))
        return await self._finishing(tenant_id, (request, origin))

    async def _finish_alone(self, _: str, one: _Finish) -> scheduling.FinishAttemptResponse:
        answer: scheduling.FinishAttemptResponse = await call(self._stub.FinishAttempt, one[0])
        return answer

    async def _finish(
        self, tenant_id: str, several: Sequence[_Finish]
    ) -> Sequence[scheduling.FinishAttemptResponse | Fault | None]:
        taker = self.taker
        room = taker.reserve() if taker is not None else 0
        if len(several) == 1 and not room:
            return [None]
        request = scheduling.FinishAttemptsRequest(
            attempts=[one for one, _ in several], origins=[origin for _, origin in several]
        )
        if taker is None:
            return _results(await call(self._stub.FinishAttempts, request))
        request.host_id, request.connector_id, request.room = taker.host_id, taker.connector_id, room
        given: Sequence[scheduling.HandedOver] = ()
        try:
            answer = await call(self._stub.FinishAttempts, request)
            given = answer.handed_over
        finally:
            await taker.take(tenant_id, given, room)
        return _results(answer)


def _results(
    answer: scheduling.FinishAttemptsResponse,
) -> list[scheduling.FinishAttemptResponse | Fault]:
    return [one.closed if one.HasField("closed") else fault_of_refusal(one.refusal) for one in answer.results]


__all__ = ["Leasing", "Taker"]
