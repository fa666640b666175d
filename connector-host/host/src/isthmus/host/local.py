"""A connector in this process: the SDK's session behind the host's port."""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Bound, SourcePage, SourceReject, Wanted
from isthmus.host.budgets import Budgets
from isthmus.host.guarding import InstanceGuards
from isthmus.host.memory import WriteMemory
from isthmus.host.rotating import RETIRE, rotation_of
from isthmus.host.sessions import Held, Sessions
from isthmus.host.translate import (
    READ_MODES,
    change_word,
    operations_message,
    position_message,
    position_of,
    spec_message,
    step_message,
    stream_message,
)
from isthmus.host.writing import MOST_BYTES, SessionPreviewer, SessionWriter
from isthmus.kit.times import stamp
from isthmus.resilience import Fault, FixRequest, Missing
from isthmus.resilience.egress import EVERYTHING, Policy
from isthmus.sdk.failures import ConfigurationFailure
from isthmus.sdk.runtime import (
    CheckStep,
    Credential,
    Generation,
    Guards,
    Ledger,
    Limits,
    Reading,
    ReadMode,
    Session,
    StepResult,
    spec_of,
)
from isthmus.type.v1 import batch_pb2 as batch

MakeLedger = Callable[[str, connector.WriteOpen], Ledger]
ENTRY_POINTS = "isthmus.connectors"
_STEPS = ("configuration", "reach", "authenticate", "permit", "sample")


def load_connector(connector_id: str) -> Any:
    """Return the class of an installed connector.

    Raises:
        Missing: `CONNECTOR_UNKNOWN`, with the names of those that are installed.
    """
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    found = next((point for point in points if point.name == connector_id), None)
    if found is None:
        listed = ", ".join(sorted({point.name for point in points})) or "none"
        message = f"No connector {connector_id!r} is installed; there are {listed}."
        raise Missing("CONNECTOR_UNKNOWN", message, path="connector")
    return found.load()


class LocalBackend:
    """Runs a connector class.

    Args:
        cls: The connector.
        idle_seconds: How long an unused session stays open.
        renew: Gives a connection with a fresh secret when the system has refused the present one.
        ledger: Gives the place where writes of a flow are announced; None announces nothing.
        budgets: Shares the limits of instances with other hosts; None shares nothing.
        policy: What the operator opens of the network.
    """

    def __init__(
        self,
        cls: Any,
        *,
        idle_seconds: float = 60.0,
        renew: Callable[[Bound], Awaitable[Bound]] | None = None,
        ledger: MakeLedger | None = None,
        budgets: Budgets | None = None,
        policy: Policy = EVERYTHING,
    ) -> None:
        self._cls = cls
        self._policy = policy
        self._renew = renew
        self._ledger = ledger
        self._spec = spec_message(spec_of(cls), max_message_bytes=4 * MOST_BYTES)
        self._memory = WriteMemory()
        self._guards = InstanceGuards(budgets)
        self.sessions = Sessions(self._session, idle_seconds=idle_seconds)

    @property
    def spec(self) -> connector.ConnectorSpec:
        """Identity and abilities."""
        return self._spec

    @asynccontextmanager
    async def connect(self, bound: Bound) -> "AsyncIterator[LocalConnection]":
        """Lend a connected session."""
        async with self.sessions.use(bound) as held:
            yield LocalConnection(held, bound.tenant_id, self._memory, self._ledger)

    async def check(self, bound: Bound) -> AsyncIterator[connector.CheckStep]:
        """Try a configuration on a session of its own."""
        try:
            # A person asks, so the system is tried even while a breaker holds other calls back.
            session = self._session(bound, Guards(Limits.of(bound.limits)))
        except ConfigurationFailure as failure:
            for step in _refused_configuration(failure):
                yield step_message(step)
            return
        try:
            async for step in session.check():
                yield step_message(step)
        finally:
            await session.close()

    async def close(self) -> None:
        """Close every session."""
        await self.sessions.close()

    def _session(self, bound: Bound, guards: Guards | None = None) -> Session:
        return Session(
            self._cls,
            bound.configuration,
            _credential(bound),
            guards=guards or self._guards.of(bound),
            renew=self._renewal(bound),
            tenant_id=bound.tenant_id,
            policy=self._policy,
        )

    def _renewal(self, bound: Bound) -> Callable[[], Awaitable[Credential]] | None:
        renew = self._renew
        if renew is None or not bound.auth_config_id:
            return None

        held = bound

        async def renewed() -> Credential:
            nonlocal held
            held = await renew(held)
            return _credential(held) or Credential()

        return renewed


