"""Between the contract's messages and the domain's values."""

from isthmus.services.scheduling.translate.executions import (
    has_range,
    read_asked,
    read_checkpoint,
    read_counts,
    read_failure,
    read_outcome,
    read_reconcile,
    read_statuses,
    write_attempt,
    write_checkpoint,
    write_counts,
    write_execution,
    write_failure,
    write_leg,
    write_round,
)
from isthmus.services.scheduling.translate.flows import (
    read_flow,
    write_flow,
    write_spec,
)
from isthmus.services.scheduling.translate.instances import most_executions
from isthmus.services.scheduling.translate.schedules import (
    read_schedule,
    write_schedule,
)
from isthmus.services.scheduling.translate.told import sync_data, write_sync

__all__ = [
    "has_range",
    "most_executions",
    "read_asked",
    "read_checkpoint",
    "read_counts",
    "read_failure",
    "read_flow",
    "read_outcome",
    "read_reconcile",
    "read_schedule",
    "read_statuses",
    "sync_data",
    "write_attempt",
    "write_checkpoint",
    "write_counts",
    "write_execution",
    "write_failure",
    "write_flow",
    "write_leg",
    "write_round",
    "write_schedule",
    "write_spec",
    "write_sync",
]
