"""Tickets: a host acts for a tenant only with the signed word of whoever gave it work there.

Scheduling signs them into the leases of executions, and whoever has a host check, discover or act sends
one along. They name the tenant, the instance, the host that serves it and the process that may call that
host, and end after minutes. A host shows the ticket of its work with every call it makes for it.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.kit.permissions import PUBLIC
from isthmus.kit.principal import Principal
from isthmus.kit.tokens import TrustStore, signed
from isthmus.resilience.faults import NotAllowed

TICKET_HEADER = "isthmus-ticket"
SIGN = "identity.tickets.sign"
"""What a process has to be allowed in the trust file for its tickets to count."""
LONGEST = 300
"""Seconds for which a ticket may be good; those of executions are, since a destination may be slow."""
MOST_AT_ONCE = 16
"""How many tickets one call may show."""
_USUAL = 120
_SAME_SECONDS = 60
_KIND = "ticket"
_HOST = "host:"
_MOST_KEPT = 4096
_AFTERWARDS = 3600
# Each of these either gives the work, for which there is no ticket yet, or is tied to a lease by its fencing
# token, or is about the host's own connector. A host that calls for no tenant needs none either.
_WITHOUT = frozenset(
    {
        PUBLIC,
        "identity.callers.authenticate",
        "registry.connectors.register",
        "registry.hosts.register",
        "scheduling.checkpoints.commit",
        "scheduling.leases.acquire",
        "scheduling.leases.finish",
        "scheduling.leases.renew",
    }
)
# What hosts tell of instances, of several at once and also when the work is over.
_TELLING = frozenset({"monitoring.logs.append", "monitoring.metrics.record", "scheduling.leases.share"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says.

    Attributes:
        tenant_id: For whom there is work.
        instance_id: On what; empty while a configuration is tried before it is saved.
        host: The process that serves the instance, `host:files` for example.
        caller: Who may call that process about it, `service:registry` or `host:http-json` for example.
        auth_config_id: The credential of a configuration that is not saved yet; empty for others.
        flow_id: What is carried out; empty where it is no flow.
        stream: What the flow reads or writes at this end.
        mapping_ids: What its records are mapped by.
        expires: Until when, in Unix seconds.
    """

    tenant_id: str
    instance_id: str
    host: str
    caller: str
    auth_config_id: str = ""
    flow_id: str = ""
    stream: str = ""
    mapping_ids: tuple[str, ...] = ()
    expires: float = field(default=0.0, compare=False)

    @property
    def claims(self) -> dict[str, str]:
        """What is signed of it."""
        named = {
            "tid": self.tenant_id,
            "ins": self.instance_id,
            "ath": self.auth_config_id,
            "for": self.host,
            "by": self.caller,
            "flw": self.flow_id,
            "str": self.stream,
            "map": " ".join(self.mapping_ids),
        }
        return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class Carried:
    """The ticket that goes along with what is being done; work that lasts gets newer ones.

    Attributes:
        text: As it is sent; empty carries none.
        ticket: What it says, where somebody has shown it to this process.
        others: What those say that were shown together with it.
    """

    text: str = field(default="", repr=False)
    ticket: Ticket | None = None
    others: tuple[Ticket, ...] = ()


_carried: ContextVar[Carried | None] = ContextVar("isthmus_ticket", default=None)


def carried_text() -> str:
    """Return the ticket that outgoing calls carry; empty where there is none."""
    carried = _carried.get()
    return "" if carried is None else carried.text


def carried_here() -> Carried | None:
    """Return what outgoing calls carry; its text becomes newer as long as the work goes on."""
    return _carried.get()


def carrying_all(texts: Iterable[str]) -> AbstractContextManager[None]:
    """Let the calls inside the block show several tickets, for what is told of several instances."""
    return carrying(Carried(" ".join(texts)))


def carry_from_here(carried: Carried | None) -> None:
    """Let the current task's calls carry a ticket until the task ends."""
    _carried.set(carried)


def renew_carried(text: str) -> None:
    """Let the calls of the RPC being served go on with a newer ticket that its caller has sent."""
    carried = _carried.get()
    if carried is None:
        _carried.set(Carried(text))
    else:
        carried.text = text


@contextmanager
def carrying(carried: Carried | None) -> Iterator[None]:
    """Let the calls inside the block carry a ticket."""
    token = _carried.set(carried)
    try:
        yield
    finally:
        _carried.reset(token)


def is_host(caller: Principal) -> bool:
    """Tell whether a caller is a connector host."""
    return caller.kind == "mesh" and caller.subject.startswith(_HOST)


def needs_ticket(permission: str) -> bool:
    """Tell whether hosts need a ticket for what asks for a permission."""
    return permission not in _WITHOUT


