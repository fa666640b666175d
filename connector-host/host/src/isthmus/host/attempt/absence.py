"""What a one-way flow makes of records that a complete reading no longer shows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.delivery import DestinationFault
from isthmus.host.attempt.lease import LeaseLost
from isthmus.host.attempt.preparing import read_mode
from isthmus.host.attempt.previewing import Previewing
from isthmus.host.attempt.reading import SourceReader
from isthmus.host.control import call, persist
from isthmus.host.settings import HostSettings
from isthmus.kit.tickets import Carried, carrying
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
    flow = grant.flow
    if grant.execution.is_dry_run or not _means_something(grant, stream):
        return ""
    if not flow.destination_key and not stream.primary_key:
        message = (
            "Records without a key cannot be told apart, so nobody knows which are absent: give the flow a "
            "key, or take `absent` out of `deletes`."
        )
        raise Precondition("KEY_MISSING", message)
    execution_id: str = grant.execution.execution_id
    return execution_id


def _means_something(grant: scheduling.AcquireLeaseResponse, stream: connector.StreamSpec) -> bool:
    """Whether what an execution does not show counts as deleted."""
    flow, policy = grant.flow, grant.flow.delete_policy
    if not policy.absent or policy.kind == _Policy.KIND_IGNORE or grant.leg:
        return False
    is_requeue = grant.execution.trigger == scheduling.Execution.TRIGGER_REQUEUE
    if is_requeue or grant.execution.HasField("range"):
        return False
    return read_mode(flow, stream) == connector.READ_MODE_FULL


@dataclass(frozen=True, slots=True)
class Absence:
    """The end of a complete refresh.

    Args:
        opening: The first message of the writing.
        connect: Gives the stub of a host of the destination.
        settings: How long to wait for a destination that is away, and for its answer.
        tell: Told what has happened, or why nothing has.
        ticket: Shown to the host of the destination.
    """

    opening: connector.WriteOpen
    connect: Callable[[], Awaitable[Any]]
    settings: HostSettings
    tell: Callable[[str], None]
    ticket: Carried = field(default_factory=Carried)

    async def settle(
        self,
        grant: scheduling.AcquireLeaseResponse,
        counts: batch.Counts,
        *,
        is_partial: bool = False,
    ) -> str:
        """Have the destination remove what was not shown, and count it as read and removed.

        Args:
            grant: The execution.
            counts: What this attempt did; grows.
            is_partial: The source did not show everything.

        Returns:
            Why nothing was removed; empty where there is nothing to explain.

        Raises:
            DestinationFault: It refuses, for example because too much would go, or is away.
            LeaseLost: A newer attempt writes the flow.
        """
        policy = grant.flow.delete_policy
        why = _doubt(policy, counts, grant.execution.counts, is_partial=is_partial)
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

    async def foresee(
        self,
        grant: scheduling.AcquireLeaseResponse,
        stream: connector.StreamSpec,
        settling: Previewing,
        reader: SourceReader,
    ) -> None:
        """Ask the destination what the end of a complete reading would remove; nothing is changed."""
        policy, counts = grant.flow.delete_policy, settling.counts
        if not _means_something(grant, stream):
            return
        why = _doubt(policy, counts, batch.Counts(), is_partial=reader.is_partial)
        if reader.limit and counts.read >= reader.limit:
            why = "not everything was read"
        why = why or settling.keys_missing
        if why:
            settling.explain(f"Nothing can be told of what is absent, because {why}.")
            return
        opening = connector.WriteOpen()
        opening.CopyFrom(self.opening)
        opening.generation_id, opening.is_preview = grant.execution.execution_id, True
        request = connector.FinishGenerationRequest(
            open=opening,
            mark=_mark(policy),
            most_records=policy.most_deletions,
            most_percent=policy.most_percent,
            shown_keys=settling.keys,
        )
        try:
            answer = await self._ask(request)
        except Fault as fault:
            stops = fault.reason == "DELETIONS_SUSPICIOUS"
            settling.explain(f"{'The sync would fail' if stops else 'Nothing can be told'}: {fault.message}")
            return
        settling.foresee_absent(answer, request.mark)

    def _explained(self, why: str) -> str:
        note = f"Nothing is taken for deleted this time, because {why}."
        self.tell(note)
        return note

    async def _ask(self, request: connector.FinishGenerationRequest) -> connector.FinishGenerationResponse:
        with carrying(self.ticket):
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
