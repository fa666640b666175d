"""The connection to NATS JetStream: mends itself, and keeps the mesh's streams in existence."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from isthmus.kit.logs import logger
from isthmus.kit.principal import current_correlation_id
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import current_traceparent
from isthmus.resilience.faults import Fault, RetryLater
from nats import errors
from nats.aio.client import Client
from nats.js import api
from nats.js import errors as stream_errors

EVENTS_STREAM = "ISTHMUS_EVENTS"
JOBS_STREAM = "ISTHMUS_JOBS"
DEAD_STREAM = "ISTHMUS_DEAD"
CORRELATION_HEADER = "isthmus-correlation-id"

_DAY = 24 * 3600.0
_MESSAGE_ID = "Nats-Msg-Id"
_PUBLISH_SECONDS = 5.0
_GIBIBYTE = 1 << 30
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
        url: Where NATS is, with user and password when it wants them.
        name: Name the connection shows on the server.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._client = Client()
        self._stream_context = self._client.jetstream(timeout=_PUBLISH_SECONDS)
        self._look_again = asyncio.Event()
        self._ready = asyncio.Event()
        self._ensuring = asyncio.Lock()
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
        if not self._client.is_connected:
            await self._connect()
        self._look_again.set()
        while True:
            await self._look_again.wait()
            self._look_again.clear()
            await self.ensure_streams()

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
        if self._client.is_connected:
            with suppress(errors.Error):
                await self._client.flush(timeout=1)
        await self._client.close()

    async def ensure_streams(self) -> None:
        """Make the streams that are not there, and note whether the event stream is still the same.

        Raises:
            RetryLater: `BUS_UNREACHABLE`.
        """
        async with self._ensuring:
            try:
                for config in _STREAMS:
                    info = await self._ensure_stream(config)
                    if config.name == EVENTS_STREAM:
                        self._note(info)
            except (errors.Error, OSError) as error:
                raise _unreachable() from error
            self._ready.set()

    def _note(self, info: api.StreamInfo) -> None:
        before = self.incarnation
        created = str(info.created)
        if before.created and before.created != created:
            _log.warning("the event stream was lost; sending retained events again")
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

    async def _connect(self) -> None:
        await self._client.connect(
            self._url,
            name=f"isthmus-{self._name}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]
            connect_timeout=2,
            ping_interval=15,
            max_outstanding_pings=2,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
        )

    async def _on_error(self, error: Exception) -> None:
        _log.debug("bus error", kind=type(error).__name__)

    async def _on_disconnect(self) -> None:
        self._ready.clear()
        if not self._client.is_closed:
            _log.warning("bus disconnected")

    async def _on_reconnect(self) -> None:
        _log.info("bus reconnected")
        self._look_again.set()


def _context_headers() -> dict[str, str]:
    entries = {CORRELATION_HEADER: current_correlation_id(), TRACE_HEADER: current_traceparent()}
    return {name: value for name, value in entries.items() if value}


def _unreachable() -> Fault:
    return RetryLater("BUS_UNREACHABLE", "NATS cannot be reached; repeat in a moment.", retry_after=1.0)


__all__ = ["CORRELATION_HEADER", "DEAD_STREAM", "EVENTS_STREAM", "JOBS_STREAM", "Bus", "Incarnation"]
