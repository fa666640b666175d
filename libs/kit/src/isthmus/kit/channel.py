"""Channels to other processes of the mesh, with the manners every call needs."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from isthmus.kit import deadline
from isthmus.kit.authentication import FORWARDED_BY_HEADER, FORWARDED_FOR_HEADER, TENANT_HEADER
from isthmus.kit.certificates import Certificates
from isthmus.kit.conversation import Conversation
from isthmus.kit.guard import CORRELATION_HEADER
from isthmus.kit.principal import current_correlation_id, peek_principal
from isthmus.kit.tickets import TICKET_HEADER, carried_text
from isthmus.kit.tokens import Signer
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.kit.trace import current_traceparent
from isthmus.resilience.faults import Precondition

LARGEST_MESSAGE = 4 * 1024 * 1024
# Streams under way when a certificate is renewed end by themselves, connections too by their greatest age.
_LAST_CALLS = 24 * 3600.0
_LONGEST_METADATA = 32 * 1024

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A channel opened before its server listens would wait a whole second by default.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name: how long a connection may take to open, on slow lines and busy machines.
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_metadata_size", _LONGEST_METADATA),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.enable_http_proxy", 0),
    # Together with the server's max_connection_age this makes new replicas take their share.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long calls take at most that say nothing else, so that a silent peer keeps nobody waiting.

    Attributes:
        unary: Seconds for an answer to one request.
        stream: Seconds for a call that streams in either direction, from its beginning to its end.
    """

    unary: float = 10.0
    stream: float = 3600.0


