"""Who is calling, for whom, and under which correlation id; carried by context variables."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

from isthmus.kit.quotas import NO_QUOTAS, Quotas
from isthmus.resilience.faults import NotAuthenticated

Kind = Literal["user", "service_account", "mesh"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    Attributes:
        subject: Who it is, for example `usr_…`, `svc_…`, `service:registry` or `host:files`.
        tenant_id: The tenant it acts in; empty for a mesh principal that acts for none.
        permissions: Patterns such as `registry.*.read`; `*` allows everything.
        kind: Where the identity comes from.
        session_id: The session of a user who has logged in; empty for everybody else.
        support_access_id: The access by which it is in this tenant for a while; empty for who belongs to it.
        quotas: What its tenant may have and do at most.
    """

    subject: str
    tenant_id: str
    permissions: frozenset[str]
    kind: Kind
    session_id: str = ""
    support_access_id: str = ""
    quotas: Quotas = NO_QUOTAS

    def may(self, permission: str) -> bool:
        """Tell whether a pattern of this principal covers `permission`."""
        wanted = permission.split(".")
        return any(_covers(pattern, wanted) for pattern in self.permissions)


def _covers(pattern: str, wanted: list[str]) -> bool:
    if pattern == "*":
        return True
    parts = pattern.split(".")
    return len(parts) == len(wanted) and all(
        part in {"*", word} for part, word in zip(parts, wanted, strict=True)
    )


_principal: ContextVar[Principal | None] = ContextVar("isthmus_principal", default=None)
_correlation_id: ContextVar[str] = ContextVar("isthmus_correlation_id", default="")
_client_address: ContextVar[str] = ContextVar("isthmus_client_address", default="")


def current_principal() -> Principal:
    """Return the caller of the RPC being served, or the tenant background work acts for.

    Raises:
        NotAuthenticated: `CALLER_UNKNOWN`, nobody is acting here.
    """
    principal = _principal.get()
    if principal is None:
        raise NotAuthenticated("CALLER_UNKNOWN", "Send an API key as `authorization: Bearer …`.")
    return principal


def peek_principal() -> Principal | None:
    """Return the acting principal, or None where nobody is acting."""
    return _principal.get()


def current_correlation_id() -> str:
    """Return the id that ties together all log lines of one request; empty outside a request."""
    return _correlation_id.get()


@contextmanager
def acting_as(principal: Principal) -> Iterator[Principal]:
    """Make `principal` the acting one inside the block."""
    token = _principal.set(principal)
    try:
        yield principal
    finally:
        _principal.reset(token)


@contextmanager
def acting_for(tenant_id: str) -> Iterator[Principal]:
    """Do background work on behalf of a tenant; calls to peers inside the block carry it.

    Args:
        tenant_id: The tenant whose data the work is about.
    """
    acting = _principal.get()
    if acting is None or acting.kind != "mesh":
        acting = Principal(subject="isthmus", tenant_id="", permissions=frozenset({"*"}), kind="mesh")
    with acting_as(replace(acting, tenant_id=tenant_id)) as principal:
        yield principal


def current_client_address() -> str:
    """Return the address that the RPC being served came from; empty where it has none."""
    return _client_address.get()


def called_from(address: str) -> None:
    """Note the address that the call served by the current task came from."""
    _client_address.set(address)


def acting_from_here(principal: Principal | None) -> None:
    """Make `principal` the acting one until the current task ends."""
    _principal.set(principal)


def correlated_from_here(correlation_id: str) -> None:
    """Put what the current task does from here on under one correlation id."""
    _correlation_id.set(correlation_id)


@contextmanager
def correlated(correlation_id: str) -> Iterator[str]:
    """Put every log line and outgoing call inside the block under one correlation id."""
    token = _correlation_id.set(correlation_id)
    try:
        yield correlation_id
    finally:
        _correlation_id.reset(token)


__all__ = [
    "Principal",
    "acting_as",
    "acting_for",
    "acting_from_here",
    "called_from",
    "correlated",
    "correlated_from_here",
    "current_client_address",
    "current_correlation_id",
    "current_principal",
    "peek_principal",
]
