"""The connection to NATS JetStream: mends itself, and keeps the mesh's streams in existence."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from isthmus.kit import floors
from isthmus.kit.bus_client import BusClient, BusLogin, BusServer
from isthmus.kit.bus_users import (
    DEAD_STREAM,
    EVENTS_STREAM,
    JOBS_STREAM,
    SERVICES,
    Durable,
    inbox,
)
from isthmus.kit.logs import logger, safe_text
from isthmus.kit.principal import current_correlation_id
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import current_traceparent
from isthmus.resilience.faults import Fault, Precondition, RetryLater
from nats import errors
from nats.js import api
from nats.js import errors as stream_errors

CORRELATION_HEADER = "isthmus-correlation-id"

_DAY = 24 * 3600.0
_MESSAGE_ID = "Nats-Msg-Id"
_PUBLISH_SECONDS = 5.0
_GIBIBYTE = 1 << 30
_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_KEEP_SECONDS = 15.0
_LOGIN_SECONDS = 1.0
_REFUSED = ("permissions violation", "authorization violation", "authentication")
_STRANGE = ("certificate verify failed", "secure connection required")
_log = logger(__name__)

_STREAMS = (
    api.StreamConfig(
        name=EVENTS_STREAM,
        description="What happened in the mesh, as CloudEvents",
        subjects=["isthmus.v1.>"],
        storage=api.StorageType.FILE,
        max_age=7 * _DAY,
        max_bytes=_GIBIBYTE,
        duplicate_window=120,
    ),
    api.StreamConfig(
        name=JOBS_STREAM,
        description="Runs waiting for a host of their connector",
        subjects=["isthmus.jobs.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        storage=api.StorageType.FILE,
        max_age=_DAY,
        max_bytes=_GIBIBYTE // 4,
        duplicate_window=120,
    ),
    api.StreamConfig(
        name=DEAD_STREAM,
        description="Events that a consumer could not handle",
        subjects=["isthmus.dead.>"],
        storage=api.StorageType.FILE,
        max_age=30 * _DAY,
        max_bytes=_GIBIBYTE // 4,
        duplicate_window=120,
    ),
)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of the event stream: it ends when the store is lost.

    Attributes:
        created: When the stream was made; another value means everything before is gone.
        last_sequence: The newest message it had when we looked.
        generation: Grows with every look, also when nothing changed.
    """

    created: str = ""
    last_sequence: int = 0
    generation: int = 0