class Caller:
    """Makes channels whose calls say who we are, for whom, and until when.

    Args:
        key_file: This process's private JWK; None makes calls without an identity.
        interceptors: Gives the tracing interceptors of a new channel.
        certificates: What channels are opened with; None opens them in plain text.
        patience: How long calls take at most that say nothing else.
    """

    def __init__(
        self,
        key_file: Path | None = None,
        interceptors: Callable[[], Sequence[Any]] = tuple,
        certificates: Certificates | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._signer = Signer(key_file) if key_file else None
        self._interceptors = interceptors
        self._certificates = certificates
        self._channels: dict[tuple[str, str], MannerlyChannel] = {}
        self._strangers: list[tuple[MannerlyChannel, str, str]] = []
        self._closing: set[asyncio.Task[None]] = set()

    def channel(self, address: str, subject: str) -> grpc.aio.Channel:
        """Return the channel to an address; the same one each time.

        Args:
            address: `host:port` or `unix:/path`.
            subject: Who has to answer there, `service:registry` for example.
        """
        place = (address, subject)
        if place not in self._channels:
            self._channels[place] = MannerlyChannel(self._open(*place), self.metadata, self._patience)
        return self._channels[place]

    def stranger(self, address: str, subject: str = "") -> grpc.aio.Channel:
        """Return a channel to somebody outside of the mesh, who sees no token of ours; the caller closes it.

        Args:
            address: `host:port` or `unix:/path`.
            subject: Who has to answer there with a certificate of the mesh; empty: nobody shows one, in plain
                text.

        Raises:
            Precondition: `TLS_INCOMPLETE`, this process has no certificate itself.
        """
        if subject and self._certificates is None:
            message = (
                f"Calls to {address} want mutual TLS: set ISTHMUS_TLS_CERT_FILE, ISTHMUS_TLS_KEY_FILE and "
                "ISTHMUS_TLS_CA_FILE, or ISTHMUS_ALLOW_PLAINTEXT in a protected network."
            )
            raise Precondition("TLS_INCOMPLETE", message)
        channel = MannerlyChannel(self._open(address, subject), list, self._patience)
        if subject:
            self._strangers.append((channel, address, subject))
        return channel

    def renew(self) -> None:
        """Open new calls with the renewed certificate; calls under way end where they are."""
        of_mesh = [(channel, *place) for place, channel in self._channels.items()]
        for channel, address, subject in [*of_mesh, *self._strangers]:
            old = channel.replace(self._open(address, subject))
            closing = asyncio.ensure_future(old.close(_LAST_CALLS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _open(self, address: str, subject: str) -> grpc.aio.Channel:
        interceptors = list(self._interceptors()) or None
        if self._certificates is None or not subject:
            return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
        return grpc.aio.secure_channel(
            address,
            self._certificates.channel_credentials(),
            options=CHANNEL_OPTIONS + self._certificates.channel_options(subject),
            interceptors=interceptors,
        )

    def metadata(self) -> list[tuple[str, str]]:
        """Return what each call carries: token, tenant, ticket, correlation id, trace."""
        entries: list[tuple[str, str]] = []
        if self._signer is not None:
            entries.append(("authorization", f"Bearer {self._signer.token()}"))
        principal = peek_principal()
        if principal is not None and principal.tenant_id:
            entries.append((TENANT_HEADER, principal.tenant_id))
            if ticket := carried_text():
                entries.append((TICKET_HEADER, ticket))
        if correlation_id := current_correlation_id():
            entries.append((CORRELATION_HEADER, correlation_id))
        if traceparent := current_traceparent():
            entries.append((TRACE_HEADER, traceparent))
        return entries

    def vouch(self, address: str) -> list[tuple[str, str]]:
        """Return what a call in somebody else's name carries besides that one's credential.

        Args:
            address: Where the caller's request came from.
        """
        if self._signer is None:
            return []
        return [(FORWARDED_FOR_HEADER, address), (FORWARDED_BY_HEADER, self._signer.token())]

    async def close(self) -> None:
        """Close all channels."""
        for closing in tuple(self._closing):
            closing.cancel()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()


class MannerlyChannel(grpc.aio.Channel):
    """A channel that adds metadata and a deadline to every call.

    Args:
        plain: The channel underneath.
        metadata: Gives what each call carries.
        patience: How long calls take at most that say nothing else.
    """

    def __init__(
        self,
        plain: grpc.aio.Channel,
        metadata: Callable[[], list[tuple[str, str]]],
        patience: Patience | None = None,
    ) -> None:
        self._plain = plain
        self._metadata = metadata
        self._patience = patience or Patience()

    def replace(self, plain: grpc.aio.Channel) -> grpc.aio.Channel:
        """Send calls from now on through another channel, also those of stubs that exist already.

        Returns:
            The channel so far; closing it is up to the caller.
        """
        old, self._plain = self._plain, plain
        return old

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method, which generated stubs use."""
        return self._mannerly(self._following("unary_unary", args, kwargs), self._patience.unary)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method, which generated stubs use."""
        return self._mannerly(self._following("unary_stream", args, kwargs), self._patience.stream)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method, which generated stubs use."""
        return self._mannerly_stream(self._following("stream_unary", args, kwargs))

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method, which generated stubs use."""
        invoke = self._mannerly_stream(self._following("stream_stream", args, kwargs))
        return lambda *args, **kwargs: Conversation(invoke(*args, **kwargs))

    def _following(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
        """Return what gives a method's callable of the channel that is used now."""
        plain, method = self._plain, getattr(self._plain, kind)(*args, **kwargs)

        def current() -> Any:
            nonlocal plain, method
            if plain is not self._plain:
                plain, method = self._plain, getattr(self._plain, kind)(*args, **kwargs)
            return method

        return current

    def _mannerly(self, current: Callable[[], Any], seconds: float) -> Any:
        def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **kwargs: Any) -> Any:
            return current()(
                request, timeout=_time(timeout, seconds), metadata=self._merged(metadata), **kwargs
            )

        return invoke

    def _mannerly_stream(self, current: Callable[[], Any]) -> Any:
        def invoke(
            requests: Any = None, timeout: float | None = None, metadata: Any = None, **kwargs: Any
        ) -> Any:
            return current()(
                requests,
                timeout=_time(timeout, self._patience.stream),
                metadata=self._merged(metadata),
                **kwargs,
            )

        return invoke

    def _merged(self, metadata: Any) -> list[tuple[str, Any]]:
        own = list(metadata or ())
        said = {name for name, _ in own}
        return [*own, *(entry for entry in self._metadata() if entry[0] not in said)]

    async def close(self, grace: float | None = None) -> None:
        """Close the channel underneath."""
        await self._plain.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the connectivity of the channel underneath."""
        return self._plain.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel underneath leaves a state."""
        await self._plain.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel underneath is connected."""
        await self._plain.channel_ready()

    async def __aenter__(self) -> "MannerlyChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _time(asked: float | None, default: float) -> float:
    return deadline.within(default if asked is None else asked)


__all__ = ["CHANNEL_OPTIONS", "LARGEST_MESSAGE", "Caller", "MannerlyChannel", "Patience"]
