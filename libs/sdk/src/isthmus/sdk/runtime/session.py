"""One open connector: settings validated, clients made, streams at hand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from isthmus.resilience.egress import EVERYTHING, Policy
from isthmus.sdk.classes import classified_by
from isthmus.sdk.connector import Connector
from isthmus.sdk.context import Context
from isthmus.sdk.declared import allowed_hosts, settings_model
from isthmus.sdk.egress import AllowedHosts, Egress, hosts_of
from isthmus.sdk.failures import ConfigurationFailure, NotFound
from isthmus.sdk.generations import Finished, Foresight, Generation, generations_unsupported
from isthmus.sdk.guards import Guards
from isthmus.sdk.limits import Limits
from isthmus.sdk.model import (
    BatchId,
    Between,
    CheckStep,
    Credential,
    Operation,
    Position,
    ReadMode,
    Stream,
    WriteMode,
)
from isthmus.sdk.page import Event
from isthmus.sdk.redaction import secrets_in
from isthmus.sdk.rotation import Rotated, Rotation
from isthmus.sdk.runtime.calling import Received, invoke, receive
from isthmus.sdk.runtime.checking import check
from isthmus.sdk.runtime.failing import failing
from isthmus.sdk.runtime.ledger import Ledger
from isthmus.sdk.runtime.reading import Reading, parameters_of
from isthmus.sdk.runtime.tracked import is_trackable, write_tracked
from isthmus.sdk.runtime.writing import Prepared, WriteResult, prepare_batch, preview_batch, write_batch
from isthmus.sdk.settings import load_settings
from isthmus.sdk.shaped import Shaper

if TYPE_CHECKING:
    import httpx


class Session:
    """A connector with one instance's settings and credential.

    Entering connects and authenticates, leaving disconnects. `check` works on a
    session that was not entered, because connecting is one of its steps.

    Args:
        cls: The connector.
        configuration: The instance's configuration; secrets come from the credential.
        credential: As leased; None where the system asks for nothing.
        limits: Bounds for everything the session does.
        guards: Breakers, rates and places that the instance's other sessions share, in place of its own.
        egress: Decides about connections; by default only configured hosts are open.
        policy: What the operator opens of the network; everything, for connectors run by hand.
        transport: Stands in for the network in tests.
        renew: Gives a fresh credential when the system refused the present one; asked once a request.
        tenant_id: On whose behalf; connectors to shared ground, such as folders, keep tenants apart by it.

    Raises:
        ConfigurationFailure: The configuration does not fit; violations name the fields.
    """

    def __init__(
        self,
        cls: type[Connector[Any]],
        configuration: Mapping[str, Any],
        credential: Credential | None = None,
        *,
        limits: Limits | None = None,
        guards: Guards | None = None,
        egress: Egress | None = None,
        policy: Policy = EVERYTHING,
        transport: "httpx.AsyncBaseTransport | None" = None,
        renew: Callable[[], Awaitable[Credential]] | None = None,
        tenant_id: str = "",
    ) -> None:
        credential = credential or Credential()
        settings = load_settings(settings_model(cls), configuration, credential)
        hosts = hosts_of(allowed_hosts(cls), settings.model_dump(mode="json"))
        self.context = Context(
            limits=limits or (guards.limits if guards else Limits()),
            shared=guards,
            egress=egress or AllowedHosts(hosts, policy, tenant_id),
            credential=credential,
            transport=transport,
            secrets={*credential.secrets(), *secrets_in(settings)},
            renew=renew,
            tenant_id=tenant_id,
            rate=cls.rate_limit.rate,
        )
        self.connector = cls(settings, credential, self.context)
        self._connected = False
        self._streams: dict[str, Stream] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Opens the connector; does nothing when it is open.

        Raises:
            Failure: What stands in the way.
        """
        if self._connected:
            return
        async with failing(self.connector, self.context):
            await self.connector.connect()
            await self.connector.authenticate()
        self._connected = True

    async def close(self) -> None:
        """Disconnects and closes every client that the connector made."""
        self._connected = False
        try:
            with self.context.active():
                await self.connector.disconnect()
        finally:
            while self.context.closers:
                await self.context.closers.pop()()

    def revoke(self) -> None:
        """Lets no further request go out: the credential was taken back."""
        self.context.is_revoked = True

    async def check(self) -> AsyncIterator[CheckStep]:
        """Tries the settings one step after another; a failed step is an answer, not an error."""
        entered = self._connected
        try:
            async for step in check(self):
                yield step
        finally:
            if not entered:
                await self.close()

    async def steps(self) -> AsyncIterator[CheckStep]:
        """The steps that the connector itself tells about."""
        with self.context.active():
            async for step in self.connector.health_check():
                yield step

    async def streams(self, *, fresh: bool = False) -> list[Stream]:
        """The streams of this instance, by name; known ones are given again unless fresh ones are wanted."""
        if self._streams is None or fresh:
            async with failing(self.connector, self.context):
                found = await self.connector.streams()
            told = (classified_by(self.connector.settings, stream) for stream in found)
            self._streams = {stream.stream: stream for stream in sorted(told, key=lambda s: s.stream)}
        return list(self._streams.values())

    async def stream(self, name: str) -> Stream:
        """One stream by name.

        Raises:
            NotFound: `STREAM_UNKNOWN`, with the names that there are.
        """
        if self._streams is not None and name in self._streams:
            return self._streams[name]
        known = {stream.stream: stream for stream in await self.streams()}
        if name not in known:  # it may have come since somebody looked
            known = {stream.stream: stream for stream in await self.streams(fresh=True)}
        if name not in known:
            listed = ", ".join(list(known)[:10]) or "none"
            message = f"There is no stream {name!r}; this instance has {listed}."
            raise NotFound("STREAM_UNKNOWN", message, path="stream")
        return known[name]

    async def partitions(
        self, stream: str, *, mode: ReadMode = ReadMode.FULL, known: Sequence[str] = ()
    ) -> list[str]:
        """The parts of a stream that may be read side by side; `[""]` for a stream without parts.

        Args:
            stream: Its name.
            mode: How they are going to be read.
            known: Partitions in which a reading has come somewhere.
        """
        found = await self.stream(stream)
        if found.partitioner is None:
            return [""]
        names = parameters_of(found.partitioner)
        given = {"mode": mode, "known": tuple(known)}
        async with failing(self.connector, self.context):
            listed = await found.partitioner(**{name: given[name] for name in names & given.keys()})
        return list(dict.fromkeys(listed)) or [""]

    async def read(
        self,
        stream: str,
        *,
        partition: str = "",
        mode: ReadMode = ReadMode.FULL,
        position: Position | None = None,
        limit: int = 0,
        shaper: Shaper | None = None,
        between: Between | None = None,
    ) -> Reading:
        """Starts reading; iterate over what it gives, and close it when leaving early.

        Args:
            stream: Its name.
            partition: Which part; empty for a stream without parts.
            mode: In `full` mode a position behind a complete reading starts afresh.
            position: Where to go on; None means from the beginning.
            limit: Stop after this many records; for samples.
            shaper: Gives the shape of what is wanted of each record; a page may then have `ShapedRecords`.
            between: Only what lies in this span, and perhaps some more; for streams that ask for ranges.

        Raises:
            NotFound: `STREAM_UNKNOWN`.
            ConfigurationFailure: `READ_MODE_UNSUPPORTED` or `POSITION_UNREADABLE`.
        """
        found = await self.stream(stream)
        if found.reader is None or mode not in found.read_modes:
            modes = ", ".join(found.read_modes) or "no mode at all"
            message = f"Stream {stream} cannot be read in mode {mode}; it offers {modes}."
            raise ConfigurationFailure("READ_MODE_UNSUPPORTED", message, path="mode")
        return self.reading(
            found, partition=partition, mode=mode, position=position, limit=limit, shaper=shaper,
            between=between,
        )  # fmt: skip

    def reading(self, stream: Stream, **how: Any) -> Reading:
        """Starts reading a stream that is at hand; see `read`."""
        return Reading(self.connector, self.context, stream, **how)

    async def write(
        self,
        stream: str,
        records: Sequence[dict[str, Any]],
        keys: Sequence[str] = (),
        operations: Sequence[Operation] | None = None,
        *,
        mode: WriteMode = WriteMode.UPSERT,
        batch_id: BatchId | None = None,
        primary_key: Sequence[str] = (),
        json_schema: Mapping[str, Any] | None = None,
    ) -> WriteResult:
        """Writes a batch; on return everything not rejected is durable.

        Raises:
            NotFound: `STREAM_UNKNOWN`.
            ConfigurationFailure: `WRITE_MODE_UNSUPPORTED`.
            Fenced: A newer attempt writes the flow.
            Failure: Nothing is acknowledged; the batch has to come again.
        """
        prepared = await self.prepare(
            stream, records, keys, operations, mode=mode, batch_id=batch_id, primary_key=primary_key,
            json_schema=json_schema,
        )  # fmt: skip
        return await self.apply(prepared)

    async def prepare(
        self,
        stream: str,
        records: Sequence[dict[str, Any]],
        keys: Sequence[str] = (),
        operations: Sequence[Operation] | None = None,
        *,
        mode: WriteMode = WriteMode.UPSERT,
        batch_id: BatchId | None = None,
        primary_key: Sequence[str] = (),
        json_schema: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """Makes a batch for `apply`; may be called while the one before it is being applied.

        Raises:
            NotFound: `STREAM_UNKNOWN`.
            ConfigurationFailure: `WRITE_MODE_UNSUPPORTED`.
        """
        found = await self.stream(stream)
        if found.writer is None or mode not in found.write_modes:
            modes = ", ".join(found.write_modes) or "no mode at all"
            message = f"Stream {stream} cannot be written in mode {mode}; it offers {modes}."
            raise ConfigurationFailure("WRITE_MODE_UNSUPPORTED", message, path="mode")
        return await prepare_batch(
            self.connector, self.context, found, records, keys=keys, operations=operations, mode=mode,
            batch_id=batch_id or BatchId(), primary_key=primary_key, json_schema=json_schema,
        )  # fmt: skip

    async def apply(self, prepared: Prepared, *, ledger: Ledger | None = None) -> WriteResult:
        """Writes a batch that `prepare` made; see `write`.

        Args:
            prepared: The batch.
            ledger: Where writes to a system without transactions are announced; None announces nothing.

        Raises:
            ConfigurationFailure: `KEY_REQUIRED`, the system may create a record twice, and nothing says by
                what records are told apart.
        """
        if ledger is not None and prepared.stream.may_double and not is_trackable(prepared):
            message = (
                f"Stream {prepared.stream.stream} may create a record twice, and records without a key "
                "cannot be told apart; give the flow a `key`, or the destination `on_doubt: repeat`."
            )
            raise ConfigurationFailure("KEY_REQUIRED", message, path="key")
        if ledger is not None and prepared.stream.is_tracked and is_trackable(prepared):
            return await write_tracked(self.connector, self.context, prepared, ledger)
        return await write_batch(self.connector, self.context, prepared)

    async def preview(self, prepared: Prepared) -> WriteResult:
        """Says what writing a batch that `prepare` made would do, and leaves the system as it is.

        Raises:
            ConfigurationFailure: `PREVIEW_UNSUPPORTED`; the stream has no previewer.
        """
        return await preview_batch(self.connector, self.context, prepared)

    async def finish(self, stream: str, generation: Generation) -> Finished:
        """Removes what a complete refresh has not shown; safe to repeat.

        Raises:
            NotFound: `STREAM_UNKNOWN`.
            DeletionsSuspicious: more would go than may.
            ConfigurationFailure: `GENERATIONS_UNSUPPORTED`.
        """
        found = await self.stream(stream)
        if found.finisher is None:
            raise generations_unsupported(found.stream)
        async with failing(self.connector, self.context):
            finished: Finished = await found.finisher(generation)
        return finished

    async def foresee(self, stream: str, generation: Generation, keys: Sequence[str]) -> Foresight:
        """Says what the end of a generation would remove that has shown these keys, and changes nothing.

        Raises:
            NotFound: `STREAM_UNKNOWN`.
            DeletionsSuspicious: more would go than may.
            ConfigurationFailure: `GENERATIONS_UNSUPPORTED`; nobody can tell.
        """
        found = await self.stream(stream)
        if found.foreseer is None:
            raise generations_unsupported(found.stream)
        async with failing(self.connector, self.context):
            foresight: Foresight = await found.foreseer(generation, keys)
        return foresight

    async def invoke(self, action: str, given: Mapping[str, Any], request_id: str = "") -> dict[str, Any]:
        """Runs a named action.

        Raises:
            NotFound: `ACTION_UNKNOWN`.
            ConfigurationFailure: `INPUT_INVALID`, with the fields.
        """
        return await invoke(self.connector, self.context, action, given, request_id)

    async def receive(
        self, kind: str, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Received:
        """Decodes one inbound webhook; with an empty kind the connector's only one is taken.

        Raises:
            NotFound: `WEBHOOK_UNKNOWN`.
            SignatureInvalid: Answer 401 and drop the body.
            DataFailure: `BODY_INVALID`.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        event = Event(kind, method.upper(), target, lowered, body)
        return await receive(self.connector, self.context, event)

    async def rotate(self, rotation: Rotation) -> Rotated:
        """Makes the system take a new secret; safe to repeat."""
        self._hide(rotation)
        async with failing(self.connector, self.context):
            rotated = await self.connector.rotate(rotation)
        self.context.secrets |= {rotated.made} - {""}
        return rotated

    async def retire(self, rotation: Rotation) -> None:
        """Makes the old secret worthless; safe to repeat."""
        self._hide(rotation)
        async with failing(self.connector, self.context):
            await self.connector.retire(rotation)

    def _hide(self, rotation: Rotation) -> None:
        """Keep both secrets out of messages."""
        self.context.secrets |= {*rotation.old.secrets(), *rotation.new.secrets()}

    async def notify(self, change: str) -> None:
        """Tells the connector that its instance was activated, updated, deactivated or deleted."""
        async with failing(self.connector, self.context):
            await self.connector.instance_changed(change)
