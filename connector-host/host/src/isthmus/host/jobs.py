"""Pulls jobs of one connector from JetStream and carries their executions out."""

import asyncio
from contextlib import suppress
from typing import Any

from google.protobuf import json_format
from isthmus.host.attempt.attempt import Attempt, Tools
from isthmus.host.control import call
from isthmus.kit import acting_for
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
_LEASE_SECONDS = 8.0
_FETCH_SECONDS = 5.0
_OVER = frozenset({"EXECUTION_UNKNOWN", "EXECUTION_ENDED", "LEASE_HELD", "FLOW_UNKNOWN"})
_log = logger(__name__)


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
        self._host_id = host_id
        self._slots = asyncio.Semaphore(tools.settings.executions)
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = stopping

    @property
    def running(self) -> int:
        """Executions in progress."""
        return len(self._running)

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

    async def work(
        self, tenant_id: str, execution_id: str, *, correlation_id: str = "", traceparent: str = ""
    ) -> bool:
        """Take an execution over and start on it.

        Args:
            tenant_id: Whose execution it is.
            execution_id: Which one.
            correlation_id: What its log lines are tied together by; the execution's id by default.
            traceparent: The trace of whoever started it.

        Returns:
            False where the job has to come again; True where it is taken, or nobody needs it any more.
        """
        request = scheduling.AcquireLeaseRequest(
            execution_id=execution_id,
            host_id=self._host_id,
            connector_id=self._tools.backend.spec.connector_id,
        )
        continue_trace(traceparent)
        with acting_for(tenant_id), correlated(correlation_id or execution_id):
            try:
                grant = await call(
                    self._tools.control.scheduling.AcquireLease, request, seconds=_LEASE_SECONDS
                )
            except Fault as fault:
                if fault.reason in _OVER:
                    return True
                _log.warning("no lease", execution_id=execution_id, reason=fault.reason, why=fault.message)
                return False
            await self._slots.acquire()
            attempt = Attempt(self._tools, tenant_id, grant, self._stopping)
            task = asyncio.create_task(self._carry_out(attempt, traceparent))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

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

    async def _carry_out(self, attempt: Attempt, traceparent: str) -> None:
        try:
            with consuming("execution", traceparent):
                await attempt.run()
        except Exception as error:
            # Nothing is lost: the lease ends by itself, and scheduling starts another attempt.
            _log.error("attempt broke off", error)
        finally:
            self._slots.release()

    async def _bound(self, bus: Any) -> Pull:
        connector_id = self._tools.backend.spec.connector_id
        config = api.ConsumerConfig(
            durable_name=f"host-{connector_id}",
            filter_subject=f"isthmus.jobs.{connector_id}",
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT,
            max_ack_pending=256,
            max_waiting=64,
        )
        await bus.jetstream.add_consumer(STREAM, config)
        return Pull(bus.client, STREAM, f"host-{connector_id}")

    async def _drink(self, pull: Pull, jetstream: Any) -> None:
        try:
            while not self._stopping.is_set():
                if not await self._has_room():
                    return
                room = self._tools.settings.executions - self.running
                await asyncio.gather(*map(self._take, await self._fetched(pull, jetstream, max(room, 1))))
        finally:
            await pull.close()

    async def _has_room(self) -> bool:
        """Wait until another execution may be taken; False when the host stops first."""
        while self._slots.locked() and not self._stopping.is_set():
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({*self._running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
        return not self._stopping.is_set()

    async def _fetched(self, pull: Pull, jetstream: Any, room: int) -> list[Any]:
        """Jobs as far as there is room, or none after a while; a consumer that is gone is noticed then."""
        fetching = asyncio.create_task(pull.some(room, _FETCH_SECONDS))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return fetching.result() if fetching.done() else []
        except TimeoutError:
            await jetstream.consumer_info(STREAM, f"host-{self._tools.backend.spec.connector_id}")
            return []
        finally:
            for task in (fetching, stopping):
                task.cancel()
            await asyncio.gather(fetching, stopping, return_exceptions=True)

    async def _take(self, message: Any) -> None:
        try:
            job = json_format.Parse(message.data, scheduling.Job(), ignore_unknown_fields=True)
        except json_format.ParseError:
            _log.warning("a job cannot be read and is dropped", subject=message.subject)
            await message.term()
            return
        headers = message.headers or {}
        taken = await self.work(
            job.tenant_id,
            job.execution_id,
            correlation_id=headers.get(CORRELATION_HEADER, ""),
            traceparent=headers.get(TRACE_HEADER, ""),
        )
        try:
            # PostgreSQL is the truth: scheduling sends a job again when its lease ends without a result.
            await (message.ack() if taken else message.nak(delay=1.0))
        except (errors.Error, stream_errors.Error) as error:
            _log.info("a job was not acknowledged", why=str(error))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


__all__ = ["STREAM", "Jobs"]
