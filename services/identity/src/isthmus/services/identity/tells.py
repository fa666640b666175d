"""What the service wants to have told; `events` tells it."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from isthmus.services.identity.domain import ApiKey, Group, Provider, Role, Session, SupportAccess, User
from sqlalchemy.ext.asyncio import AsyncConnection


class Tells(Protocol):
    """Tells the mesh what happened, in the transaction in which it did."""

    async def user(self, conn: AsyncConnection, verb: str, user: User, by: str) -> None:
        """Tell that a user was created, updated, deleted, locked out, or proves itself otherwise now."""

    async def session(self, conn: AsyncConnection, verb: str, session: Session, by: str) -> None:
        """Tell that a session was started or ended."""

    async def group(
        self,
        conn: AsyncConnection,
        verb: str,
        group: Group,
        by: str,
        *,
        added: Iterable[str] = (),
        removed: Iterable[str] = (),
    ) -> None:
        """Tell that a group was created, updated or deleted, or that its members changed."""

    async def role(self, conn: AsyncConnection, tenant_id: str, verb: str, role: Role, by: str) -> None:
        """Tell that a role of a tenant's own was created, updated or deleted."""

    async def key(
        self, conn: AsyncConnection, verb: str, key: ApiKey, by: str, *, oddity: str = "", network: str = ""
    ) -> None:
        """Tell that an API key was created or revoked, ends soon, or was used unusually."""

    async def provider(self, conn: AsyncConnection, verb: str, provider: Provider, by: str) -> None:
        """Tell that a provider was created, updated or deleted."""

    async def support(self, conn: AsyncConnection, verb: str, access: SupportAccess, by: str) -> None:
        """Tell that access for a while was requested, approved, refused or revoked, or has expired."""

    async def quotas(self, conn: AsyncConnection, tenant_id: str, quotas: Mapping[str, int], by: str) -> None:
        """Tell that a tenant may have and do this much from now on."""


__all__ = ["Tells"]
