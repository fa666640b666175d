"""What monitoring learns from the events of others, and tells them."""

import asyncio
from collections.abc import Callable, Sequence

import grpc.aio
from google.protobuf.json_format import Parse
from isthmus.events.v1 import events_pb2, events_pb2_grpc
from isthmus.kit import Clock, Consumer, Database, DomainEvent, Outbox, ReceivedEvent, fault_from_rpc_error
from isthmus.kit.bus_users import MONITORING_EXECUTIONS
from isthmus.kit.logs import logger
from isthmus.kit.times import stamp
from isthmus.monitoring.v1 import audit_pb2
from isthmus.resilience.faults import Fault
from isthmus.resilience.trail import Checkpoint
from isthmus.services.monitoring.domain import run_of
from isthmus.services.monitoring.sealing import Notary
from isthmus.services.monitoring.store import Runs, Trail, untold
from sqlalchemy.ext.asyncio import AsyncConnection

_log = logger(__name__)
_CHECKPOINT = "isthmus.monitoring.audit_checkpoint.created.v1"


async def remember_run(conn: AsyncConnection, event: ReceivedEvent) -> None:
    """Remembers how an execution ended."""
    await remember_runs(conn, [event])


async def remember_runs(conn: AsyncConnection, events: Sequence[ReceivedEvent]) -> None:
    """Remembers how executions of one tenant ended."""
    runs = [run_of(_verb(event), event.data, event.time) for event in events]
    await Runs(conn, events[0].tenant_id).add([run for run in runs if run is not None])


def consumers() -> list[Consumer]:
    """Gives the interest of monitoring in events."""
    # An end that is told twice is written into the same row.
    return [Consumer(*MONITORING_EXECUTIONS, remember_run, remember_runs, is_repeatable=True)]


class Anchors:
    """Tells the mesh what the chains of the audit trail end with, so that others know it, too.

    Args:
        db: Where the trail is kept.
        outbox: Where events go.
        clock: The time.
        notary: Signs them.
        pace: Seconds between two ends of one chain that are told.
    """

    def __init__(self, db: Database, outbox: Outbox, clock: Clock, notary: Notary, *, pace: float) -> None:
        self._db = db
        self._outbox = outbox
        self._clock = clock
        self._notary = notary
        self._pace = pace
        self._grown: set[str] = set()
        self._news = asyncio.Event()

    def grown(self, tenant_id: str) -> None:
        """Note that a tenant's chain has grown."""
        self._grown.add(tenant_id)
        self._news.set()

    async def run(self) -> None:
        """Tell ends of chains for ever; a chain that does not grow is not told of again."""
        async with self._db.system() as conn:
            for tenant_id in await untold(conn):
                self.grown(tenant_id)
        while True:
            await self._news.wait()
            await asyncio.sleep(self._pace)
            self._news.clear()
            for tenant_id in sorted(self._grown):
                self._grown.discard(tenant_id)
                try:
                    await self.tell(tenant_id)
                except Fault as fault:
                    self.grown(tenant_id)
                    _log.warning("the end of a trail waits to be signed", tenant=tenant_id, why=fault.message)

    async def tell(self, tenant_id: str) -> None:
        """Tell what a tenant's chain ends with, unless that has been told.

        Raises:
            RetryLater: The vault, which signs it, or the database is away; nothing has been told.
        """
        now = self._clock.now()
        async with self._db.tenant(tenant_id) as conn:
            end = await Trail(conn, tenant_id).end()
        if end is None:
            return
        # No transaction waits for the vault. What is added meanwhile has its turn afterwards.
        seal = await self._notary.sign(tenant_id, end, now)
        async with self._db.tenant(tenant_id) as conn:
            if not await Trail(conn, tenant_id).add_checkpoint(end, now):
                seal = ""
            else:
                checkpoint = audit_pb2.AuditCheckpoint(sequence=end.sequence, hash=end.hash, time=stamp(now))
                payload = audit_pb2.AuditCheckpointCreated(checkpoint=checkpoint, seal=seal)
                event = DomainEvent(tenant_id, "audit_checkpoint", "created", str(end.sequence), payload)
                await self._outbox.add(conn, event)
        await self._notary.keep(seal)


class ToldEnds:
    """What events have told of the acting tenant's chain, as the events service keeps it.

    Args:
        channel: Gives the way to the events service.
    """

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def __call__(self) -> list[Checkpoint]:
        """Ask for the newest thousand.

        Raises:
            Fault: The events service cannot be asked, or refuses.
        """
        request = events_pb2.ListEventsRequest(page_size=1000)
        request.filter.types.append(_CHECKPOINT)
        try:
            answer = await events_pb2_grpc.EventsServiceStub(self._channel()).ListEvents(request)
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error
        told = (audit_pb2.AuditCheckpointCreated() for _ in answer.events)
        ends = [
            Parse(event.data, one, ignore_unknown_fields=True)
            for event, one in zip(answer.events, told, strict=True)
        ]
        return [Checkpoint(one.checkpoint.sequence, one.checkpoint.hash) for one in ends]


def _verb(event: ReceivedEvent) -> str:
    return event.type.split(".")[-2]


__all__ = ["Anchors", "ToldEnds", "consumers", "remember_run", "remember_runs"]
