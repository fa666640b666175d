"""Why something cannot be found or started, in words."""

from collections.abc import Mapping, Sequence

from isthmus.resilience.faults import Fault, Missing, Precondition
from isthmus.services.scheduling.domain import Execution, Flow, refuse_repair, refuse_two_way
from isthmus.services.scheduling.engine.causes import Cause
from isthmus.services.scheduling.engine.ports import InstanceFacts

_MOST_NAMED = 10


class OtherInstances(Exception):
    """The flow needs other instances than those that were asked about.

    Args:
        wanted: Those that it needs.
    """

    def __init__(self, wanted: tuple[str, ...]) -> None:
        super().__init__("the flow needs other instances")
        self.wanted = wanted


def flow_unknown(flow_id: str) -> Missing:
    """Say that there is no such flow."""
    return Missing("FLOW_UNKNOWN", f"There is no flow {flow_id}; ListFlows shows what there is.")


def flow_in_use(flow: Flow, users: Sequence[tuple[str, str]]) -> Precondition:
    """Say that plans, given with id and name, need a flow that was to be deleted."""
    named = ", ".join(f'"{name}"' for _, name in users[:_MOST_NAMED])
    more = f" and {len(users) - _MOST_NAMED} more" if len(users) > _MOST_NAMED else ""
    are = "plan" if len(users) == 1 else "plans"
    message = (
        f'Flow "{flow.spec.name}" is used by {are} {named}{more}; take it out of there, then delete the flow.'
    )
    metadata = {"flow_id": flow.flow_id, "plan_id": users[0][0]}
    return Precondition("FLOW_IN_USE", message, metadata=metadata)


def execution_unknown(execution_id: str) -> Missing:
    """Say that there is no such execution."""
    message = f"There is no execution {execution_id}; ListExecutions shows what there is."
    return Missing("EXECUTION_UNKNOWN", message)


def execution_ended(execution_id: str) -> Precondition:
    """Say that there is nothing left to carry out."""
    message = f"Execution {execution_id} has ended; drop the job."
    return Precondition("EXECUTION_ENDED", message, metadata={"execution_id": execution_id})


def fenced(execution_id: str) -> Precondition:
    """Say that whoever asks has been overtaken."""
    message = f"Another attempt at execution {execution_id} has taken over; stop at once, write nothing more."
    return Precondition("FENCED", message, metadata={"execution_id": execution_id})


def paused(flow: Flow) -> Precondition:
    """Say that a flow is paused."""
    why = f" ({flow.pause_reason})" if flow.pause_reason else ""
    message = f'Flow "{flow.spec.name}" was paused by {flow.paused_by}{why}; resume it, then start it.'
    return Precondition("FLOW_PAUSED", message, metadata={"flow_id": flow.flow_id})


def refuse_inactive(flow: Flow, facts: InstanceFacts | Missing) -> None:
    """Refuse to start a flow whose instance is not active, or gone."""
    if isinstance(facts, InstanceFacts) and facts.is_active:
        return
    gone = isinstance(facts, Missing)
    instance_id = facts.metadata.get("instance_id", "") if isinstance(facts, Missing) else facts.instance_id
    state = "does not exist any more; change the flow" if gone else "is not active; activate it"
    message = f'Instance {instance_id} of flow "{flow.spec.name}" {state}, then start the flow.'
    raise Precondition("INSTANCE_INACTIVE", message, metadata={"instance_id": instance_id})


def is_in_doubt(fault: Fault) -> bool:
    """Tell whether nobody knows what has become of a transaction, so that whoever asked has to ask again."""
    return fault.reason == "DATABASE_UNREACHABLE"


def refuse_start(flow: Flow, cause: Cause, instances: Mapping[str, InstanceFacts | Missing]) -> None:
    """Refuse to start a flow that cannot run, or not in the way that is asked for.

    Raises:
        Precondition: `FLOW_INACTIVE`, `FLOW_PAUSED`, `ONE_WAY_ONLY`, `REPAIR_ONE_WAY_ONLY` or
            `INSTANCE_INACTIVE`.
        OtherInstances: The flow needs others.
    """
    if not flow.spec.is_active:
        message = f'Flow "{flow.spec.name}" is inactive; activate it, then start it.'
        raise Precondition("FLOW_INACTIVE", message, metadata={"flow_id": flow.flow_id})
    refuse_two_way(flow.flow_id, flow.spec, cause.asked)
    refuse_repair(flow.flow_id, flow.spec, cause.reconcile)
    if flow.is_paused:
        raise paused(flow)
    if set(instances) != set(flow.spec.instance_ids):
        raise OtherInstances(flow.spec.instance_ids)
    for facts in instances.values():
        refuse_inactive(flow, facts)


def refuse_foreign(execution: Execution, connector_id: str) -> None:
    """Refuse a job that comes again from an earlier leg, which another connector carried out."""
    if connector_id and connector_id != execution.connector_id:
        message = f"Hosts of {execution.connector_id} carry this leg out; drop the job."
        raise Precondition("LEASE_HELD", message, metadata={"execution_id": execution.execution_id})


__all__ = [
    "OtherInstances",
    "execution_ended",
    "execution_unknown",
    "fenced",
    "flow_in_use",
    "flow_unknown",
    "is_in_doubt",
    "paused",
    "refuse_foreign",
    "refuse_start",
]
