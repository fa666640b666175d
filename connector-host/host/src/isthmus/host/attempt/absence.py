"""What a one-way flow makes of records that a complete reading no longer shows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.delivery import DestinationFault
from isthmus.host.attempt.lease import LeaseLost
from isthmus.host.attempt.preparing import read_mode
from isthmus.host.control import call, persist
from isthmus.host.settings import HostSettings
from isthmus.resilience import Fault, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

_Policy = scheduling.DeletePolicy


def generation_of(grant: scheduling.AcquireLeaseResponse, stream: connector.StreamSpec) -> str:
    """Name the complete refresh that an execution is; empty where absence means nothing.

    Every attempt at the execution belongs to it.

    Raises:
        Precondition: `KEY_MISSING`, nobody can tell records without a key apart.
    """
    flow, policy = grant.flow, grant.flow.delete_policy
    is_requeue = grant.execution.trigger == scheduling.Execution.TRIGGER_REQUEUE
    if not policy.absent or policy.kind == _Policy.KIND_IGNORE or grant.leg:
        return ""
    if is_requeue or grant.execution.is_dry_run or grant.execution.HasField("range"):
        return ""
    if read_mode(flow, stream) != connector.READ_MODE_FULL:
        return ""
    if not flow.destination_key and not stream.primary_key:
        message = (
            "Records without a key cannot be told apart, so nobody knows which are absent: give the flow a "
            "key, or take `absent` out of `deletes`."
        )
        raise Precondition("KEY_MISSING", message)
    execution_id: str = grant.execution.execution_id
    return execution_id


@dataclass(frozen=True, slots=True)
class Absence:
    """The end of a complete refresh.

    Args:
        opening: The first message of the writing.
        connect: Gives the stub of a host of the destination.
        settings: How long to wait for a destination that is away, and for its answer.
        tell: Told what has happened, or why nothing has.
    """

    opening: connector.WriteOpen
    connect: Callable[[], Awaitable[Any]]
    settings: HostSettings
    tell: Callable[[str], None]

    async def settle(
        self,
        policy: scheduling.DeletePolicy,
        counts: batch.Counts,
        before: batch.Counts,
        *,
        is_partial: bool = False,
    ) -> str:
        """Have the destination remove what was not shown, and count it as read and removed.

        Args:
            policy: The flow's.
            counts: What this attempt did; grows.
            before: What earlier attempts did.
            is_partial: The source did not show everything.

        Returns:
            Why nothing was removed; empty where there is nothing to explain.

        Raises:
            DestinationFault: It refuses, for example because too much would go, or is away.
            LeaseLost: A newer attempt writes the flow.
        """
        why = _doubt(policy, counts, before, is_partial=is_partial)
        if why:
            return self._explained(why)
        request = connector.FinishGenerationRequest(
            open=self.opening,
            mark=_mark(policy),
            most_records=policy.most_deletions,
            most_percent=policy.most_percent,
        )
        try:
            answer = await persist(lambda: self._ask(request), seconds=self.settings.patience_seconds)
        except Fault as fault:
            if fault.reason == "FENCED":
                raise LeaseLost("FENCED") from fault
            raise DestinationFault(fault) from fault
        counts.read += answer.removed
        if policy.kind == _Policy.KIND_TOMBSTONE:
            counts.updated += answer.removed
        else:
            counts.deleted += answer.removed
        if answer.removed:
            done = "marked" if policy.kind == _Policy.KIND_TOMBSTONE else "deleted"
            self.tell(f"{answer.removed} records that the source no longer shows were {done}.")
        if not answer.is_first:
            return ""
        return self._explained(
            "the destination did not know what the flow has written before; it knows from now on"
        )

    def _explained(self, why: str) -> str:
        note = f"Nothing is taken for deleted this time, because {why}."
        self.tell(note)
        return note

    async def _ask(self, request: connector.FinishGenerationRequest) -> connector.FinishGenerationResponse:
        stub = await self.connect()
        answer: connector.FinishGenerationResponse = await call(
            stub.FinishGeneration, request, seconds=self.settings.answer_seconds
        )
        return answer


def _doubt(
    policy: scheduling.DeletePolicy, counts: batch.Counts, before: batch.Counts, *, is_partial: bool
) -> str:
    """Say why what was not shown may be there all the same; empty where it is gone."""
    waiting = counts.quarantined + before.quarantined
    left_out = counts.filtered + before.filtered
    if waiting:
        return f"{waiting} records are in quarantine, and what the destination holds of them stays"
    if is_partial:
        return "the source did not show everything"
    if left_out and not policy.filtered:
        return (
            f"the mapping leaves {left_out} records out that the source shows: with "
            "`deletes: {absent: true, filtered: true}` those count as deleted"
        )
    return ""


def _mark(policy: scheduling.DeletePolicy) -> bytes:
    if policy.kind != _Policy.KIND_TOMBSTONE:
        return b""
    value = msgspec.json.decode(policy.tombstone_value) if policy.tombstone_value else True
    return msgspec.json.encode({policy.tombstone_field: value})


__all__ = ["Absence", "generation_of"]
