"""Pulls jobs of one connector from JetStream and carries their executions out."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from isthmus.host.attempt.attempt import Attempt, Tools
from isthmus.host.slots import Slot, Slots
from isthmus.kit import acting_for
from isthmus.kit.bus_users import jobs as jobs_of
from isthmus.kit.guard import CORRELATION_HEADER
from isthmus.kit.logs import logger
from isthmus.kit.principal import correlated
from isthmus.kit.pull import Pull
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import consuming, continue_trace
from isthmus.resilience import Backoff, Fault
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from nats import errors
from nats.js import api
from nats.js import errors as stream_errors

STREAM = "ISTHMUS_JOBS"
_ACK_WAIT = 10.0  # so long a job lies with a host that was frozen before it took the lease
_FETCH_SECONDS = 5.0
_PACE_SECONDS = 0.015
_OVER = frozenset({"EXECUTION_UNKNOWN", "EXECUTION_ENDED", "LEASE_HELD", "FLOW_UNKNOWN"})
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it comes off the queue.

    Attributes:
        tenant_id: Whose execution it is.
        execution_id: Which one.
        correlation: What its log lines are tied together by.
        traceparent: The trace of whoever started it.
    """

    tenant_id: str
    execution_id: str
    correlation: str
    traceparent: str = ""


