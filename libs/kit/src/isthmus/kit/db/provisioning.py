"""Creates a service's schema and roles."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """Where one service finds its schema.

    Attributes:
        url: For the run-time role.
        owner_url: For migrations.
    """

    url: str
    owner_url: str


async def provision(admin_url: str, passwords: Mapping[str, str]) -> dict[str, ServiceDatabase]:
    """Create schema and roles for many services on one connection; repeating it changes nothing.

    Args:
        admin_url: PostgreSQL as a role that may create roles, `postgresql://…/database`.
        passwords: Password of the owner and run-time roles by service name.

    Returns:
        The URLs each service needs, by service name.
    """
    raise NotImplementedError


__all__ = ["ServiceDatabase", "provision"]