class LocalConnection:
    """One session, lent for a while."""

    def __init__(
        self, held: Held, tenant_id: str, memory: WriteMemory, ledger: MakeLedger | None = None
    ) -> None:
        self._session = held.session
        self._tenant_id = tenant_id
        self._memory = memory
        self._ledger = ledger

    async def streams(self, *, fresh: bool = False) -> list[connector.StreamSpec]:
        """Return the streams by name."""
        return [stream_message(stream) for stream in await self._session.streams(fresh=fresh)]

    async def partitions(self, stream: str, *, mode: int = 0, known: Sequence[str] = ()) -> list[str]:
        """Return the parts of a stream."""
        way = READ_MODES.get(connector.ReadMode.ValueType(mode), ReadMode.FULL)
        return await self._session.partitions(stream, mode=way, known=known)

    @asynccontextmanager
    async def read(self, wanted: Wanted) -> "AsyncIterator[LocalReading]":
        """Start reading; leaving the block stops it."""
        reading = await self._session.read(
            wanted.stream,
            partition=wanted.partition,
            mode=READ_MODES.get(connector.ReadMode.ValueType(wanted.mode), ReadMode.FULL),
            position=position_of(wanted.position),
            limit=wanted.limit,
            shaper=wanted.shaper,
            between=wanted.between,
        )
        try:
            yield LocalReading(reading)
        finally:
            await reading.aclose()

    async def write(
        self, opening: connector.WriteOpen, batches: AsyncIterator[batch.Batch]
    ) -> AsyncIterator[connector.WriteResponse]:
        """Answer `ready`, then acknowledge each batch once it is durable."""
        kind = SessionPreviewer if opening.is_preview else SessionWriter
        make = None if opening.is_preview else self._ledger
        ledger = make(self._tenant_id, opening) if make is not None else None
        writer = kind(self._session, opening, self._tenant_id, self._memory, ledger=ledger)
        yield connector.WriteResponse(ready=await writer.ready())
        async for ack in writer.acknowledge(batches):
            yield connector.WriteResponse(ack=ack)

    async def finish(self, request: connector.FinishGenerationRequest) -> connector.FinishGenerationResponse:
        """Remove what a complete refresh has not shown."""
        opening = request.open
        if not opening.is_preview:
            self._memory.admit(self._tenant_id, opening.flow_id, opening.fencing_token)
        generation = Generation(
            opening.flow_id,
            opening.generation_id,
            opening.fencing_token,
            _json_object(request.mark.decode(), path="mark") if request.mark else None,
            request.most_records,
            request.most_percent,
        )
        if opening.is_preview:
            foreseen = await self._session.foresee(opening.stream, generation, request.shown_keys)
            absent = [connector.AbsentRecord(key=key, before=before) for key, before in foreseen.samples]
            return connector.FinishGenerationResponse(
                removed=foreseen.removed, is_first=foreseen.is_first, absent=absent
            )
        done = await self._session.finish(opening.stream, generation)
        return connector.FinishGenerationResponse(
            shown=done.shown, removed=done.removed, is_first=done.is_first
        )

    async def invoke(self, request: connector.InvokeRequest) -> connector.InvokeResponse:
        """Run a named action."""
        given = _json_object(request.input)
        output = await self._session.invoke(request.action, given, request.request_id)
        return connector.InvokeResponse(output=msgspec.json.encode(output).decode())

    async def receive(self, request: connector.ReceiveRequest) -> connector.ReceiveResponse:
        """Verify and decode one inbound webhook."""
        headers = {header.name: header.value for header in request.headers}
        received = await self._session.receive(
            request.kind, request.method, request.target, headers, request.body
        )
        return connector.ReceiveResponse(
            kind=received.kind,
            stream=received.stream,
            records=[msgspec.json.encode(record) for record in received.records],
            delivery_id=received.delivery_id,
            reply_status=received.reply_status,
            reply_body=received.reply_body,
        )

    async def rotate(self, request: connector.RotateSecretRequest) -> connector.RotateSecretResponse:
        """Bring a new secret into force at the system, or take an old one out of it."""
        rotation = rotation_of(self._session.context.credential, request)
        if request.stage == RETIRE:
            await self._session.retire(rotation)
            return connector.RotateSecretResponse()
        rotated = await self._session.rotate(rotation)
        answer = connector.RotateSecretResponse(
            overlaps=rotated.overlaps, expire_time=stamp(rotated.expire_time)
        )
        if rotated.made:
            answer.made.username = rotation.new.username
            answer.made.secret, answer.made.reference = rotated.made, rotated.reference
        return answer

    async def notify(self, change: int) -> None:
        """Tell the connector what happened to its instance.

        Raises:
            Unsupported: `CAPABILITY_MISSING`, it does not want to know.
        """
        await self._session.notify(change_word(change))


class LocalReading:
    """Pages of an SDK reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._records = 0

    async def __aiter__(self) -> AsyncIterator[SourcePage]:
        async for page in self._reading:
            self._records += len(page.records)
            yield SourcePage(
                page.records,
                page.keys,
                operations_message(page.operations),
                position_message(page.position),
                [SourceReject(one.record, one.reason, one.message, one.path) for one in page.rejected],
            )

    def end(self) -> connector.ReadEnd:
        """Return the counts so far and where the next reading starts."""
        stats = self._reading.stats
        return connector.ReadEnd(
            position=position_message(self._reading.position),
            records=self._records,
            api_calls=stats.api_calls,
            retries=stats.retries,
            throttled=stats.throttled,
            not_modified=stats.not_modified,
        )

    def notices(self) -> list[connector.Notice]:
        """Return nothing: an SDK connector speaks through its counts and rejects."""
        return []


def _credential(bound: Bound) -> Credential | None:
    return Credential.from_material(bound.material) if bound.material else None


def _refused_configuration(failure: Fault) -> Sequence[CheckStep]:
    violations = getattr(failure, "violations", ())
    told = "; ".join(f"{one.path or 'configuration'}: {one.message}" for one in violations)
    remedy = "Mend the settings that the message names."
    first = CheckStep("configuration", StepResult.FAILED, failure.reason, told or failure.message, remedy)
    because = "Not tried, because configuration failed."
    return [first, *(CheckStep(name, StepResult.SKIPPED, "SKIPPED", because) for name in _STEPS[1:])]


def _json_object(text: str, *, path: str = "input") -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        message = f"The {path} is not a JSON object; mend it."
        raise FixRequest("INPUT_INVALID", message, path=path) from error


__all__ = ["ENTRY_POINTS", "LocalBackend", "LocalConnection", "LocalReading", "load_connector"]