class Bus:
    """A connection to NATS that is made in the background and made again for ever.

    Args:
        server: Where NATS is; just its address where it may be spoken to in plain text.
        name: Name the connection shows on the server.
        login: Who the process is; without it whatever the address says has to be enough for everything.
    """

    def __init__(self, server: BusServer | str, name: str, login: BusLogin | None = None) -> None:
        self._server = BusServer(server) if isinstance(server, str) else server
        self._name = name
        self._login = login
        self._closing = False
        self._closed = asyncio.Event()
        self._renew()
        self._look_again = asyncio.Event()
        self._ready = asyncio.Event()
        self._ensuring = asyncio.Lock()
        self._told = ""
        self.incarnation = Incarnation()

    @property
    def jetstream(self) -> Any:
        """The nats-py JetStream context."""
        return self._stream_context

    @property
    def client(self) -> Any:
        """The nats-py client, for core NATS."""
        return self._client

    async def run(self) -> None:
        """Connect, and look after the streams whenever the connection was made anew."""
        while True:
            if self._client.is_closed:
                await asyncio.sleep(_LOGIN_SECONDS)
                self._renew()
            if not self._client.is_connected:
                await self._connect()
            self._look_again.set()
            while not self._closed.is_set():
                await self._look_again.wait()
                self._look_again.clear()
                if not self._closed.is_set():
                    await self._keep_to_floor()
                    await self.ensure_streams()

    async def keep(self) -> None:
        """Make again what is lost while the connection lasts; for those who keep streams."""
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            await self.ready()
            with suppress(errors.Error, OSError):
                await self._keep_streams()

    def check_described(self, durable: Durable) -> None:
        """Refuse a consumer that nobody would make and the server would not let this process reach.

        Raises:
            Precondition: `CONSUMER_UNDESCRIBED`.
        """
        if self._login is not None and durable not in self._login.user.durables:
            message = (
                f"Describe the consumer {durable.name} and its subjects in isthmus.kit.bus_users, as one of "
                f"{self._login.user.name}; the bus lets no process reach others."
            )
            raise Precondition("CONSUMER_UNDESCRIBED", message)

    async def outlived(self) -> None:
        """Return when the server has ended the client, whose core subscriptions end with it."""
        await self._closed.wait()

    @property
    def makes_streams(self) -> bool:
        """Whether streams and the consumers of services are made by this process."""
        return self._login is None or self._login.user.keeps

    async def ready(self, seconds: float | None = None) -> None:
        """Wait until NATS is connected and the streams exist.

        Raises:
            RetryLater: `BUS_UNREACHABLE`, that was not so within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError as error:
            raise _unreachable() from error

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str = "", headers: Mapping[str, str] | None = None
    ) -> int:
        """Publish to a stream, wait until it is stored, and return its sequence number.

        The correlation id and the trace of the present call travel along.

        Args:
            subject: Where to; the stream follows from it.
            payload: The message.
            message_id: Two messages with one id within two minutes are stored once.
            headers: More headers.

        Raises:
            RetryLater: `BUS_UNREACHABLE`, nothing was confirmed; repeating with the same id is safe.
        """
        entries = {**_context_headers(), **(headers or {})}
        if message_id:
            entries[_MESSAGE_ID] = message_id
        await self.ready(_PUBLISH_SECONDS)
        try:
            return await self._publish(subject, payload, entries)
        except stream_errors.NoStreamResponseError:
            await self.ensure_streams()
            return await self._publish(subject, payload, entries)

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        self._closing = True
        if self._client.is_connected:
            with suppress(errors.Error):
                await self._client.flush(timeout=1)
        await self._client.close()

    async def ensure_streams(self) -> None:
        """Make the streams that are not there, and note whether the event stream is still the same.

        Where others keep the streams, they are waited for.

        Raises:
            RetryLater: `BUS_UNREACHABLE`.
        """
        async with self._ensuring:
            try:
                if self.makes_streams:
                    await self._keep_streams(look=True)
                else:
                    await self._await_stream()
            except (errors.Error, OSError, TimeoutError) as error:
                raise _unreachable() from error
            self._ready.set()

    async def _keep_streams(self, *, look: bool = False) -> None:
        for config in _STREAMS:
            info = await self._ensure_stream(config)
            is_new = str(info.created) != self.incarnation.created
            if config.name == EVENTS_STREAM and (look or is_new):
                self._note(info)
        if self._login is not None:
            for user in SERVICES:
                for durable in user.durables:
                    await self.make_consumer(durable)

    async def _await_stream(self) -> None:
        assert self._login is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                with suppress(stream_errors.NotFoundError):
                    self._note(await self._stream_context.stream_info(self._login.user.watched))
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def make_consumer(self, durable: Durable, *, ack_wait: float = 30.0) -> None:
        """Make a durable consumer of the event stream; one that is there stays.

        With one subject the request's own subject binds the filter, and a server holds a user to it.
        """
        [*subjects] = durable.subjects
        config = api.ConsumerConfig(
            name=durable.name,
            durable_name=durable.name,
            filter_subject=subjects[0] if len(subjects) == 1 else None,
            filter_subjects=subjects if len(subjects) > 1 else None,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_deliver=-1,  # the bound is kept where a failure is told from an outage
        )
        await self._stream_context.add_consumer(EVENTS_STREAM, config)

    def _note(self, info: api.StreamInfo) -> None:
        before = self.incarnation
        created = str(info.created)
        if before.created and before.created != created:
            _log.warning("the stream was lost; sending again what was retained")
        self.incarnation = Incarnation(created, info.state.last_seq, before.generation + 1)

    async def _ensure_stream(self, config: api.StreamConfig) -> api.StreamInfo:
        try:
            return await self._stream_context.stream_info(str(config.name))
        except stream_errors.NotFoundError:
            return await self._stream_context.add_stream(config)

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        try:
            ack = await self._stream_context.publish(subject, payload, headers=headers or None)
        except stream_errors.NoStreamResponseError:
            raise
        except (errors.Error, OSError) as error:
            raise _unreachable() from error
        return int(ack.seq)

    def _renew(self) -> None:
        self._closed.clear()
        self._client = BusClient(self._server)
        self._stream_context = self._client.jetstream(timeout=_PUBLISH_SECONDS)

    async def _connect(self) -> None:
        login: dict[str, Any] = {}
        if self._login is not None:
            user = self._login.user.name
            login = {"user": user, "password": self._login.password, "inbox_prefix": inbox(user)}
        await self._client.connect(
            self._server.url,
            name=f"isthmus-{self._name}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]
            connect_timeout=2,
            ping_interval=15,
            max_outstanding_pings=2,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_close,
            **login,
        )

    async def _keep_to_floor(self) -> None:
        """Leave a server that is too old, before anything is sent there.

        Raises:
            Precondition: `SERVER_TOO_OLD`.
        """
        told = str(self._client.connected_server_version)
        if not self._client.is_connected:
            return
        try:
            floors.require(floors.NATS, floors.parsed(told))
        except Precondition:
            await self._client.close()
            raise

    async def _on_error(self, error: Exception) -> None:
        told = str(error).lower()
        if told == self._told:
            return
        if any(word in told for word in _STRANGE):
            self._told = told
            _log.error(
                "no connection to a bus that cannot show who it is: name the authorities of its certificate "
                "in ISTHMUS_NATS_CA_FILE",
                why=safe_text(error),
            )
        elif not any(word in told for word in _REFUSED):
            _log.debug("bus error", kind=type(error).__name__)
        else:
            self._told = told
            _log.error(
                "the bus refuses this process: give its user what isthmus.kit.bus_users describes, and the "
                "password of its file",
                user="" if self._login is None else self._login.user.name,
                refused=safe_text(error),
            )

    async def _on_close(self) -> None:
        """Take notice that the server has ended the client for good, as it does when a password changes."""
        self._ready.clear()
        self._closed.set()
        self._look_again.set()
        if not self._closing:
            _log.warning("bus login ended; logging in again")

    async def _on_disconnect(self) -> None:
        self._ready.clear()
        if not self._client.is_closed:
            _log.warning("bus disconnected")

    async def _on_reconnect(self) -> None:
        self._told = ""
        _log.info("bus reconnected")
        self._look_again.set()


def _context_headers() -> dict[str, str]:
    entries = {CORRELATION_HEADER: current_correlation_id(), TRACE_HEADER: current_traceparent()}
    return {name: value for name, value in entries.items() if value}


def _unreachable() -> Fault:
    return RetryLater("BUS_UNREACHABLE", "NATS cannot be reached; repeat in a moment.", retry_after=1.0)


__all__ = [
    "CORRELATION_HEADER",
    "DEAD_STREAM",
    "EVENTS_STREAM",
    "JOBS_STREAM",
    "Bus",
    "BusLogin",
    "BusServer",
    "Incarnation",
]
