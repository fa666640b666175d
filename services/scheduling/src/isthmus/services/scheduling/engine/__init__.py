"""What scheduling does, one transaction at a time, and the loops that do it unasked."""

from isthmus.services.scheduling.engine.at_work import nothing_at_work
from isthmus.services.scheduling.engine.calls import Calls
from isthmus.services.scheduling.engine.changes import Changes
from isthmus.services.scheduling.engine.coordinator import Coordinator
from isthmus.services.scheduling.engine.ends import Ends, Finish
from isthmus.services.scheduling.engine.executions import Cause, Executions
from isthmus.services.scheduling.engine.flows import Flows
from isthmus.services.scheduling.engine.grants import Demand, Grants
from isthmus.services.scheduling.engine.leases import LeaseRules, Leases
from isthmus.services.scheduling.engine.loops import Dispatcher, Pruner, Sweeper, Ticker, every
from isthmus.services.scheduling.engine.pauses import Pauses
from isthmus.services.scheduling.engine.plan_runs import PlanRuns
from isthmus.services.scheduling.engine.plans import Plans
from isthmus.services.scheduling.engine.ports import (
    Actions,
    Announcer,
    HostAway,
    HostFinder,
    InstanceFacts,
    Instances,
    Jobs,
    Mappings,
    Origin,
)
from isthmus.services.scheduling.engine.room import Room
from isthmus.services.scheduling.engine.schedules import EventFact, Schedules
from isthmus.services.scheduling.engine.starts import Starts, Wish

__all__ = [
    "Actions",
    "Announcer",
    "Calls",
    "Cause",
    "Changes",
    "Coordinator",
    "Demand",
    "Dispatcher",
    "Ends",
    "EventFact",
    "Executions",
    "Finish",
    "Flows",
    "Grants",
    "HostAway",
    "HostFinder",
    "InstanceFacts",
    "Instances",
    "Jobs",
    "LeaseRules",
    "Leases",
    "Mappings",
    "Origin",
    "Pauses",
    "PlanRuns",
    "Plans",
    "Pruner",
    "Room",
    "Schedules",
    "Starts",
    "Sweeper",
    "Ticker",
    "Wish",
    "every",
    "nothing_at_work",
]