class Tickets:
    """Signs tickets, and gives the same one again for a minute.

    Args:
        key_file: This process's private JWK; None gives empty tickets.
        lifetime: For how many seconds a ticket is good; whoever gets it has a minute less at worst.
    """

    def __init__(self, key_file: Path | None, lifetime: int = _USUAL) -> None:
        self._key_file = key_file
        self._lifetime = lifetime
        self._signed: OrderedDict[Ticket, tuple[str, float]] = OrderedDict()

    def lasting(self, lifetime: int) -> "Tickets":
        """Return what signs tickets with the same key that are good for so many seconds."""
        return Tickets(self._key_file, lifetime)

    def text(self, ticket: Ticket) -> str:
        """Return a signed ticket."""
        if self._key_file is None:
            return ""
        now = time.time()
        kept = self._signed.get(ticket)
        if kept is not None and now < kept[1]:
            return kept[0]
        text = signed(self._key_file, ticket.claims, now=int(now), lifetime=self._lifetime, kind=_KIND)
        self._signed[ticket] = (text, now + _SAME_SECONDS)
        self._signed.move_to_end(ticket)
        while len(self._signed) > _MOST_KEPT:
            self._signed.popitem(last=False)
        return text


class Inspector:
    """Judges the tickets that callers show.

    Args:
        trust: Says whose tickets count; None believes none.
    """

    def __init__(self, trust: TrustStore | None) -> None:
        self._trust = trust
        self._known: OrderedDict[str, tuple[Ticket, object]] = OrderedDict()

    def inspect(self, metadata: Mapping[str, Any], caller: Principal, permission: str) -> Carried | None:
        """Return the ticket that a call carries; None where it carries none and needs none.

        Only of hosts is it looked at: others pass it on to those who have to show it.

        Raises:
            NotAllowed: `TICKET_MISSING`, `TICKET_INVALID` or `TICKET_OF_OTHERS`.
        """
        text = str(metadata.get(TICKET_HEADER, ""))
        if not is_host(caller):
            return Carried(text) if text and caller.kind == "mesh" else None
        if not caller.tenant_id or not needs_ticket(permission):
            return None
        if not text:
            raise missing()
        if permission not in _TELLING:
            return Carried(text, self._judged(text, caller))
        texts = text.split(" ", MOST_AT_ONCE)
        ticket, *others = [self._judged(one, caller, _AFTERWARDS) for one in texts[:MOST_AT_ONCE]]
        return Carried(text, ticket, tuple(others))

    def _judged(self, text: str, caller: Principal, grace: int = 0) -> Ticket:
        ticket = self._read(text, grace)
        if ticket.tenant_id != caller.tenant_id:
            raise of_others("another tenant")
        if caller.subject not in {ticket.host, ticket.caller}:
            raise of_others("another host")
        return ticket

    def _read(self, text: str, grace: int) -> Ticket:
        trust = self._trust
        if trust is None:
            raise _invalid()
        known = self._known.get(text)
        if known is not None and known[1] is trust.edition and time.time() < known[0].expires + grace:
            return known[0]
        self._known.pop(text, None)
        claims = trust.claims_of(text, kind=_KIND, permission=SIGN, lifetime=LONGEST, grace=grace)
        if claims is None:
            raise _invalid()
        tenant, instance, host, caller, credential, flow, stream, mappings = (
            str(claims.get(name, "")) for name in ("tid", "ins", "for", "by", "ath", "flw", "str", "map")
        )
        ticket = Ticket(
            tenant,
            instance,
            host,
            caller,
            credential,
            flow,
            stream,
            tuple(mappings.split()),
            float(claims["exp"]),
        )
        self._known[text] = (ticket, trust.edition)
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
        return ticket


def missing() -> NotAllowed:
    """Build the answer to a host that shows no ticket."""
    message = f"A host acts for a tenant by the ticket of its work there; send it as `{TICKET_HEADER}`."
    return NotAllowed("TICKET_MISSING", message)


def _invalid() -> NotAllowed:
    message = "The ticket has ended, or nobody who gives work has signed it; ask for the lease's newest one."
    return NotAllowed("TICKET_INVALID", message)


def of_others(what: str) -> NotAllowed:
    """Build the answer to a host whose ticket is for something else.

    Args:
        what: For what it is.
    """
    message = f"The ticket is for {what}; a host reaches what it has work on, as long as it has."
    return NotAllowed("TICKET_OF_OTHERS", message)


__all__ = [
    "LONGEST",
    "MOST_AT_ONCE",
    "SIGN",
    "TICKET_HEADER",
    "Carried",
    "Inspector",
    "Ticket",
    "Tickets",
    "carried_here",
    "carried_text",
    "carry_from_here",
    "carrying",
    "carrying_all",
    "is_host",
    "missing",
    "needs_ticket",
    "of_others",
    "renew_carried",
]
