"""Tickets: a host acts for a tenant only with the signed word of whoever gave it work there.

Scheduling signs them into the leases of executions, and whoever has a host check, discover or act sends
one along. They name the tenant, the instance, the host that serves it and the process that may call that
host, and end after minutes. A host shows the ticket of its work with every call it makes for it.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.kit.permissions import PUBLIC
from isthmus.kit.principal import Principal, peek_principal
from isthmus.kit.tokens import TrustStore, signed
from isthmus.resilience.faults import NotAllowed

TICKET_HEADER = "isthmus-ticket"
SIGN = "identity.tickets.sign"
"""What a process has to be allowed in the trust file for its tickets to count."""
LONGEST = 300
"""Seconds for which a ticket may be good; those of executions are, since a destination may be slow."""
_USUAL = 120
_SAME_SECONDS = 60
_KIND = "ticket"
_HOST = "host:"
_MOST_KEPT = 4096
# Each of these either gives the work, for which there is no ticket yet, or is tied to a lease by its fencing
# token, or only takes what hosts tell. A host that calls for no tenant needs none either.
_WITHOUT = frozenset(
    {
        PUBLIC,
        "identity.callers.authenticate",
        "monitoring.logs.append",
        "monitoring.metrics.record",
        "registry.connectors.register",
        "registry.hosts.register",
        "scheduling.checkpoints.commit",
        "scheduling.leases.acquire",
        "scheduling.leases.finish",
        "scheduling.leases.renew",
        "scheduling.leases.share",
    }
)


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
        mapping_ids: What its records are mapped by.
        expires: Until when, in Unix seconds.
    """

    tenant_id: str
    instance_id: str
    host: str
    caller: str
    auth_config_id: str = ""
    flow_id: str = ""
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
            "map": " ".join(self.mapping_ids),
        }
        return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class Carried:
    """The ticket that goes along with what is being done; work that lasts gets newer ones.

    Attributes:
        text: As it is sent; empty carries none.
        ticket: What it says, where somebody has shown it to this process.
    """

    text: str = field(default="", repr=False)
    ticket: Ticket | None = None


_carried: ContextVar[Carried | None] = ContextVar("isthmus_ticket", default=None)


def carried_text() -> str:
    """Return the ticket that outgoing calls carry; empty where there is none."""
    carried = _carried.get()
    return "" if carried is None else carried.text


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


def shown_ticket() -> Ticket | None:
    """Return what the ticket says that the caller of the RPC being served has shown."""
    carried = _carried.get()
    return None if carried is None else carried.ticket


def require_work_on(instance_id: str, auth_config_id: str = "", *, borrowing: bool = False) -> None:
    """Let a host pass that has live work on an instance; whoever is no host passes.

    Args:
        instance_id: On what; empty for a configuration that is not saved yet.
        auth_config_id: The credential of such a configuration.
        borrowing: Ask for the host that serves the instance; not even who may call it will do.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is None:
        return
    if ticket.instance_id != instance_id:
        raise _of_others("another instance")
    if not instance_id and ticket.auth_config_id != auth_config_id:
        raise _of_others("another credential")
    caller = peek_principal()
    if borrowing and caller is not None and ticket.host != caller.subject:
        raise _of_others("another host")


def require_flow(flow_id: str) -> None:
    """Let a host pass that carries a flow out; whoever is no host passes.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and (not flow_id or ticket.flow_id != flow_id):
        raise _of_others("another flow")


def require_mapping(mapping_id: str) -> None:
    """Let a host pass that carries a flow with a mapping out; whoever is no host passes.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and mapping_id not in ticket.mapping_ids:
        raise _of_others("a flow without this mapping")


def _ticket_of_host() -> Ticket | None:
    """Give what the caller has shown; None where it is no host, and needs to show nothing."""
    caller = peek_principal()
    if caller is None or not is_host(caller):
        return None
    ticket = shown_ticket()
    if ticket is None:
        raise _missing()
    return ticket


def refuse_hosts() -> None:
    """Keep hosts from what has the permission of something that they do need.

    Raises:
        NotAllowed: `TICKET_OF_OTHERS`.
    """
    caller = peek_principal()
    if caller is not None and is_host(caller):
        raise _of_others("one instance, and this is about others")


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
            raise _missing()
        ticket = self._read(text)
        if ticket.tenant_id != caller.tenant_id:
            raise _of_others("another tenant")
        if caller.subject not in {ticket.host, ticket.caller}:
            raise _of_others("another host")
        return Carried(text, ticket)

    def _read(self, text: str) -> Ticket:
        trust = self._trust
        if trust is None:
            raise _invalid()
        known = self._known.get(text)
        if known is not None and known[1] is trust.edition and time.time() < known[0].expires:
            return known[0]
        self._known.pop(text, None)
        claims = trust.claims_of(text, kind=_KIND, permission=SIGN, lifetime=LONGEST)
        if claims is None:
            raise _invalid()
        tenant, instance, host, caller, credential, flow, mappings = (
            str(claims.get(name, "")) for name in ("tid", "ins", "for", "by", "ath", "flw", "map")
        )
        ticket = Ticket(
            tenant, instance, host, caller, credential, flow, tuple(mappings.split()), float(claims["exp"])
        )
        self._known[text] = (ticket, trust.edition)
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
        return ticket


def _missing() -> NotAllowed:
    message = f"A host acts for a tenant by the ticket of its work there; send it as `{TICKET_HEADER}`."
    return NotAllowed("TICKET_MISSING", message)


def _invalid() -> NotAllowed:
    message = "The ticket has ended, or nobody who gives work has signed it; ask for the lease's newest one."
    return NotAllowed("TICKET_INVALID", message)


def _of_others(what: str) -> NotAllowed:
    message = f"The ticket is for {what}; a host reaches what it has work on, as long as it has."
    return NotAllowed("TICKET_OF_OTHERS", message)


__all__ = [
    "LONGEST",
    "SIGN",
    "TICKET_HEADER",
    "Carried",
    "Inspector",
    "Ticket",
    "Tickets",
    "carried_text",
    "carry_from_here",
    "carrying",
    "is_host",
    "needs_ticket",
    "refuse_hosts",
    "renew_carried",
    "require_flow",
    "require_mapping",
    "require_work_on",
    "shown_ticket",
]
