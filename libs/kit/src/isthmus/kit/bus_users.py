"""Who may say and hear what on the bus: the one description that servers, services and documents follow.

Pure: the server's configuration, the consumers of the services and a page of the documentation are all made
from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

ACCOUNT = "ISTHMUS"
"""The account of the mesh and of those who hear its events."""
EVENTS_STREAM = "ISTHMUS_EVENTS"
JOBS_STREAM = "ISTHMUS_JOBS"
DEAD_STREAM = "ISTHMUS_DEAD"
STREAMS = (EVENTS_STREAM, JOBS_STREAM, DEAD_STREAM)

LOGINS = "$SYS.REQ.USER.AUTH"
"""Where a server asks who a subscriber is."""
CONNECTIONS = "$SYS.REQ.SERVER.PING.CONNZ"
"""Where servers tell who is connected to the account of whoever asks."""
KICKS = "$SYS.REQ.SERVER.*.KICK"
"""Where a server is told to end a connection."""

_ENDED = tuple(f"isthmus.v1.*.scheduling.sync.{end}" for end in ("cancelled", "completed", "failed"))


class Durable(NamedTuple):
    """A durable consumer of the event stream, shared by all replicas of one service.

    Attributes:
        name: What it is called on the server, and behind `isthmus.dead.`.
        subjects: What it hears.
    """

    name: str
    subjects: tuple[str, ...]


EVENTS_STORE = Durable("events-store", ("isthmus.v1.>",))
MAPPING_FLOWS = Durable("mapping-flows", ("isthmus.v1.*.scheduling.flow.deleted",))
MONITORING_EXECUTIONS = Durable("monitoring-executions", _ENDED)
RECORDS_ROUNDS = Durable("records-rounds", _ENDED)
RECORDS_FLOWS = Durable("records-flows", ("isthmus.v1.*.scheduling.flow.deleted",))
RECORDS_RECONCILIATIONS = Durable("records-reconciliations", ("isthmus.v1.*.scheduling.reconciliation.*",))
SCHEDULING_TRIGGERS = Durable("scheduling-triggers", ("isthmus.v1.>",))
SCHEDULING_REQUEUE = Durable("scheduling-requeue", ("isthmus.v1.*.records.quarantine.requeued",))
SCHEDULING_CONFLICTS = Durable("scheduling-conflicts", ("isthmus.v1.*.records.conflict.resolved",))
SCHEDULING_INSTANCES = Durable(
    "scheduling-instances", ("isthmus.v1.*.registry.instance.*", "isthmus.v1.*.identity.quotas.changed")
)
REVOCATIONS = tuple(
    f"isthmus.v1.*.credentials.auth_config.{verb}" for verb in ("updated", "rotated", "revoked", "deleted")
)
"""What hosts hear as it passes."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a server lets one user do.

    Attributes:
        publish: Subjects it may publish to; all others are refused.
        subscribe: Subjects it may subscribe to; all others are refused.
        answers: Whether it may also answer whoever has asked it something.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


@dataclass(frozen=True, slots=True)
class BusUser:
    """A process of the mesh as the bus knows it.

    Attributes:
        name: Its user, `registry` or `host-files`.
        says: Subjects on which it publishes.
        durables: Its consumers of the event stream.
        hears: Subjects it listens to as they pass.
        connector: Whose jobs it takes; empty for services.
        keeps: It makes the streams and the consumers of all services, which nobody else may. Only services
            that hear every event by their work do it, so that this shows them nothing more.
        admits: It answers who may connect as a tenant's subscriber, makes the consumers of subscribers, and
            ends their connections.
    """

    name: str
    says: tuple[str, ...] = ()
    durables: tuple[Durable, ...] = ()
    hears: tuple[str, ...] = ()
    connector: str = ""
    keeps: bool = False
    admits: bool = False

    @property
    def watched(self) -> str:
        """The stream whose loss it has to notice."""
        return JOBS_STREAM if self.connector else EVENTS_STREAM

    @property
    def permissions(self) -> Permissions:
        """Everything that it needs for its work, and nothing else."""
        return Permissions(
            publish=(*self.says, *self._requests()),
            subscribe=(f"{inbox(self.name)}.>", *self.hears, *((LOGINS,) if self.admits else ())),
            answers=self.admits,
        )

    def _requests(self) -> Iterator[str]:
        for stream in STREAMS if self.keeps else (self.watched,):
            yield f"$JS.API.STREAM.INFO.{stream}"
        for durable in self.durables:
            yield f"isthmus.dead.{durable.name}"
            yield from _consuming(EVENTS_STREAM, durable.name)
        if self.connector:
            name = f"host-{self.connector}"
            # The filter is part of the subject, so the server lets it filter for nothing else.
            yield f"$JS.API.CONSUMER.CREATE.{JOBS_STREAM}.{name}.{jobs(self.connector)}"
            yield from _consuming(JOBS_STREAM, name)
        if self.keeps:
            yield from (f"$JS.API.STREAM.CREATE.{stream}" for stream in STREAMS)
            yield from (creation(durable) for user in SERVICES for durable in user.durables)
        if self.admits:
            yield f"$JS.API.CONSUMER.CREATE.{EVENTS_STREAM}.*.isthmus.v1.*.>"
            yield f"$JS.API.CONSUMER.DELETE.{EVENTS_STREAM}.*"
            yield from (CONNECTIONS, KICKS)


