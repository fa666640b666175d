"""Access for a while: asked for with a reason, granted by somebody else, ended by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.resilience.faults import NotAllowed, Precondition
from isthmus.services.identity.domain.access import meet

DEFAULT_DURATION = timedelta(hours=1)
TIME_TO_DECIDE = timedelta(days=1)
REQUESTED, APPROVED, REFUSED, REVOKED, EXPIRED = "requested", "approved", "refused", "revoked", "expired"


@dataclass(frozen=True, slots=True)
class SupportAccess:
    """Roles in a tenant for a while.

    Attributes:
        requester: The subject of who has asked.
        requester_tenant_id: Where who has asked belongs.
        state: What was decided; time is not part of it, see `state_at`.
        expire_time: When it ends by itself; before it is granted, until when somebody has to decide.
        is_told: Whether the mesh was told that time has ended it.
    """

    tenant_id: str
    support_access_id: str
    requester: str
    requester_tenant_id: str
    tenant_name: str
    requester_name: str
    requester_tenant_name: str
    reason: str
    roles: tuple[str, ...]
    duration: timedelta
    state: str
    create_time: datetime
    expire_time: datetime
    decided_by: str = ""
    decide_time: datetime | None = None
    refusal: str = ""
    ended_by: str = ""
    end_time: datetime | None = None
    is_told: bool = False

    def state_at(self, now: datetime) -> str:
        """Return how far it is by what was decided and what time it is."""
        is_running = self.state in {REQUESTED, APPROVED}
        return EXPIRED if is_running and now >= self.expire_time else self.state

    def is_of(self, subject: str, tenant_id: str) -> bool:
        """Tell whether somebody has asked for this."""
        return (self.requester, self.requester_tenant_id) == (subject, tenant_id)


def is_for_guests(pattern: str) -> bool:
    """Tell whether a guest may have what a pattern covers: nothing that lets anybody in."""
    return pattern.endswith(".read") or (pattern != "*" and not meet(pattern, "identity.*.*"))


def for_guests(patterns: Iterable[str]) -> frozenset[str]:
    """Return those patterns that a guest may have."""
    return frozenset(filter(is_for_guests, patterns))


def check_for_guests(name: str, patterns: Iterable[str]) -> None:
    """Refuse a role that decides who may come in, because a guest could make himself at home by it.

    Raises:
        NotAllowed: `ROLE_NOT_FOR_SUPPORT`.
    """
    beyond = next((pattern for pattern in sorted(patterns) if not is_for_guests(pattern)), "")
    if beyond:
        message = f"`{name}` includes `{beyond}`: who has it decides who may come in; ask for another role."
        raise NotAllowed("ROLE_NOT_FOR_SUPPORT", message, metadata={"permission": beyond})


def check_undecided(access: SupportAccess, now: datetime) -> None:
    """Refuse to decide what is decided.

    Raises:
        Precondition: `SUPPORT_ACCESS_DECIDED`.
    """
    state = access.state_at(now)
    if state != REQUESTED:
        raise Precondition(
            "SUPPORT_ACCESS_DECIDED", f"This access is {state} already; have it asked for anew."
        )


__all__ = [
    "APPROVED",
    "DEFAULT_DURATION",
    "EXPIRED",
    "REFUSED",
    "REQUESTED",
    "REVOKED",
    "TIME_TO_DECIDE",
    "SupportAccess",
    "check_for_guests",
    "check_undecided",
    "for_guests",
    "is_for_guests",
]
