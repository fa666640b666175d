"""What callers may do: the union of their roles, wherever they have them from."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from isthmus.resilience.faults import NotAllowed
from isthmus.services.identity.domain.contract import CONTRACT
from isthmus.services.identity.domain.mesh import MESH_ONLY
from isthmus.services.identity.domain.model import Role
from isthmus.services.identity.domain.roles import BUILT_IN, DECLARED, permissions_of, unknown_role

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_PATTERN = re.compile(r"(?:[a-z][a-z0-9_]*|\*)(?:\.(?:[a-z][a-z0-9_]*|\*)){2}", re.ASCII)

Known = Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Group:
    """Users and service accounts that have roles together."""

    tenant_id: str
    group_id: str
    name: str
    description: str
    external_id: str
    roles: tuple[str, ...]
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody holds.

    Attributes:
        roles: Names of all roles, those of groups included.
        patterns: Permissions of those roles that are the tenant's own.
    """

    roles: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def permissions(self) -> frozenset[str]:
        """The patterns of all roles together; a role that is gone grants nothing."""
        return permissions_of(self.roles) | {*self.patterns}


def check_grant(roles: Iterable[str], may: Callable[[str], bool], own: Known | None = None) -> None:
    """Let a caller give roles no wider than what it may do itself.

    Args:
        roles: Names of the roles to give.
        may: Tells whether the caller holds a permission or a whole pattern.
        own: The tenant's own roles by name.

    Raises:
        Missing: `ROLE_UNKNOWN`.
        NotAllowed: `ROLE_EXCEEDS_CALLER`.
    """
    for name in roles:
        role = BUILT_IN.get(name) or (own or {}).get(name)
        if role is None:
            raise unknown_role(name)
        check_within(role.permissions, may, f"You cannot give `{name}`")


def check_within(patterns: Iterable[str], may: Callable[[str], bool], what: str) -> None:
    """Refuse what goes beyond a caller's own permissions.

    Args:
        patterns: What somebody would get by it.
        may: Tells whether the caller holds a permission or a whole pattern.
        what: Begins the message, for example "You cannot give `auditor`".

    Raises:
        NotAllowed: `ROLE_EXCEEDS_CALLER`.
    """
    beyond = next((pattern for pattern in sorted(patterns) if not may(pattern)), "")
    if beyond:
        message = f"{what}: it includes `{beyond}`, which you do not have."
        raise NotAllowed("ROLE_EXCEEDS_CALLER", message, metadata={"permission": beyond})


def is_role_name(name: str) -> bool:
    """Tell whether a role of a tenant's own may be called so."""
    return _ROLE_NAME.fullmatch(name) is not None and name not in BUILT_IN


def pattern_trouble(pattern: str) -> str:
    """Say what is wrong with a pattern for a tenant's own role; empty when nothing is."""
    if not _PATTERN.fullmatch(pattern):
        return f"Write `{pattern[:100]}` as `service.entity.verb`, with `*` for any one of them."
    if any(meet(pattern, theirs) for theirs in MESH_ONLY):
        return f"Narrow `{pattern}`: it includes what belongs to processes of the mesh."
    if not any(meet(pattern, permission) for permission in (*CONTRACT, *DECLARED)):
        return f"No call asks for `{pattern}`; docs/permissions.md lists what there is."
    return ""


def meet(one: str, other: str) -> bool:
    """Tell whether two patterns have a permission in common."""
    pairs = zip(one.split("."), other.split("."), strict=True)
    return all(left == right or "*" in {left, right} for left, right in pairs)


def narrowed(held: Iterable[str], scope: Iterable[str]) -> frozenset[str]:
    """Return what both the holder's patterns and a key's scope allow."""
    return frozenset(found for one in held for other in scope if (found := _common(one, other)))


def _common(one: str, other: str) -> str:
    if one == "*" or other == "*":
        return other if one == "*" else one
    left, right = one.split("."), other.split(".")
    if len(left) != len(right) or not meet(one, other):
        return ""
    return ".".join(b if a == "*" else a for a, b in zip(left, right, strict=True))


__all__ = [
    "Access",
    "Group",
    "check_grant",
    "check_within",
    "is_role_name",
    "meet",
    "narrowed",
    "pattern_trouble",
]
