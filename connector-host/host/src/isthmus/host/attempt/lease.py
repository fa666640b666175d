"""The lease on an execution: kept alive, told about progress, and given back at the end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from isthmus.host.attempt.passes import Passes
from isthmus.host.control import ControlPlane, call, passes, persist
from isthmus.kit.logs import logger
from isthmus.resilience import Deadline, Fault, RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

_log = logger(__name__)
_OVER = frozenset({"FENCED", "EXECUTION_ENDED", "EXECUTION_UNKNOWN"})
_SHORTEST_LEASE = 2.0
_LONGEST_LEASE = 600.0
_MOST_UNTOLD = 6_000


class LeaseLost(Exception):
    """Another attempt has taken over, or may have: nothing more may be written."""


class Lease:
    """What one attempt and scheduling tell each other.

    Args:
        control: Where scheduling is.
        grant: What AcquireLease answered.
        commit_seconds: Longest that durable positions wait for others to go along; less where many records
            lie behind them, for these would be read again if this host died.
        renew_seconds: Longest silence; less where a third of the lease is less.
    """

    def __init__(
        self,
        control: ControlPlane,
        grant: scheduling.AcquireLeaseResponse,
        *,
        commit_seconds: float = 0.25,
        renew_seconds: float = 5.0,
    ) -> None:
        self._control = control
        self._execution_id = grant.execution.execution_id
        self._token = grant.fencing_token
        self._commit_seconds = commit_seconds
        self._renew_seconds = renew_seconds
        self._expires_at = _ends(grant.lease_expire_time.seconds)
        self.passes = Passes(grant)
        """By which right the attempt does what it does."""
        self._pending: dict[str, scheduling.Checkpoint] = {}
        self._counts = batch.Counts()
        self._dirty = asyncio.Event()
        self._much = asyncio.Event()
        self._told = 0
        self.cancel_requested = asyncio.Event()
        self.expected_records = 0

    @property
    def counts(self) -> batch.Counts:
        """What the attempt did up to its durable positions."""
        return self._counts

    def note(self, checkpoints: Sequence[scheduling.Checkpoint], counts: batch.Counts) -> None:
        """Take notice of positions that have become durable, with the counts that belong to them."""
        for checkpoint in checkpoints:
            self._pending[checkpoint.partition] = checkpoint
        self._counts.CopyFrom(counts)
        self._dirty.set()
        # Behind the end of a partition nothing is read again, and most often the attempt ends there, too.
        if counts.read - self._told >= _MOST_UNTOLD and not any(one.is_complete for one in checkpoints):
            self._much.set()

    async def keep(self) -> None:
        """Commit what is noted and renew the lease, for ever.

        Raises:
            LeaseLost: Fenced, or scheduling was away for longer than the lease.
            Fault: Scheduling refuses a commit for another reason.
        """
        while True:
            try:
                async with asyncio.timeout(self._silence()):
                    await self._dirty.wait()
            except TimeoutError:
                await self._insist(self._renew)
            else:
                await self._gather()
                self._dirty.clear()
                self._much.clear()
                self._told = self._counts.read
                await self._insist(self._commit)
                if self.passes.are_due:
                    await self._insist(self._renew)

    async def _gather(self) -> None:
        """Let positions that follow closely go along."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._commit_seconds):
                await self._much.wait()

    async def complete_passes(self, seconds: float) -> None:
        """Ask for the right to call the destination where scheduling could not give it with the lease.

        Args:
            seconds: For how long to go on asking.

        Raises:
            RetryLater: `TICKET_UNAVAILABLE`.
        """

        async def ask() -> None:
            await self._renew()
            if self.passes.lack_one:
                message = "Scheduling cannot tell who serves the destination; the next attempt asks again."
                raise RetryLater("TICKET_UNAVAILABLE", message)

        if self.passes.lack_one:
            await persist(ask, seconds=seconds)

    def _silence(self) -> float:
        """How long scheduling may hear nothing; short leases leave time to try again, too."""
        return min(self._renew_seconds, max(self._expires_at - time.monotonic(), 0.0) / 3)

    async def finish(
        self,
        outcome: int,
        *,
        error: scheduling.ExecutionError | None = None,
        counts: batch.Counts | None = None,
        preview: scheduling.Preview | None = None,
        note: str = "",
        findings: Iterable[scheduling.Finding] = (),
    ) -> scheduling.Execution | None:
        """Give the lease back; call it when `keep` runs no more.

        Returns:
            The execution as it stands; None where another attempt has taken over.
        """
        request = scheduling.FinishAttemptRequest(
            execution_id=self._execution_id,
            fencing_token=self._token,
            outcome=scheduling.FinishAttemptRequest.Outcome.ValueType(outcome),
            error=error,
            counts=counts or self._counts,
            checkpoints=list(self._pending.values()),
            preview=preview,
            note=note,
            findings=findings,
        )
        try:
            answer = await self._insist(lambda: self._control.leasing.finish(request))
        except LeaseLost:
            return None
        finished: scheduling.Execution = answer.execution
        return finished

    async def _commit(self) -> None:
        sent = dict(self._pending)
        request = scheduling.CommitCheckpointRequest(
            execution_id=self._execution_id,
            fencing_token=self._token,
            checkpoints=list(sent.values()),
            counts=self._counts,
        )
        self._heard(await call(self._control.scheduling.CommitCheckpoint, request))
        for partition, checkpoint in sent.items():
            if self._pending.get(partition) is checkpoint:
                del self._pending[partition]

    async def _renew(self) -> None:
        request = scheduling.RenewLeaseRequest(
            execution_id=self._execution_id,
            fencing_token=self._token,
            counts=self._counts,
            expected_records=self.expected_records,
            wants_tickets=self.passes.are_due or self.passes.lack_one,
        )
        answer = await call(self._control.scheduling.RenewLease, request)
        self.passes.take(answer)
        self._heard(answer)

    def _heard(self, answer: Any) -> None:
        self._expires_at = _ends(answer.lease_expire_time.seconds)
        if answer.is_cancel_requested:
            self.cancel_requested.set()

    async def _insist(self, tell: Callable[[], Awaitable[Any]]) -> Any:
        """Repeat until scheduling hears it, or until the lease would have ended."""
        try:
            return await persist(tell, deadline=Deadline(self._expires_at))
        except Fault as fault:
            if fault.reason in _OVER:
                raise LeaseLost(fault.reason) from fault
            if not passes(fault):
                raise
            _log.warning("scheduling is away and the lease has ended", execution_id=self._execution_id)
            raise LeaseLost("SCHEDULING_UNREACHABLE") from fault


def _ends(expire_seconds: int) -> float:
    """Monotonic time of a lease's end; bounded, because the clocks of two machines may differ."""
    lasting = min(max(expire_seconds - time.time(), _SHORTEST_LEASE), _LONGEST_LEASE)
    return time.monotonic() + lasting


__all__ = ["Lease", "LeaseLost"]
