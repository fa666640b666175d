"""What happened to people, sessions, groups and roles, told to the mesh without secrets."""

from collections.abc import Iterable, Mapping

from isthmus.identity.v1 import (
    access_pb2,
    identity_pb2,
    providers_pb2,
    quotas_pb2,
    sessions_pb2,
    support_pb2,
    users_pb2,
)
from isthmus.kit import DomainEvent, Outbox
from isthmus.services.identity.domain import ApiKey, Group, Provider, Role, Session, SupportAccess, User
from isthmus.services.identity.messages import (
    group_message,
    key_message,
    member_message,
    provider_message,
    role_message,
    session_message,
    support_message,
    user_message,
)
from sqlalchemy.ext.asyncio import AsyncConnection


class Events:
    """Stores events beside the changes they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def user(self, conn: AsyncConnection, verb: str, user: User, by: str) -> None:
        """Tell that a user was created, updated, deleted, locked out, or proves itself otherwise now."""
        payload = users_pb2.UserChanged(user=user_message(user), changed_by=by)
        await self._outbox.add(conn, DomainEvent(user.tenant_id, "user", verb, user.user_id, payload))

    async def session(self, conn: AsyncConnection, verb: str, session: Session, by: str) -> None:
        """Tell that a session was started or ended."""
        payload = sessions_pb2.SessionChanged(session=session_message(session), changed_by=by)
        event = DomainEvent(session.tenant_id, "session", verb, session.session_id, payload)
        await self._outbox.add(conn, event)

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
        payload = access_pb2.GroupChanged(
            group=group_message(group),
            added=map(member_message, added),
            removed=map(member_message, removed),
            changed_by=by,
        )
        await self._outbox.add(conn, DomainEvent(group.tenant_id, "group", verb, group.group_id, payload))

    async def role(self, conn: AsyncConnection, tenant_id: str, verb: str, role: Role, by: str) -> None:
        """Tell that a role of a tenant's own was created, updated or deleted."""
        payload = access_pb2.RoleChanged(role=role_message(role), changed_by=by)
        await self._outbox.add(conn, DomainEvent(tenant_id, "role", verb, role.role, payload))

    async def key(
        self, conn: AsyncConnection, verb: str, key: ApiKey, by: str, *, oddity: str = "", network: str = ""
    ) -> None:
        """Tell that an API key was created or revoked, ends soon, or was used unusually."""
        name = f"ODDITY_{oddity.upper() or 'UNSPECIFIED'}"
        payload = identity_pb2.ApiKeyChanged(
            key=key_message(key),
            changed_by=by,
            oddity=identity_pb2.ApiKeyChanged.Oddity.Value(name),
            network=network,
        )
        await self._outbox.add(conn, DomainEvent(key.tenant_id, "api_key", verb, key.api_key_id, payload))

    async def provider(self, conn: AsyncConnection, verb: str, provider: Provider, by: str) -> None:
        """Tell that a provider was created, updated or deleted."""
        payload = providers_pb2.ProviderChanged(provider=provider_message(provider), changed_by=by)
        event = DomainEvent(provider.tenant_id, "provider", verb, provider.provider_id, payload)
        await self._outbox.add(conn, event)

    async def support(self, conn: AsyncConnection, verb: str, access: SupportAccess, by: str) -> None:
        """Tell that access for a while was requested, approved, refused or revoked, or has expired."""
        state = "expired" if verb == "expired" else access.state
        payload = support_pb2.SupportAccessChanged(
            support_access=support_message(access, state), changed_by=by
        )
        event = DomainEvent(access.tenant_id, "support_access", verb, access.support_access_id, payload)
        await self._outbox.add(conn, event)

    async def quotas(self, conn: AsyncConnection, tenant_id: str, quotas: Mapping[str, int], by: str) -> None:
        """Tell that a tenant may have and do this much from now on."""
        payload = quotas_pb2.QuotasChanged(quotas=quotas_pb2.Quotas(**quotas), changed_by=by)
        await self._outbox.add(conn, DomainEvent(tenant_id, "quotas", "changed", tenant_id, payload))


__all__ = ["Events"]
