"""What a caller is doing at present, as the audit trail will tell it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from google.protobuf.message import Message
from isthmus.kit.ids import new_id
from isthmus.kit.principal import Principal
from isthmus.kit.redaction import loggable, scrub
from isthmus.resilience.faults import Fault

INSTALLATION = "installation"
"""Whose trail it is where a deed concerns no tenant."""
Kind = Literal["change", "access"]

_LARGEST_DETAILS = 48 * 1024
_LONGEST_TEXT = 2_000
_MOST_ITEMS = 100
_MOST_TARGETS = 20
_MOST_TOGETHER = 30
_NO_TARGETS = frozenset({"request_id", "correlation_id"})


@dataclass(slots=True, eq=False)
class Deed:
    """One call that the audit trail keeps, from its beginning to its end.

    Attributes:
        method: The RPC, without the leading slash.
        kind: A change, or access to a secret.
        principal: Who calls; None where the RPC asks for no identity.
        request: What was asked for; None where it came as a stream.
        peer: From where the call came.
        correlation_id: Ties together what the request causes.
        wake: Called once a record of it has been stored.
        recorded: A record of it was committed.
        over: The call has ended; whatever its context is still used for is no part of it.
        whole: The call, where this is one of several things that it asks for.
        parts: The things that this record tells of together.
        refused: The parts of the call that were refused, each with the reason.
    """

    method: str
    kind: Kind
    principal: Principal | None
    request: Message | None
    peer: str
    correlation_id: str
    wake: Callable[[], None] = lambda: None
    tenant_id: str = ""
    subject: str = ""
    recorded: bool = False
    over: bool = False
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    targets: list[str] = field(default_factory=list)
    before: list[Any] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)
    whole: "Deed | None" = None
    parts: "Sequence[Deed]" = ()
    refused: "list[tuple[Deed, Fault]]" = field(default_factory=list)

    def part(self, request: Message) -> "Deed":
        """Return one of several things that the call asks for as a deed of its own."""
        return replace(self, request=request, whole=self, targets=[], before=[], after=[], refused=[])

    @property
    def owner(self) -> str:
        """The tenant in whose trail it belongs; empty where it concerns none."""
        return self.tenant_id or (self.principal.tenant_id if self.principal else "")

    @property
    def is_anonymous(self) -> bool:
        """Tell whether nobody knows who did it."""
        return self.principal is None and not self.subject

    @property
    def has_left_no_trace(self) -> bool:
        """Tell whether a process of the mesh asked for a change and nothing had to be changed."""
        return (
            self.kind == "change"
            and self.principal is not None
            and self.principal.kind == "mesh"
            and not self.recorded
        )

    def forget_effects(self) -> None:
        """Take back what was told of a transaction that was rolled back."""
        self.before.clear()
        self.after.clear()

    def record(self, outcome: str = "OK", reason: str = "", message: str = "") -> dict[str, str]:
        """Return the columns of the outbox row that tells of it.

        Args:
            outcome: How it ended, as a status of gRPC.
            reason: Why it failed, a stable word.
            message: Why it failed, for people.
        """
        record_id = new_id("aud")
        body = {
            "record_id": record_id,
            "time": self.time.isoformat(),
            "method": self.method,
            "kind": self.kind,
            "subject": self.subject or (self.principal.subject if self.principal else ""),
            "subject_kind": self.principal.kind if self.principal else "",
            "outcome": outcome,
            "reason": reason,
            "peer": self.peer,
            "correlation_id": self.correlation_id,
            "targets": self._targets(),
            "details": self._details(scrub(message)),
        }
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return {"id": record_id, "body": text}

    @property
    def _support(self) -> str:
        return self.principal.support_access_id if self.principal else ""

    def _targets(self) -> list[str]:
        named = [self._support, *(name for part in self.parts or (self,) for name in part._named())]
        most = max(_MOST_TARGETS, 3 * len(self.parts))
        return list(dict.fromkeys(filter(None, named)))[:most]

    def _named(self) -> Iterator[str]:
        yield from self.targets
        if self.request is not None:
            yield from _ids_in(self.request)

    def _details(self, message: str) -> str:
        told = {
            "request": loggable(self.request) if self.request is not None else {},
            "requests": [loggable(part.request) for part in self.parts if part.request is not None],
            "before": self.before,
            "after": self.after,
            "message": message,
            "support_access": self._support,
        }
        text = _json({name: _bounded(value) for name, value in told.items() if value})
        if len(text.encode()) > _LARGEST_DETAILS:
            short = {name: told[name] for name in ("message", "support_access") if told[name]}
            text = _json({"omitted": _digest(text), **short})
        return text


def joined(deeds: Sequence[Deed]) -> Iterator[Deed]:
    """Put parts of one call together, so that a record tells of many; others stay as they are."""
    calls: dict[int, list[Deed]] = {}
    for deed in deeds:
        calls.setdefault(id(deed.whole or deed), []).append(deed)
    for parts in calls.values():
        for first in range(0, len(parts), _MOST_TOGETHER):
            several = parts[first : first + _MOST_TOGETHER]
            yield several[0] if len(several) == 1 else replace(several[0], request=None, parts=several)


_deed: ContextVar[Deed | None] = ContextVar("isthmus_deed", default=None)


def current_deed() -> Deed | None:
    """Return the deed of the call being served, or None where nothing is to be recorded."""
    deed = _deed.get()
    return None if deed is None or deed.over else deed


def done_from_here(deed: Deed | None) -> None:
    """Let what the current task does from here on belong to a deed, or to none."""
    _deed.set(deed)


@contextmanager
def on_its_own(service: str, tenant_id: str, method: str) -> Iterator[None]:
    """Let what a service changes unasked be recorded, unless it belongs to the call of somebody.

    Args:
        service: Who does it.
        tenant_id: Whose trail it belongs in.
        method: The RPC by which somebody would have asked for it, without the leading slash.
    """
    if current_deed() is not None:
        yield
        return
    itself = Principal(f"service:{service}", tenant_id, frozenset(), "mesh")
    token = _deed.set(Deed(method, "change", itself, None, "", ""))
    try:
        yield
    finally:
        _deed.reset(token)


def tell(
    *,
    target: str = "",
    before: object = None,
    after: object = None,
    tenant_id: str = "",
    subject: str = "",
) -> None:
    """Add to what the audit trail will say of the present call; does nothing where none is recorded.

    What a service tells by events of the same transaction is in the record without this.

    Args:
        target: The id of what it is about, where the request does not have it.
        before: What was there before: a message, of which what is marked as secret is left out, or a value
            of the domain that has no secrets.
        after: What is there now.
        tenant_id: Whose trail it belongs in, where the caller has no tenant.
        subject: Who does it, where the RPC asks for no identity.
    """
    deed = current_deed()
    if deed is None:
        return
    deed.tenant_id = tenant_id or deed.tenant_id
    deed.subject = subject or deed.subject
    if target:
        deed.targets.append(target)
    for kept, value in ((deed.before, before), (deed.after, after)):
        if value is not None:
            kept.append(_plain(value))


def tell_event(name: str, subject_id: str, data: Mapping[str, Any]) -> None:
    """Add an event of the same transaction: what is there now."""
    deed = current_deed()
    if deed is not None and len(deed.after) < _MOST_ITEMS:
        deed.targets.append(subject_id)
        deed.after.append({"event": name, "subject": subject_id, "data": data})


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return loggable(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _ids_in(message: Message, depth: int = 2) -> Iterator[str]:
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if isinstance(value, str) and name.endswith("_id") and name not in _NO_TARGETS:
            yield value
        elif name.endswith("_ids") and descriptor.is_repeated:
            yield from (item for item in value if isinstance(item, str))
        elif isinstance(value, Message) and depth > 1:
            yield from _ids_in(value, depth - 1)


def _bounded(value: Any) -> Any:
    """Return a value whose texts and lists are short; what is left out is known by its digest."""
    if isinstance(value, str):
        clean = scrub(value)
        return clean if len(clean) <= _LONGEST_TEXT else f"{clean[:_LONGEST_TEXT]}… {_digest(value)}"
    if isinstance(value, Mapping):
        return {str(name): _bounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        kept = [_bounded(item) for item in value[:_MOST_ITEMS]]
        return [*kept, f"… {len(value)} in all"] if len(value) > _MOST_ITEMS else kept
    return value


def _digest(text: str) -> str:
    return f"({len(text)} characters, SHA-256 {hashlib.sha256(text.encode()).hexdigest()})"


def _json(value: Mapping[str, Any]) -> str:
    # A lone surrogate has no place in UTF-8, nor U+0000 in PostgreSQL.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace").decode().replace("\\u0000", "\\ufffd")


__all__ = [
    "INSTALLATION",
    "Deed",
    "Kind",
    "current_deed",
    "done_from_here",
    "joined",
    "on_its_own",
    "tell",
    "tell_event",
]
