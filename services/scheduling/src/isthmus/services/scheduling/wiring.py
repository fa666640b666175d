"""Puts the service together."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from isthmus.kit import Clock, Database
from isthmus.kit.tickets import LONGEST
from isthmus.kit.wiring import Chassis, Wiring
from isthmus.resilience import Backoff
from isthmus.scheduling.v1.plans_pb2_grpc import add_PlansServiceServicer_to_server
from isthmus.scheduling.v1.scheduling_pb2_grpc import add_SchedulingServiceServicer_to_server
from isthmus.services.scheduling.domain import RetryRules
from isthmus.services.scheduling.engine import (
    Calls,
    Changes,
    Coordinator,
    Dispatcher,
    Ends,
    Executions,
    Flows,
    Grants,
    LeaseRules,
    Leases,
    Pauses,
    PlanRuns,
    Plans,
    Pruner,
    Room,
    Schedules,
    Starts,
    Sweeper,
    Ticker,
    every,
    nothing_at_work,
)
from isthmus.services.scheduling.events import Announcements, JobQueue, Reactions
from isthmus.services.scheduling.servicer import (
    Desk,
    Passes,
    PlansServicer,
    RegistryPeer,
    RemoteActions,
    RemoteMappings,
    SchedulingServicer,
)
from isthmus.services.scheduling.settings import Settings

_DISPATCH_PACE = 0.02


async def wire(chassis: Chassis) -> Wiring:
    """Make the service out of what the chassis offers."""
    settings: Settings = chassis.settings
    db, clock, announcer = chassis.db, chassis.clock, Announcements(chassis.outbox)
    registry, mappings = RegistryPeer(chassis.peer("registry")), RemoteMappings(chassis.peer("mapping"))
    pending, moved = asyncio.Event(), asyncio.Event()
    changes = Changes()
    room = Room(db, clock, changes)
    held_back = settings.hold_back_seconds
    executions = Executions(announcer, clock, pending.set, changes, moved.set, room=room, held_back=held_back)
    actions = RemoteActions(chassis.peer("registry"), chassis.channel, chassis.tickets)
    calls = Calls(db, actions, clock, lease_rules(settings).retry.backoff, moved.set)
    plan_runs = PlanRuns(executions, announcer, clock)
    schedules = Schedules(executions, announcer, clock)
    leases, grants, ends = _leasing(
        db, executions, mappings=mappings, announcer=announcer, clock=clock, room=room, settings=settings
    )
    desk = Desk(
        db=db,
        clock=clock,
        flows=Flows(executions, announcer, clock),
        schedules=schedules,
        executions=executions,
        leases=leases,
        starts=Starts(db, executions, registry, mappings),
        grants=grants,
        ends=ends,
        plans=Plans(announcer, clock),
        plan_runs=plan_runs,
        pauses=Pauses(executions, plan_runs, announcer, clock),
        instances=registry,
        mappings=mappings,
        actions=actions,
        passes=Passes(chassis.tickets.lasting(LONGEST), registry),
        changes=changes,
        watch_seconds=settings.watch_seconds,
    )
    queue = JobQueue(chassis.bus)
    dispatcher = Dispatcher(
        db, queue, registry, clock, room, resend=settings.resend_seconds, batch=settings.batch
    )
    ticker = Ticker(db, executions, clock, batch=settings.batch)
    coordinator = Coordinator(db, plan_runs, calls, clock, batch=settings.batch)
    return Wiring(
        servicers=[
            (add_SchedulingServiceServicer_to_server, SchedulingServicer(desk)),
            (add_PlansServiceServicer_to_server, PlansServicer(desk)),
        ],
        tasks=[
            every(settings.tick_seconds, ticker.tick),
            every(settings.tick_seconds, coordinator.coordinate, moved),
            every(settings.dispatch_seconds, dispatcher.dispatch, pending, pace=_DISPATCH_PACE),
            *_cleaning(db, leases, clock, settings),
        ],
        consumers=Reactions(executions, schedules).consumers(),
        closers=[calls.close, dispatcher.close],
    )


def _leasing(
    db: Database,
    work: Executions,
    *,
    mappings: RemoteMappings,
    announcer: Announcements,
    clock: Clock,
    room: Room,
    settings: Settings,
) -> tuple[Leases, Grants, Ends]:
    """What gives leases one by one, gives several together, and ends several together."""
    rules, at_work = lease_rules(settings), nothing_at_work()
    leases = Leases(
        db=db,
        work=work,
        mappings=mappings,
        announcer=announcer,
        clock=clock,
        rules=rules,
        room=room,
        at_work=at_work,
    )
    grants = Grants(
        db=db,
        work=work,
        leases=leases,
        mappings=mappings,
        announcer=announcer,
        clock=clock,
        rules=rules,
        at_work=at_work,
    )
    ends = Ends(
        db=db, work=work, leases=leases, announcer=announcer, clock=clock, rules=rules, at_work=at_work
    )
    return leases, grants, ends


def _cleaning(
    db: Database, leases: Leases, clock: Clock, settings: Settings
) -> list[Callable[[], Awaitable[None]]]:
    """What takes back leases of the dead, and removes executions of long ago."""
    sweeper = Sweeper(db, leases, clock, grace=settings.lease_grace_seconds, batch=settings.batch)
    pruner = Pruner(db, clock, keep=timedelta(days=settings.executions_kept_days), batch=settings.batch)
    return [every(settings.sweep_seconds, sweeper.sweep), every(settings.prune_seconds, pruner.prune)]


def lease_rules(settings: Settings) -> LeaseRules:
    """Read how long things last from the settings."""
    backoff = Backoff(settings.retry_first_seconds, settings.retry_longest_seconds)
    return LeaseRules(
        lease=timedelta(seconds=settings.lease_seconds),
        cancel=timedelta(seconds=settings.cancel_seconds),
        retry=RetryRules(backoff),
    )


__all__ = ["lease_rules", "wire"]
