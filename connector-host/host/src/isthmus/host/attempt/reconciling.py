"""What is special about the legs of a reconciliation: both sides are announced, compared, and repaired."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.delivery import Delivery
from isthmus.host.attempt.digests import is_announcing, told_times
from isthmus.host.attempt.lease import LeaseLost
from isthmus.host.attempt.legs import writer_id
from isthmus.host.attempt.pieces import Limits, Piece, Reject
from isthmus.host.attempt.quarantine import Quarantine
from isthmus.host.attempt.reading import Door
from isthmus.host.control import ControlPlane, call, persist
from isthmus.mapper import Plan
from isthmus.records.v1 import reconciliation_pb2 as records
from isthmus.resilience import Fault, FixRequest, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_REPAIRING = frozenset({scheduling.LEG_REPAIR, scheduling.LEG_DELETE_EXTRA})
# Millions of announcements are compared in one statement.
_COMPARE_SECONDS = 660.0


def is_reconciling(leg: int) -> bool:
    """Tell whether a leg belongs to a reconciliation."""
    return is_announcing(leg) or leg in _REPAIRING


def extra_stream(flow: scheduling.Flow, leg: int) -> connector.StreamSpec | None:
    """Describe the stream of what is extra; None where a leg reads another."""
    if leg != scheduling.LEG_DELETE_EXTRA:
        return None
    return connector.StreamSpec(
        stream=flow.source.stream,
        primary_key=flow.destination_key,
        read_modes=[connector.READ_MODE_DELTA],
    )


def check_readable(grant: scheduling.AcquireLeaseResponse, stream: connector.StreamSpec) -> None:
    """Refuse a side that cannot be read whole.

    Raises:
        Precondition: `SIDE_UNREADABLE`.
    """
    flow = grant.flow
    reads = is_reconciling(grant.leg) and grant.leg != scheduling.LEG_DELETE_EXTRA
    if reads and connector.READ_MODE_FULL not in stream.read_modes:
        message = (
            f"{flow.source.stream} of {flow.source.instance_id} cannot be read whole, so the flow cannot be "
            "reconciled; set up reading for this stream, or look at the system itself."
        )
        raise Precondition("SIDE_UNREADABLE", message)


def left_out(leg: int, plan: Plan | None) -> str:
    """Tell which fields a comparison leaves out; empty where there are none, and in other legs."""
    fields = told_times(plan) if leg == scheduling.LEG_COMPARE_SOURCE else ()
    return f"Not compared, because they tell the time of mapping: {', '.join(fields)}." if fields else ""


class Reconciliation:
    """One attempt's part in a reconciliation.

    Args:
        control: Where the records service is.
        grant: The lease.
        patience: Seconds to wait for a records service that is away.
    """

    def __init__(
        self, control: ControlPlane, grant: scheduling.AcquireLeaseResponse, *, patience: float
    ) -> None:
        self._stub = control.reconciliations
        self._grant = grant
        self._patience = patience

    async def begin(self, stream: connector.StreamSpec) -> bool:
        """Open the report, or go on with it, and tell whether there is anything to read.

        Raises:
            LeaseLost: Another attempt has taken over.
            Fault: `SIDE_UNREADABLE`, or the records service is away for too long.
        """
        check_readable(self._grant, stream)
        grant, flow = self._grant, self._grant.flow
        side = f"{flow.source.instance_id}/{flow.source.stream}"
        reads_destination = grant.leg == scheduling.LEG_COMPARE_DESTINATION
        request = records.BeginReconciliationRequest(
            report_id=grant.execution.execution_id,
            flow_id=flow.flow_id,
            flow_name=flow.name,
            fencing_token=grant.fencing_token,
            source=side if grant.leg == scheduling.LEG_COMPARE_SOURCE else "",
            destination=side if reads_destination else "",
            destination_primary_key=stream.primary_key if reads_destination else (),
            repair=grant.execution.reconcile.repair,
            delete_extra=grant.execution.reconcile.delete_extra,
            begins_repair=grant.leg in _REPAIRING,
            writer=writer_id(flow, grant.leg),
            most_deletions=flow.delete_policy.most_deletions,
        )
        answer = await self._call(self._stub.BeginReconciliation, request, seconds=_COMPARE_SECONDS)
        report = answer.reconciliation
        return grant.leg != scheduling.LEG_REPAIR or report.missing + report.different > 0

    def door_to(self, delivery: Delivery) -> Door:
        """Give what takes the pieces that are read."""
        return Repairing(self, delivery) if self._grant.leg == scheduling.LEG_REPAIR else delivery

    async def conclude(self, unreadable: int) -> None:
        """Have both sides compared once both are announced; other legs have nothing to conclude."""
        if self._grant.leg != scheduling.LEG_COMPARE_SOURCE:
            return
        request = records.ConcludeComparisonRequest(
            report_id=self._grant.execution.execution_id,
            fencing_token=self._grant.fencing_token,
            unreadable=self._grant.execution.counts.quarantined + unreadable,
        )
        await self._call(self._stub.ConcludeComparison, request, seconds=_COMPARE_SECONDS)

    async def differing(self, keys: Sequence[str]) -> list[int]:
        """Tell which of some records have to be written."""
        request = records.SelectDifferencesRequest(report_id=self._grant.execution.execution_id, keys=keys)
        answer = await self._call(self._stub.SelectDifferences, request, seconds=60.0)
        return list(answer.places)

    async def _call(self, method: Any, request: Any, *, seconds: float) -> Any:
        try:
            return await persist(lambda: call(method, request, seconds=seconds), seconds=self._patience)
        except Fault as fault:
            if fault.reason == "FENCED":
                raise LeaseLost("FENCED") from fault
            raise


class Repairing:
    """Lets of all that is read only that pass which has to be written; a delivery to whoever offers pieces.

    Args:
        reconciliation: Knows what has to be written.
        delivery: Gets it.
    """

    def __init__(self, reconciliation: Reconciliation, delivery: Delivery) -> None:
        self._reconciliation = reconciliation
        self._delivery = delivery

    @property
    def limits(self) -> Limits:
        """What fits into one batch; which records differ is told by the key of each."""
        return replace(self._delivery.limits, takes_lines=False, takes_json_lines=False)

    async def offer(self, piece: Piece) -> None:
        """Take a piece; returns when there is room for the next one."""
        if piece.records:
            if not piece.keys:
                message = "The flow's records have no key; name its fields in the flow's `key`."
                raise FixRequest("RECONCILE_KEY_MISSING", message)
            piece = picked(piece, await self._reconciliation.differing(piece.keys))
        await self._delivery.offer(piece)


def picked(piece: Piece, places: Sequence[int]) -> Piece:
    """Give a piece with some of its records; the others count as left out."""
    chosen = [piece.records[place] for place in places]
    return replace(
        piece,
        filtered=piece.filtered + len(piece.records) - len(chosen),
        records=chosen,
        keys=[piece.keys[place] for place in places],
        operations=None if piece.operations is None else [piece.operations[place] for place in places],
        sources=[piece.sources[place] for place in places],
        source_keys=[piece.source_keys[place] for place in places] if piece.source_keys else (),
        size=sum(map(len, chosen)),
    )


def reconciliation_of(
    control: ControlPlane, grant: scheduling.AcquireLeaseResponse, *, patience: float
) -> Reconciliation | None:
    """Give an attempt's part in a reconciliation; None where it has none."""
    return Reconciliation(control, grant, patience=patience) if is_reconciling(grant.leg) else None


class NoQuarantine(Quarantine):
    """Leaves the quarantine alone: a comparison only counts what could not be compared."""

    async def add(self, rejects: Sequence[Reject]) -> list[str]:
        """Keep nothing."""
        return [""] * len(rejects)


__all__ = [
    "NoQuarantine",
    "Reconciliation",
    "Repairing",
    "check_readable",
    "extra_stream",
    "is_reconciling",
    "left_out",
    "picked",
    "reconciliation_of",
]
