"""Puts the service together."""

from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

from isthmus.events.v1.events_pb2_grpc import add_EventsServiceServicer_to_server
from isthmus.kit.quotas import QuotaBook
from isthmus.kit.wiring import Chassis, Wiring
from isthmus.services.events.engine import Actions, Bell, Recorder, Subscribers, Subscriptions, Tail, every
from isthmus.services.events.events import Announcements, Collector
from isthmus.services.events.servicer import Desk, EventsServicer, RemoteFlows, RemoteLog
from isthmus.services.events.settings import Settings

_PRUNE_SECONDS = 600.0
_LOOK_SECONDS = 20.0


async def wire(chassis: Chassis) -> Wiring:
    """Make the service out of what the chassis offers."""
    settings: Settings = chassis.settings
    db, clock, announcer = chassis.db, chassis.clock, Announcements(chassis.outbox)
    arrived, wanted, ended = Bell(), Bell(), Bell()
    recorder = Recorder(clock, arrived, wanted)
    flows = RemoteFlows(chassis.peer("scheduling"))
    actions = Actions(
        db,
        clock,
        flows,
        RemoteLog(chassis.peer("monitoring")),
        claim=timedelta(seconds=settings.claim_seconds),
        busy=timedelta(seconds=settings.busy_seconds),
        keep=timedelta(days=settings.events_kept_days),
    )
    tail = Tail(
        db, clock, arrived, chassis.draining, pause=settings.tail_seconds, patience=settings.slow_seconds
    )
    desk = Desk(
        db=db,
        clock=clock,
        recorder=recorder,
        tail=tail,
        subscriptions=Subscriptions(announcer, clock),
        flows=flows,
        publisher=announcer,
        subscribers=Subscribers(clock),
        ended=ended,
        admits_subscribers=settings.nats_issuer_file is not None,
        bus_address=settings.subscribers_nats_url or _without_login(settings.nats_url),
        bus_authorities=settings.subscribers_nats_ca_file or settings.nats_ca_file,
        book=QuotaBook(lambda: chassis.peer("identity")),
    )
    tasks = [
        every(settings.action_seconds, actions.act, wanted),
        every(_PRUNE_SECONDS, actions.prune),
    ]
    if settings.nats_issuer_file is not None:
        from isthmus.kit.bus_admission import Issuer
        from isthmus.services.events.engine.door import Door, PuttingOut

        door = Door(chassis.bus, db, Issuer.load(settings.nats_issuer_file))
        tasks += [door.run, every(_LOOK_SECONDS, PuttingOut(chassis.bus, db, clock).work, ended)]
    return Wiring(
        servicers=[(add_EventsServiceServicer_to_server, EventsServicer(desk))],
        tasks=tasks,
        consumers=Collector(recorder, timedelta(days=settings.events_kept_days)).consumers(),
    )


def _without_login(url: str) -> str:
    """Return an address without the user and the password that it may carry."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


__all__ = ["wire"]