class Jobs:
    """Takes jobs as long as there is room, each until it is finished.

    Args:
        tools: What executions work with.
        host_id: Told to scheduling.
        stopping: Set when the process has to stop. Loops look at it in every round, because a library
            in between may swallow a cancellation.
    """

    def __init__(self, tools: Tools, host_id: str, stopping: asyncio.Event) -> None:
        self._tools = tools
        self.host_id = host_id
        self.connector_id = tools.backend.spec.connector_id
        self._slots = Slots(tools.settings.executions)
        self._freed = asyncio.Event()
        self._looked = 0.0
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = stopping
        tools.control.leasing.taker = self

    @property
    def running(self) -> int:
        """Executions in progress."""
        return len(self._running)

    @property
    def room(self) -> int:
        """How many more executions may be taken off the queue; the end of one may be told beside another."""
        return self._slots.for_queue

    async def pull(self, bus: Any) -> None:
        """Take jobs from the bus until stopped; a bus that is away or has lost its store is tried again."""
        pauses, tries = Backoff(first=0.2, longest=5.0), 0
        while not self._stopping.is_set():
            try:
                await bus.ready(_FETCH_SECONDS)
                pull = await self._bound(bus)
                tries = 0
                await self._drink(pull, bus.jetstream)
            except (errors.Error, Fault, TimeoutError, OSError) as error:
                tries += 1
                _log.info("jobs cannot be pulled", why=str(error) or type(error).__name__, tries=tries)
                await self._pause(pauses.wait(tries))

    async def work(self, jobs: Sequence[Job]) -> set[Job]:
        """Take executions over and start on them.

        Returns:
            Those whose jobs have to come again; the others are taken, or nobody needs them any more.
        """
        again: set[Job] = set()
        for tenant_id in {job.tenant_id: None for job in jobs}:
            again |= await self._work_for(tenant_id, [job for job in jobs if job.tenant_id == tenant_id])
        return again

    async def _work_for(self, tenant_id: str, jobs: Sequence[Job]) -> set[Job]:
        again = set()
        wanted = [
            scheduling.AcquireLeaseRequest(
                execution_id=job.execution_id, host_id=self.host_id, connector_id=self.connector_id
            )
            for job in jobs
        ]
        origins = [
            scheduling.Origin(correlation_id=job.correlation, traceparent=job.traceparent) for job in jobs
        ]
        with acting_for(tenant_id), correlated(jobs[0].correlation):
            continue_trace(jobs[0].traceparent)
            grants = await self._tools.control.leasing.acquire(wanted, origins)
            for job, grant in zip(jobs, grants, strict=True):
                if not isinstance(grant, Fault):
                    self._begin(job, grant, self._slots.queued())
                elif grant.reason not in _OVER:
                    why = {"reason": grant.reason, "why": grant.message}
                    _log.warning("no lease", execution_id=job.execution_id, **why)
                    again.add(job)
        return again

    def reserve(self) -> int:
        """Keep room for executions that scheduling hands over, and say for how many."""
        return 0 if self._stopping.is_set() else self._slots.reserve()

    async def take(self, tenant_id: str, given: Sequence[scheduling.HandedOver], reserved: int) -> None:
        """Start on executions that scheduling has handed over."""
        taken = [self._slots.handed_over() for _ in given]
        self._slots.give_up(reserved)
        self._freed.set()
        with acting_for(tenant_id):
            for one, slot in zip(given, taken, strict=True):
                job = Job(
                    tenant_id,
                    one.lease.execution.execution_id,
                    one.origin.correlation_id,
                    one.origin.traceparent,
                )
                self._begin(job, one.lease, slot)

    def _begin(self, job: Job, grant: scheduling.AcquireLeaseResponse, slot: Slot) -> None:
        with correlated(job.correlation):
            continue_trace(job.traceparent)
            attempt = Attempt(self._tools, job.tenant_id, grant, self._stopping)
            task = asyncio.create_task(self._carry_out(attempt, job.traceparent, slot))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Wait until the executions in progress have come to their next position, but not for long."""
        self._stopping.set()
        if self._running:
            limit = self._tools.settings.stop_seconds + 2.0
            _, late = await asyncio.wait(set(self._running), timeout=limit)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def idle(self) -> None:
        """Return when no execution is in progress."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _carry_out(self, attempt: Attempt, traceparent: str, slot: Slot) -> None:
        def worked() -> None:
            """Make room for another one, which may begin while the end of this one is being told."""
            slot.free()
            self._freed.set()

        try:
            with consuming("execution", traceparent):
                await attempt.run(worked)
        except Exception as error:
            # Nothing is lost: the lease ends by itself, and scheduling starts another attempt.
            _log.error("attempt broke off", error)
        finally:
            worked()

    async def _bound(self, bus: Any) -> Pull:
        name = f"host-{self.connector_id}"
        config = api.ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=jobs_of(self.connector_id),
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT,
            max_ack_pending=256,
            max_waiting=64,
        )
        await bus.jetstream.add_consumer(STREAM, config)
        return Pull(bus.client, STREAM, name)

    async def _drink(self, pull: Pull, jetstream: Any) -> None:
        try:
            while not self._stopping.is_set():
                if not await self._has_room():
                    return
                await self._take(await self._fetched(pull, jetstream, max(1, self.room)))
        finally:
            await pull.close()

    async def _has_room(self) -> bool:
        """Wait until another execution may be taken; False when the host stops first."""
        while self.room <= 0 and not self._stopping.is_set():
            self._freed.clear()
            waits = [asyncio.create_task(one.wait()) for one in (self._freed, self._stopping)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        # In busy times several jobs are taken together; after a rest the first one is taken at once.
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._looked + _PACE_SECONDS - clock()))
        self._looked = clock()
        return not self._stopping.is_set()

    async def _fetched(self, pull: Pull, jetstream: Any, room: int) -> list[Any]:
        """Jobs as far as there is room, or none after a while; a consumer that is gone is noticed then."""
        fetching = asyncio.create_task(pull.some(room, _FETCH_SECONDS))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return fetching.result() if fetching.done() else []
        except TimeoutError:
            await jetstream.consumer_info(STREAM, f"host-{self.connector_id}")
            return []
        finally:
            for task in (fetching, stopping):
                task.cancel()
            await asyncio.gather(fetching, stopping, return_exceptions=True)

    async def _take(self, messages: Sequence[Any]) -> None:
        jobs = []
        for message in messages:
            if (job := _read(message)) is not None:
                jobs.append((job, message))
            else:
                _log.warning("a job cannot be read and is dropped", subject=message.subject)
                await message.term()
        again = await self.work([job for job, _ in jobs])
        for job, message in jobs:
            try:
                # PostgreSQL is the truth: scheduling sends a job again when its lease ends without a result.
                await (message.nak(delay=1.0) if job in again else message.ack())
            except (errors.Error, stream_errors.Error) as error:
                _log.info("a job was not acknowledged", why=str(error))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _read(message: Any) -> Job | None:
    try:
        job = json_format.Parse(message.data, scheduling.Job(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None
    headers = message.headers or {}
    return Job(
        job.tenant_id,
        job.execution_id,
        headers.get(CORRELATION_HEADER, "") or job.execution_id,
        headers.get(TRACE_HEADER, ""),
    )


__all__ = ["STREAM", "Job", "Jobs"]
