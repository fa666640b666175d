"""What identity keeps: tenants, service accounts, API keys, roles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Scope = Literal["tenant", "installation"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """The isolation boundary: one organisation, or one part of it."""

    tenant_id: str
    name: str
    display_name: str
    create_time: datetime
    update_time: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An identity for a program; its roles say what it may do."""

    tenant_id: str
    service_account_id: str
    name: str
    description: str
    roles: tuple[str, ...]
    is_disabled: bool
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1

    @property
    def subject(self) -> str:
        """The stable name of this account in logs and audit."""
        return f"service_account:{self.service_account_id}"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of an API key: everything but the key.

    Attributes:
        permissions: Patterns that narrow what the account may do; none means all of that.
        allowed_networks: Where it may be used from; none means everywhere.
        requests_per_second: Calls that it may make of each process; 0 sets no limit.
        use_count: Calls made with it, as far as services have told.
        used_networks: Where it was used from lately.
    """

    tenant_id: str
    api_key_id: str
    service_account_id: str
    name: str
    digest: bytes = field(repr=False)
    expire_time: datetime
    created_by: str
    create_time: datetime
    revoke_time: datetime | None = None
    last_used_time: datetime | None = None
    permissions: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    requests_per_second: float = 0.0
    use_count: int = 0
    used_networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permission patterns.

    Attributes:
        role: Stable name.
        description: Who should have it.
        permissions: Patterns; `*` stands for one part.
        scope: Whether it reaches over one tenant or over the whole installation.
        revision: Counts the changes of a role of a tenant's own; 0 for one that comes with Isthmus.
    """

    role: str
    description: str
    permissions: tuple[str, ...]
    scope: Scope = "tenant"
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified holder of an API key or an access token.

    Attributes:
        expire_time: When the credential ends.
        kind: A person or a program.
        session_id: The session that an access token belongs to; empty for keys.
        support_access_id: The access by which it is in this tenant for a while; empty for who belongs to it.
        max_age: Seconds for which this may be remembered.
        rate: Calls a second that it may make of each process; 0 sets no limit.
        quotas: What its tenant may have and do at most, by name; what is not named has no limit.
    """

    subject: str
    tenant_id: str
    permissions: frozenset[str]
    expire_time: datetime
    kind: Literal["user", "service_account"] = "service_account"
    session_id: str = ""
    support_access_id: str = ""
    max_age: float = 5.0
    rate: float = 0.0
    quotas: Mapping[str, int] = field(default_factory=dict)


__all__ = ["ApiKey", "Caller", "Role", "Scope", "ServiceAccount", "Tenant"]
