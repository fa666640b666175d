"""What accounts for the records of an attempt, by what kind of execution it is."""

from functools import partial

from isthmus.host.attempt.digests import is_announcing
from isthmus.host.attempt.findings import Findings
from isthmus.host.attempt.lease import Lease
from isthmus.host.attempt.preparing import Preparation
from isthmus.host.attempt.previewing import Previewing
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.attempt.quarantine import Quarantine
from isthmus.host.attempt.reconciling import NoQuarantine
from isthmus.host.attempt.settling import Settling
from isthmus.host.attempt.tools import Tools
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling


def settling_of(
    tools: Tools, grant: scheduling.AcquireLeaseResponse, lease: Lease, preparation: Preparation
) -> Settling:
    """Give what settles the units of an attempt."""
    execution, flow = grant.execution, grant.flow
    findings = partial(Findings, preparation.privacy, preparation.mapping_version)
    if execution.is_dry_run:
        return Previewing(
            lease,
            keeps_keys=flow.delete_policy.absent,
            privacy=preparation.privacy,
            findings=findings,
        )
    kind = NoQuarantine if is_announcing(grant.leg) else Quarantine
    quarantine = kind(
        tools.control,
        flow_id=flow.flow_id,
        execution_id=execution.execution_id,
        mapping_id=flow.mapping_id,
        mapping_version=preparation.mapping_version,
        privacy=preparation.privacy,
        patience=tools.settings.patience_seconds,
    )
    # A two-way flow reads its sides again for what comes out of quarantine.
    is_requeue = not grant.leg and execution.trigger == scheduling.Execution.TRIGGER_REQUEUE
    return Settling(
        lease,
        quarantine,
        is_requeue=is_requeue,
        most_quarantined=0 if is_requeue else flow.failure_policy.max_quarantined,
        quarantined_before=execution.counts.quarantined,
        findings=findings,
    )


def findings_of(settling: Settling | None, *, is_complete: bool) -> Findings:
    """Give what was wrong with records, as far as the counts cover them that the end of an attempt tells."""
    if settling is None:
        return Findings(Privacy())
    return settling.findings if is_complete else settling.durable_findings


__all__ = ["findings_of", "settling_of"]
