"""What a session lends to everything that a connector makes while it is open."""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.sdk.egress import Egress, OpenEgress
from isthmus.sdk.guards import Guards
from isthmus.sdk.limits import Limits
from isthmus.sdk.model import Credential
from isthmus.sdk.redaction import redact

if TYPE_CHECKING:
    import httpx
    from isthmus.sdk.api.reply import Reply
    from isthmus.sdk.keying import Keying
    from isthmus.sdk.page import ReadReject
    from isthmus.sdk.shaped import Shaper


@dataclass
class Stats:
    """Counts what was asked of the system."""

    api_calls: int = 0
    retries: int = 0
    throttled: int = 0
    not_modified: bool = False
    bytes_read: int = 0


class Place:
    """Where the paging of the reading in progress stands.

    A paging component tells here how the page in hand is asked for (`enter`)
    and that its taker wants the next one (`leave`). Only then is everything
    of the page in hand known to have been given, so only then may a position
    point behind it. Nested paging does not count: the outermost one leads.
    """

    def __init__(
        self,
        saved: dict[str, Any] | None = None,
        on_leave: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.saved = saved
        self.at: dict[str, Any] | None = saved
        self.open = False
        self._leader = ""
        self._on_leave = on_leave

    def lead(self, request: str) -> tuple[bool, dict[str, Any] | None]:
        """Asks to lead; gives whether it may, and the saved state when it is about this request."""
        if self._leader:
            return False, None
        self._leader = request
        saved = self.saved if self.saved and self.saved.get("request") == request else None
        return True, saved.get("after") if saved else None

    def enter(self, state: dict[str, Any] | None) -> None:
        """A page is in hand; asking for it again takes `state`."""
        self.at = {"request": self._leader, "after": state} if state is not None else None
        self.open = True

    async def leave(self, state: dict[str, Any] | None) -> None:
        """The page in hand is used up; the one after it takes `state`, None when there is none."""
        self.at = {"request": self._leader, "after": state} if state is not None else None
        self.open = False
        if self._on_leave is not None:
            await self._on_leave()

    def release(self) -> None:
        """The leader has no more pages; another may lead."""
        self._leader = ""
        self.open = False


@dataclass
class Context:
    """Limits, counts and guards of one session; `Api` finds the present one by itself.

    Attributes:
        patience: The most seconds that one call waits in all before repetitions.
        rate: What the connector declares for all its calls; one that a call names takes its place.
        is_revoked: The credential was taken back; no further request is sent with it.
    """

    limits: Limits = field(default_factory=Limits)
    egress: Egress = field(default_factory=OpenEgress)
    credential: Credential = field(default_factory=Credential)
    renew: Callable[[], Awaitable[Credential]] | None = None
    transport: "httpx.AsyncBaseTransport | None" = None
    secrets: set[str] = field(default_factory=set)
    tenant_id: str = ""
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    shared: Guards | None = None
    patience: float = math.inf
    rate: str = ""
    is_revoked: bool = False
    _stats: Stats = field(default_factory=Stats)

    @property
    def guards(self) -> Guards:
        """Breakers, rates and places: those that the instance's sessions share, or this session's own."""
        if self.shared is None:
            self.shared = Guards(self.limits)
        return self.shared

    @property
    def stats(self) -> Stats:
        """The counts of the reading or write in progress; several may share one session."""
        present = WORK.get()
        return present.stats if present is not None else self._stats

    def redact(self, text: str) -> str:
        """The text with stars in place of every secret of this session."""
        return redact(text, self.secrets)

    @contextmanager
    def active(self) -> Iterator["Context"]:
        """Makes this the context that code called from here on finds."""
        token = _CURRENT.set(self)
        try:
            yield self
        finally:
            _CURRENT.reset(token)


@dataclass
class Work:
    """One reading or write: what it asked of the system, and what nobody has taken care of yet.

    Attributes:
        refusals: Replies that nobody looked at.
        unread: Records that cannot be read; the next page takes them along.
        effects: Requests that may have changed something at the system.
        harmless: The failure of a request that certainly changed nothing.
        shaper: Gives the shape of what the taker of the records wants of them; None for all.
        keying: What the reading itself wants of each record.
    """

    stats: Stats = field(default_factory=Stats)
    refusals: "list[Reply]" = field(default_factory=list)
    unread: "list[ReadReject]" = field(default_factory=list)
    effects: int = 0
    harmless: Exception | None = None
    shaper: "Shaper | None" = None
    keying: "Keying | None" = None

    def take_unread(self) -> "list[ReadReject]":
        """Hands over the records that cannot be read."""
        taken, self.unread = self.unread, []
        return taken


WORK: ContextVar[Work | None] = ContextVar("isthmus_sdk_work", default=None)
_CURRENT: ContextVar[Context | None] = ContextVar("isthmus_sdk_context", default=None)
PLACE: ContextVar[Place | None] = ContextVar("isthmus_sdk_place", default=None)


def current_context() -> Context:
    """The context of the session in progress, or a fresh one outside of any."""
    return _CURRENT.get() or Context()
