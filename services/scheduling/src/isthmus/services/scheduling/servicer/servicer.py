"""The RPCs of `isthmus.scheduling.v1`, put together out of their groups."""

from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceServicer
from isthmus.services.scheduling.servicer.budgets import BudgetRpcs
from isthmus.services.scheduling.servicer.executions import ExecutionRpcs
from isthmus.services.scheduling.servicer.flows import FlowRpcs
from isthmus.services.scheduling.servicer.leases import LeaseRpcs
from isthmus.services.scheduling.servicer.redacting import RedactingRpcs
from isthmus.services.scheduling.servicer.schedules import ScheduleRpcs


class SchedulingServicer(
    FlowRpcs, ScheduleRpcs, ExecutionRpcs, LeaseRpcs, BudgetRpcs, RedactingRpcs, SchedulingServiceServicer
):
    """Serves flows, schedules, executions, leases and budgets."""


__all__ = ["SchedulingServicer"]
