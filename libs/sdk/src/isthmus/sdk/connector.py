"""The class that connector authors extend, and the marks for its methods."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from isthmus.sdk.classify import classify
from isthmus.sdk.context import Context, current_context
from isthmus.sdk.failures import Failure
from isthmus.sdk.guard import Guard, Verdict
from isthmus.sdk.model import (
    AuthMethod,
    CheckStep,
    Credential,
    Guarantee,
    OnDoubt,
    RateLimit,
    ReadMode,
    Stream,
    WriteMode,
)
from isthmus.sdk.page import Batch, Page
from isthmus.sdk.rotation import Rotated, Rotation
from pydantic import BaseModel

S = TypeVar("S", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])
MARK = "__isthmus_mark__"


@dataclass(frozen=True)
class SourceMark:
    """What `@source` says about its method."""

    name: str
    key: tuple[str, ...]
    cursor: str
    ordered: bool
    modes: tuple[ReadMode, ...]
    deletes: bool
    partitions: str
    longest_silence: timedelta
    most_side_by_side: int = 0
    range_field: str = ""
    asks_for_range: bool = False


@dataclass(frozen=True)
class DestinationMark:
    """What `@destination` says about its method."""

    name: str
    key: tuple[str, ...]
    modes: tuple[WriteMode, ...]
    guarantee: Guarantee
    lookup: str = ""
    lookup_lag: float = 5.0
    lookup_always: bool = False
    on_doubt: OnDoubt = OnDoubt.QUARANTINE


@dataclass(frozen=True)
class ActionMark:
    """What `@action` says about its method."""

    name: str
    idempotent: bool


@dataclass(frozen=True)
class WebhookMark:
    """What `@webhook` says about its method."""

    kind: str
    feeds: str


def source(
    *,
    key: str | tuple[str, ...] = (),
    cursor: str = "",
    name: str = "",
    ordered: bool = True,
    delta: bool = False,
    partitions: str = "",
    longest_silence: timedelta = timedelta(minutes=5),
    most_side_by_side: int = 0,
    range_field: str = "",
) -> Callable[[F], F]:
    """Marks a method that reads one stream, page by page.

    The method is an asynchronous generator of `Page`. By the names of its
    parameters it gets: `since` (the cursor value to start from, read as its
    annotation says; `None` at first), `resume` (what the last page gave as
    `resume`), `state` (a dictionary that is kept from one complete reading to
    the next, for entity tags and change tokens), `partition`, `mode`, `limit` and
    `between` (the span of time to ask for; `None` means all of it).

    Args:
        key: Dotted paths of the fields that identify a record.
        cursor: Dotted path of the field that grows with every change. The next
            reading starts *at* the greatest value seen, so that records sharing
            one value are not lost; the destination ignores those it has.
        name: The stream's name; the method's by default.
        ordered: Oldest change first. Say False when the system gives no order:
            the cursor then moves only at the end of a complete reading.
        delta: The system reports changes and deletions by a token kept in `state`.
        partitions: Name of a method that lists the stream's partitions. It may take `mode`, in which they
            are going to be read, and `known`: partitions in which a reading has come somewhere, which is
            lost unless they are listed again.
        longest_silence: How long the source may legitimately say nothing.
        most_side_by_side: Most partitions that may be read at a time; 1 reads one after another.
        range_field: Dotted path of a time by which a reading can be bounded. With a parameter `between`
            the method asks the system for that span; without it the host leaves out what lies outside.
    """

    def mark(method: F) -> F:
        told = SourceMark(
            name or method.__name__,
            _keys(key),
            cursor,
            ordered,
            _modes(method, cursor, delta=delta),
            delta,
            partitions,
            longest_silence,
            most_side_by_side,
            range_field,
            _takes(method, "between"),
        )
        setattr(method, MARK, told)
        return method

    return mark


def _takes(method: Any, parameter: str) -> bool:
    return parameter in method.__code__.co_varnames[: method.__code__.co_argcount]


def _modes(method: Any, cursor: str, *, delta: bool) -> tuple[ReadMode, ...]:
    modes = [ReadMode.FULL]
    if cursor or _takes(method, "state"):
        modes.append(ReadMode.INCREMENTAL)
    if delta:
        modes.append(ReadMode.DELTA)
    return tuple(modes)


def destination(
    *,
    key: str | tuple[str, ...] = (),
    name: str = "",
    modes: tuple[WriteMode, ...] = (WriteMode.UPSERT,),
    guarantee: Guarantee = Guarantee.IDEMPOTENT,
    lookup: str = "",
    lookup_lag: float = 5.0,
    lookup_always: bool = False,
    on_doubt: OnDoubt = OnDoubt.QUARANTINE,
) -> Callable[[F], F]:
    """Marks a method that writes batches of one stream.

    Returning means that all that was not rejected is durable; raising means
    that nothing is acknowledged and the batch comes again.

    Args:
        key: Dotted paths of the fields that identify a record.
        name: The stream's name; the method's by default.
        modes: What may be asked of the stream.
        guarantee: What a batch that comes twice does. Say `AT_LEAST_ONCE` where writing a record
            again would add a second one: each write is then announced durably before it is made.
        lookup: Name of a method that takes an `Item` and gives the system's own id of its record, None
            when there is none. With one, writing is announced too, and a record that a dead attempt
            may have created is looked for before it is written: the effect is exactly one.
        lookup_lag: Seconds after which the system has taken, and finds, what was sent to it; a record
            in doubt is looked for no sooner.
        lookup_always: Look for every record that is new to the flow; for systems that hold some already.
        on_doubt: Without a lookup: such a record goes to quarantine, or is written again.
    """

    def mark(method: F) -> F:
        told = DestinationMark(
            name or method.__name__,
            _keys(key),
            modes,
            guarantee,
            lookup,
            lookup_lag,
            lookup_always,
            on_doubt,
        )
        setattr(method, MARK, told)
        return method

    return mark


def action(name: str = "", *, idempotent: bool = False) -> Callable[[F], F]:
    """Marks a method that does something outside streams; its one argument is a model or a dictionary."""

    def mark(method: F) -> F:
        setattr(method, MARK, ActionMark(name or method.__name__, idempotent))
        return method

    return mark


def webhook(kind: str, *, feeds: Callable[..., Any] | str = "") -> Callable[[F], F]:
    """Marks a method that turns an inbound webhook into a record, several records, or nothing.

    Args:
        kind: Name of the webhook, for example `incident.changed`.
        feeds: The source method whose records it carries.
    """

    def mark(method: F) -> F:
        told = getattr(feeds, MARK, None)
        stream = told.name if isinstance(told, SourceMark) else feeds if isinstance(feeds, str) else ""
        setattr(method, MARK, WebhookMark(kind, stream))
        return method

    return mark


def _keys(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) and key else tuple(key)


class Connector(Generic[S]):
    """Speaks to one kind of system. Extend it with a settings model: `class Acme(Connector[Settings])`.

    `open()` makes the clients, `check()` proves that they work, marked methods
    do the rest. The hooks `connect`, `authenticate`, `receive_data`,
    `send_data`, `handle_error`, `health_check` and `disconnect` are what the
    host calls; override them only where the defaults do not fit.

    The class variables say what cannot be derived; each has a usable default. Say `divides_streams`
    where `streams()` gives some a partitioner.
    """

    connector_id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    version: ClassVar[str] = "0.1.0"
    system_type: ClassVar[str] = ""
    vendor: ClassVar[str] = ""
    author: ClassVar[str] = ""
    documentation_url: ClassVar[str] = ""
    icon_url: ClassVar[str] = ""
    is_built_in: ClassVar[bool] = False
    divides_streams: ClassVar[bool] = False
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = ()
    needed_scopes: ClassVar[tuple[str, ...]] = ()
    rate_limit: ClassVar[RateLimit] = RateLimit()
    allowed_hosts: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, settings: S, credential: Credential | None = None, context: Context | None = None
    ) -> None:
        self.settings = settings
        self.context = context or current_context()
        self.credential = credential or self.context.credential

    def open(self) -> None:
        """Makes clients and other tools; called once, before anything else."""

    def guard(
        self,
        system: str,
        *,
        rate: str = "",
        judge: Callable[[Any], Verdict | None] | None = None,
    ) -> Guard:
        """Makes what keeps calls that do not go through an `Api` to the instance's limits.

        Args:
            system: Which one, as people know it, for example `db.example:5432`.
            rate: Most calls, for example `10/s`; an instance may have one of its own.
            judge: Says whether to try again after an outcome, or after an exception as it was raised;
                where it gives None, the class of the failure that `handle_error` makes decides.
        """
        return Guard(self.context, system, rate=rate, told=self.handle_error, judge=judge)

    async def check(self) -> None:
        """Proves that the settings work; raise a typed failure when they do not."""

    async def streams(self) -> list[Stream]:
        """The streams of this instance; the marked methods by default."""
        from isthmus.sdk.declared import streams_of

        return streams_of(self)

    async def instance_changed(self, change: str) -> None:
        """Owns what the connector made at the system.

        `change` is `activated`, `updated`, `deactivated` or `deleted`; safe to repeat.
        """

    async def rotate(self, rotation: Rotation) -> Rotated:
        """Makes the system take a new secret; override it where the system lets a program do so.

        It may have been done before, whole or in part, by somebody who died over it: find out first. Where
        the system makes secrets itself, remove what an earlier call has made and nobody knows, and keep the
        old one until `retire`.
        """
        raise NotImplementedError

    async def retire(self, rotation: Rotation) -> None:
        """Makes the old secret worthless, where the system still takes it; safe to repeat."""

    async def connect(self) -> None:
        """Brings the connector into working order; calls `open` by default."""
        self.open()

    async def authenticate(self) -> None:
        """Proves identity where the system wants that before the first request; nothing by default."""

    async def receive_data(self, stream: Stream, **given: Any) -> AsyncGenerator[Page[Any], None]:
        """Reads a stream; calls its reader by default."""
        if stream.reader is not None:
            async with aclosing(stream.reader(**given)) as pages:
                async for page in pages:
                    yield page

    async def send_data(self, stream: Stream, batch: Batch[Any]) -> None:
        """Writes a batch; calls the stream's writer by default."""
        if stream.writer is not None:
            await stream.writer(batch)

    async def handle_error(self, error: Exception) -> Failure:
        """Tells what an unexpected exception means; unknown ones count as transient."""
        return classify(error)

    async def health_check(self) -> AsyncIterator[CheckStep]:
        """Runs `check`; override it as a generator to tell about steps of your own."""
        await self.check()
        return
        yield CheckStep("")

    async def disconnect(self) -> None:
        """Closes what the connector opened; every `Api` is closed by the session."""
