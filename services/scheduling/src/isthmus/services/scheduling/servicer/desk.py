"""What every group of RPCs works with."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from isthmus.kit import Clock, Database
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.engine import (
    Actions,
    Changes,
    Ends,
    Executions,
    Flows,
    Grants,
    Instances,
    Leases,
    Mappings,
    Pauses,
    PlanRuns,
    Plans,
    Schedules,
    Starts,
)
from isthmus.services.scheduling.servicer.passes import Passes

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """The collaborators of the servicer.

    Attributes:
        db: For the transactions.
        clock: The time, for rates.
        flows: Decides about flows.
        schedules: Decides about schedules.
        executions: Decides about executions.
        leases: Decides about leases.
        starts: Starts executions, many at a time.
        grants: Gives leases, many at a time.
        ends: Ends attempts, many at a time.
        plans: Decides about plans.
        plan_runs: Decides about runs of plans.
        pauses: Decides about pauses.
        instances: Knows the tenant's instances.
        mappings: Knows the tenant's mappings.
        actions: Knows the actions of connectors.
        passes: Signs by which right hosts work.
        changes: Tells watchers at once.
        watch_seconds: Pause between two looks at a watched execution of which nothing is heard.
    """

    db: Database
    clock: Clock
    flows: Flows
    schedules: Schedules
    executions: Executions
    leases: Leases
    starts: Starts[pb.StartExecutionResponse]
    grants: Grants
    ends: Ends
    plans: Plans
    plan_runs: PlanRuns
    pauses: Pauses
    instances: Instances
    mappings: Mappings
    actions: Actions
    passes: Passes
    changes: Changes
    watch_seconds: float = 1.0


class Rpcs:
    """A group of RPCs at the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk


__all__ = ["Context", "Desk", "Rpcs"]