def inbox(user: str) -> str:
    """Return the prefix of the inboxes in which a user, and nobody else, hears answers."""
    return f"_INBOX_{user}"


def jobs(connector: str) -> str:
    """Return the subject of the jobs of a connector."""
    return f"isthmus.jobs.{connector}"


def creation(durable: Durable) -> str:
    """Return where the consumer is asked for; with one subject, the request's own binds the filter."""
    bound = f".{durable.subjects[0]}" if len(durable.subjects) == 1 else ""
    return f"$JS.API.CONSUMER.CREATE.{EVENTS_STREAM}.{durable.name}{bound}"


def host(connector: str) -> BusUser:
    """Return the user of the hosts of a connector."""
    return BusUser(f"host-{connector}", hears=REVOCATIONS, connector=connector)


def subscriber(name: str, tenant_id: str) -> Permissions:
    """Return what a tenant's subscriber may do: take what its one consumer gives, and hear what passes.

    It may make no consumer, not even a narrow one: a consumer may be told where to deliver to.
    """
    return Permissions(
        publish=tuple(_consuming(EVENTS_STREAM, name)),
        subscribe=(f"{inbox(name)}.>", tenants_events(tenant_id)),
    )


def tenants_events(tenant_id: str) -> str:
    """Return the subjects of all events of a tenant."""
    return f"isthmus.v1.{tenant_id}.>"


def _service(
    name: str,
    *durables: Durable,
    says: Iterable[str] = (),
    keeps: bool = False,
    admits: bool = False,
) -> BusUser:
    own = f"isthmus.v1.*.{name}.>"
    return BusUser(name, (own, *says), durables, keeps=keeps, admits=admits)


def _consuming(stream: str, name: str) -> Iterator[str]:
    yield f"$JS.API.CONSUMER.INFO.{stream}.{name}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
    yield f"$JS.ACK.{stream}.{name}.>"


SERVICES = (
    _service("credentials"),
    _service("events", EVENTS_STORE, keeps=True, admits=True),
    _service("identity"),
    _service("mapping", MAPPING_FLOWS),
    _service("monitoring", MONITORING_EXECUTIONS),
    _service("records", RECORDS_ROUNDS, RECORDS_FLOWS, RECORDS_RECONCILIATIONS),
    _service("registry"),
    _service(
        "scheduling",
        SCHEDULING_TRIGGERS,
        SCHEDULING_REQUEUE,
        SCHEDULING_CONFLICTS,
        SCHEDULING_INSTANCES,
        says=("isthmus.jobs.*",),
        keeps=True,
    ),
)
"""The users of the services; the gateway has nothing to do with the bus."""


def user_named(name: str) -> BusUser | None:
    """Return the user of a process; None where nobody is called so."""
    if name.startswith("host-"):
        return host(name.removeprefix("host-"))
    return next((user for user in SERVICES if user.name == name), None)


__all__ = [
    "ACCOUNT",
    "CONNECTIONS",
    "DEAD_STREAM",
    "EVENTS_STORE",
    "EVENTS_STREAM",
    "JOBS_STREAM",
    "KICKS",
    "LOGINS",
    "MAPPING_FLOWS",
    "MONITORING_EXECUTIONS",
    "RECORDS_FLOWS",
    "RECORDS_RECONCILIATIONS",
    "RECORDS_ROUNDS",
    "REVOCATIONS",
    "SCHEDULING_CONFLICTS",
    "SCHEDULING_INSTANCES",
    "SCHEDULING_REQUEUE",
    "SCHEDULING_TRIGGERS",
    "SERVICES",
    "STREAMS",
    "BusUser",
    "Durable",
    "Permissions",
    "creation",
    "host",
    "inbox",
    "jobs",
    "subscriber",
    "tenants_events",
    "user_named",
]
