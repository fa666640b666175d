"""One attempt from the lease to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.absence import Absence, generation_of
from isthmus.host.attempt.accounting import findings_of, settling_of
from isthmus.host.attempt.delivery import Delivery, DestinationFault
from isthmus.host.attempt.findings import warnings
from isthmus.host.attempt.lease import Lease, LeaseLost
from isthmus.host.attempt.legs import begins_empty, is_watched, maps_forward, pair_stream, read_paths
from isthmus.host.attempt.pieces import Piece
from isthmus.host.attempt.preparing import Preparation, opening_of, read_mode
from isthmus.host.attempt.previewing import Previewing
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.attempt.ranging import RangedPlan, range_mode, range_of
from isthmus.host.attempt.reading import Door, Layout, SourceFault, SourceReader
from isthmus.host.attempt.reconciling import extra_stream, left_out, reconciliation_of
from isthmus.host.attempt.requeue import requeued_pages
from isthmus.host.attempt.settling import Settling
from isthmus.host.attempt.tasks import ended, first_cause
from isthmus.host.attempt.telling import Story
from isthmus.host.attempt.tools import Ending, Tools
from isthmus.host.attempt.watching import SchemaWatch, Watched
from isthmus.host.failures import error_message
from isthmus.host.reports import Log
from isthmus.kit.logs import logger
from isthmus.kit.tickets import carrying
from isthmus.resilience import Broken, Fault
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

T = TypeVar("T")
_log = logger(__name__)
_Finish = scheduling.FinishAttemptRequest
_Error = scheduling.ExecutionError
_NAME_SECONDS = 2.0


class Attempt:
    """Carries out an execution as far as it gets.

    Args:
        tools: What it works with.
        tenant_id: Whose execution it is.
        grant: The lease.
        stop: Set when the host has to stop.
    """

    def __init__(
        self, tools: Tools, tenant_id: str, grant: scheduling.AcquireLeaseResponse, stop: asyncio.Event
    ) -> None:
        settings = tools.settings
        self._tools = tools
        self._tenant_id = tenant_id
        self._grant = grant
        self._stop = stop
        self._doing = f"Preparing {grant.flow.name}"
        self._source = grant.flow.source.instance_id
        self._destination = grant.flow.destination.instance_id
        # A two-way flow reads its sides again for what comes out of quarantine.
        self._is_requeue = not grant.leg and grant.execution.trigger == scheduling.Execution.TRIGGER_REQUEUE
        self._is_dry = grant.execution.is_dry_run
        self._reconciliation = reconciliation_of(tools.control, grant, patience=settings.patience_seconds)
        self._is_range = grant.execution.HasField("range")
        self._ranged: RangedPlan | None = None
        self._settled: Settling | None = None
        self._lease = Lease(
            tools.control,
            grant,
            commit_seconds=settings.commit_seconds,
            renew_seconds=settings.renew_seconds,
        )
        self._story = Story(
            tools.reports,
            tenant_id,
            grant,
            is_wordy=settings.log_level.upper() == "DEBUG",
            ticket=self._lease.passes.source,
        )

    async def run(self, worked: Callable[[], None] = lambda: None) -> scheduling.Execution | None:
        """Do the work and give the lease back.

        Args:
            worked: Called once the work is done, when only its end is still to be told.

        Returns:
            The execution afterwards; None where another attempt has taken over.
        """
        with carrying(self._lease.passes.source):
            return await self._run(worked)

    async def _run(self, worked: Callable[[], None]) -> scheduling.Execution | None:
        self._story.begin()
        keeping = asyncio.create_task(self._lease.keep())
        working = asyncio.create_task(self._work())
        self._halting = asyncio.create_task(self._halted())
        try:
            await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = await ended(keeping)
            failed = await ended(working)
            await ended(self._halting)
            self._story.end()
        if isinstance(lost, LeaseLost) or isinstance(failed, LeaseLost):
            _log.warning("attempt abandoned", execution_id=self._id, why=str(lost or failed))
            return None
        ending = self._failed(lost) if lost and failed else working.result()
        worked()
        return await self._finish(ending)

    async def _work(self) -> Ending:
        try:
            return await self._carry_out()
        except LeaseLost:
            raise
        except _Halted:
            return self._halt()
        except Exception as error:
            if isinstance(error, DestinationFault) and not self._stop.is_set():
                self._destination = await self._named_destination()
            return self._failed(error)

    async def _named_destination(self) -> str:
        """What people call the destination; its id where the registry does not say soon."""
        asked = self._tools.preparing.resolver.configuration(
            self._tenant_id,
            connector.Binding(instance_id=self._destination, etag=self._grant.destination_etag),
        )
        try:
            with carrying(self._lease.passes.destination):
                return (await asyncio.wait_for(asked, _NAME_SECONDS)).title
        except (Fault, TimeoutError):
            return self._destination

    async def _carry_out(self) -> Ending:
        grant, tools = self._grant, self._tools
        preparation, reader, layout = await self._unless_halted(self._prepare())
        self._doing = f"Running {grant.flow.name}"
        settling = self._settled = settling_of(self._tools, grant, self._lease, preparation)
        generation = "" if self._reconciliation is not None else generation_of(grant, layout.stream)
        connector_id = tools.backend.spec.connector_id
        opening = opening_of(grant, preparation, layout.stream, connector_id, generation)
        delivery = Delivery(
            opening,
            tools.preparing.way_to(self._tenant_id, grant.flow.destination.instance_id),
            settling,
            patience=tools.settings.patience_seconds,
            answer_seconds=tools.settings.answer_seconds,
            warn=lambda message: self._story.say(Log.TYPE_WARNING, message),
            ticket=self._lease.passes.destination,
        )
        door: Door = delivery
        if self._reconciliation is not None:
            door = self._reconciliation.door_to(delivery)
        ending = await self._move(self._produce(reader, layout, preparation, door), delivery, settling)
        if ending.outcome != _Finish.OUTCOME_COMPLETED:
            return ending
        if self._ranged is not None and (doubt := self._ranged.doubt(grant.execution.counts)):
            self._story.say(Log.TYPE_WARNING, doubt)
            ending = replace(ending, note=doubt)
        absence = self._absence(opening)
        if isinstance(settling, Previewing):
            if not delivery.cannot_tell:
                await self._unless_halted(absence.foresee(grant, layout.stream, settling, reader))
            found = settling.found(cannot_tell=delivery.cannot_tell, limit=reader.limit)
            return replace(ending, preview=found)
        if self._reconciliation is not None:
            await self._reconciliation.conclude(settling.counts.quarantined)
        elif generation:
            end = absence.settle(grant, settling.counts, is_partial=reader.is_partial)
            return replace(ending, note=await self._unless_halted(end))
        return ending

    def _privacy(self, preparation: Preparation, layout: Layout) -> Privacy:
        """Find out how sensitive the records are, and leave out what may not go on."""
        forward = maps_forward(self._grant.leg)
        privacy = Privacy.of(layout.stream.json_schema, preparation.plan, maps_forward=forward)
        if privacy.cut is not None:
            preparation.mapper.leave_out(privacy.cut)
        for remark in privacy.remarks():
            self._story.say(Log.TYPE_WARNING, remark)
        return privacy

    def _absence(self, opening: connector.WriteOpen) -> Absence:
        way = self._tools.preparing.way_to(self._tenant_id, self._grant.flow.destination.instance_id)
        ticket = self._lease.passes.destination
        return Absence(
            opening, way, self._tools.settings, lambda told: self._story.say(Log.TYPE_INFO, told), ticket
        )

    async def _prepare(self) -> tuple[Preparation, SourceReader, Layout]:
        tools = self._tools
        await self._lease.complete_passes(tools.settings.patience_seconds)
        preparation = await tools.preparing.prepare(self._tenant_id, self._grant)
        self._source = preparation.source.title
        reader = SourceReader(
            tools.backend,
            tools.preparing,
            preparation.source,
            self._story.notice,
            most=tools.settings.partitions,
        )
        reader.limit = self._grant.execution.record_limit
        if told := left_out(self._grant.leg, preparation.plan):
            self._story.say(Log.TYPE_INFO, told)
        layout = await self._layout(reader)
        if self._is_range:
            wanted = range_of(self._grant.execution.range, layout.stream)
            reader.between = wanted.between if wanted.asks else None
            self._ranged = preparation.mapper.within(wanted)
        if self._reconciliation is not None and not await self._reconciliation.begin(layout.stream):
            layout = Layout(layout.stream, ())
        preparation = replace(preparation, privacy=self._privacy(preparation, layout))
        remembers = is_watched(self._grant.leg) and not (self._is_requeue or self._is_dry)
        if layout.partitions and remembers:
            await self._watch(layout, preparation, reader)
        return preparation, reader, layout

    async def _watch(self, layout: Layout, preparation: Preparation, reader: SourceReader) -> None:
        """Have the source's schema watched, first the one that it declares."""
        flow, tools = self._grant.flow, self._tools
        plan = preparation.plan
        watched = Watched(
            self._tenant_id,
            flow.flow_id,
            flow.name,
            flow.source.instance_id,
            layout.stream,
            read_paths(plan, self._grant.leg),
            plan.fingerprint if plan is not None else "",
        )
        watch = SchemaWatch(
            tools.control,
            tools.preparing.expectations,
            watched,
            patience=tools.settings.patience_seconds,
            tell=lambda message: self._story.say(Log.TYPE_WARNING, message),
            leave_out=preparation.mapper.leave_out,
        )
        await watch.begin()
        reader.admit = watch.admit

    async def _unless_halted(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the work gives, unless the host has to stop or a person wants that first."""
        working = asyncio.create_task(work)
        try:
            await asyncio.wait({working, self._halting}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            await ended(working)
        raise _Halted

    async def _layout(self, reader: SourceReader) -> Layout:
        """What the source offers; requeued records that carry their own key do not need it."""
        flow = self._grant.flow
        if self._is_requeue and flow.destination_key:
            return Layout(connector.StreamSpec(stream=flow.source.stream), ("",))
        pairs = pair_stream(flow, self._grant.leg) or extra_stream(flow, self._grant.leg)
        if pairs is not None:
            return Layout(pairs, ("",))
        try:
            mode = connector.READ_MODE_FULL if self._is_range else flow.read_mode
            return await reader.layout(flow.source.stream, mode, self._grant.checkpoints)
        except SourceFault as failed:
            if not begins_empty(flow, self._grant.leg, failed.fault):
                raise
            return Layout(
                connector.StreamSpec(
                    stream=flow.source.stream, read_modes=[flow.read_mode or connector.READ_MODE_FULL]
                ),
                (),
            )

    async def _produce(
        self, reader: SourceReader, layout: Layout, preparation: Preparation, delivery: Door
    ) -> None:
        grant = self._grant
        if not self._is_requeue:
            checkpoints = {one.partition: one for one in grant.checkpoints}
            mode = range_mode(layout.stream) if self._is_range else read_mode(grant.flow, layout.stream)
            await reader.read(layout, mode, checkpoints, preparation.mapper, delivery)
            return
        pages = requeued_pages(
            self._tools.control,
            grant.flow.flow_id,
            grant.quarantine_ids,
            patience=self._tools.settings.patience_seconds,
            privacy=preparation.privacy,
        )
        async for page in pages:
            for piece in preparation.mapper.pieces(page, "", delivery.limits):
                await delivery.offer(piece)
        await delivery.offer(Piece(boundary=True, complete=True))

    async def _move(self, work: Any, delivery: Delivery, settling: Settling) -> Ending:
        """Read, map and deliver side by side until the end, a failure, or a wish to stop."""
        producing = asyncio.create_task(work)
        delivering = asyncio.create_task(delivery.run())
        halting = self._halting
        try:
            await asyncio.wait({producing, delivering, halting}, return_when=asyncio.FIRST_COMPLETED)
            failed = await ended(producing)
            await delivery.close()
            if failed is None:
                await asyncio.wait({delivering, halting}, return_when=asyncio.FIRST_COMPLETED)
            # What is in flight becomes durable, so that the next attempt need not repeat it.
            await asyncio.wait({delivering}, timeout=self._tools.settings.stop_seconds)
        finally:
            halted = halting.done()
            undelivered = await ended(delivering)
            await ended(producing)
        if isinstance(undelivered, LeaseLost):
            raise undelivered
        if failed is None and undelivered is None:
            settling.check_complete()
            return Ending(_Finish.OUTCOME_COMPLETED, settling.counts)
        if halted:
            return self._halt()
        raise first_cause(undelivered, failed)

    async def _halted(self) -> None:
        """Return when the host has to stop or a person wants the execution to."""
        waits = [
            asyncio.create_task(self._stop.wait()),
            asyncio.create_task(self._lease.cancel_requested.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _halt(self) -> Ending:
        if self._lease.cancel_requested.is_set():
            return Ending(_Finish.OUTCOME_CANCELLED, self._lease.counts)
        message = "The host was stopped; another one goes on from the last position."
        error = _Error(kind=_Error.KIND_STOPPED, reason="HOST_STOPPED", message=message)
        return Ending(_Finish.OUTCOME_FAILED, self._lease.counts, error)

    def _failed(self, cause: BaseException) -> Ending:
        if self._stop.is_set():
            return self._halt()
        flow = self._grant.flow
        doing = self._doing
        if isinstance(cause, SourceFault):
            doing, cause = f"Reading {flow.source.stream} of {self._source}", cause.fault
        elif isinstance(cause, DestinationFault):
            doing = f"Writing {flow.destination.stream} of {self._destination}"
            cause = cause.fault
        if not isinstance(cause, Fault):
            _log.error("attempt failed unexpectedly", cause, execution_id=self._id)
            cause = Broken("HOST_DEFECT", f"The host failed with {type(cause).__name__}; report this.")
        return Ending(_Finish.OUTCOME_FAILED, self._lease.counts, error_message(cause, doing))

    async def _finish(self, ending: Ending) -> scheduling.Execution | None:
        completed = ending.outcome == _Finish.OUTCOME_COMPLETED
        findings = findings_of(self._settled, is_complete=completed)
        execution = await self._lease.finish(
            ending.outcome,
            error=ending.error,
            counts=ending.counts,
            preview=ending.preview,
            note=ending.note,
            findings=findings,
        )
        self._story.warn(warnings(findings))
        self._story.report(ending)
        return execution

    @property
    def _id(self) -> str:
        return self._grant.execution.execution_id


class _Halted(Exception):
    pass


__all__ = ["Attempt", "Ending", "Tools"]
