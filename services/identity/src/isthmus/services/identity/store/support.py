"""Accesses for a while, as both sides see them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import Missing
from isthmus.services.identity.domain import Access, SupportAccess, Tenant
from isthmus.services.identity.store.access import access, access_of
from isthmus.services.identity.store.statements import Statements, fields

_COLUMNS = tuple(SupportAccess.__dataclass_fields__)
_CHANGING = (
    "state",
    "expire_time",
    "decided_by",
    "decide_time",
    "refusal",
    "ended_by",
    "end_time",
    "is_told",
)
_HELD = access_of("s.tenant_id", "'support:' || s.support_access_id", "s.roles")
_KEPT = "400 days"


@dataclass(frozen=True, slots=True)
class Guest:
    """What is known about who calls under an access.

    Attributes:
        access: Under which one.
        held: What its roles add up to.
        is_welcome: Whether who has asked for it is still somebody, and still in at home.
    """

    access: SupportAccess
    held: Access
    is_welcome: bool


class SupportAccesses(Statements):
    """The accesses that one transaction sees."""

    async def add(self, found: SupportAccess) -> None:
        """Store an access that was asked for."""
        names = ", ".join(_COLUMNS)
        values = ", ".join(f":{name}" for name in _COLUMNS)
        await self._run(f"insert into support_accesses ({names}) values ({values})", **fields(found))

    async def save(self, changed: SupportAccess) -> SupportAccess:
        """Replace what may change of an access."""
        sets = ", ".join(f"{name} = :{name}" for name in _CHANGING)
        sql = f"""update support_accesses set {sets}
            where tenant_id = :tenant_id and support_access_id = :support_access_id"""
        await self._run(sql, **fields(changed))
        return changed

    async def find(self, support_access_id: str) -> SupportAccess | None:
        """Return an access or None."""
        sql = "select * from support_accesses where support_access_id = :s"
        rows = await self._all(sql, s=support_access_id)
        return _support(rows[0]) if rows else None

    async def get(self, support_access_id: str) -> SupportAccess:
        """Return an access; nobody else changes it until the transaction ends.

        Raises:
            Missing: `SUPPORT_ACCESS_UNKNOWN`.
        """
        sql = "select * from support_accesses where support_access_id = :s for update"
        rows = await self._all(sql, s=support_access_id)
        if not rows:
            raise unknown_access(support_access_id)
        return _support(rows[0])

    async def page(self, page: PageRequest) -> list[SupportAccess]:
        """Return accesses to the tenant, newest first, one more than the page holds."""
        return await self._page(page, "true")

    async def page_of(self, requester: str, tenant_id: str, page: PageRequest) -> list[SupportAccess]:
        """Return what somebody has asked for, newest first, one more than the page holds."""
        theirs = "requester_tenant_id = :home and requester = :requester"
        return await self._page(page, theirs, home=tenant_id, requester=requester)

    async def _page(self, page: PageRequest, which: str, **values: str) -> list[SupportAccess]:
        sql = f"""select * from support_accesses
            where {which} and (:before = '' or support_access_id < :before)
            order by support_access_id desc limit :limit"""
        before = (page.after or {}).get("id", "")
        rows = await self._all(sql, before=before, limit=page.size + 1, **values)
        return [_support(row) for row in rows]

    async def guest(self, tenant_id: str, support_access_id: str, home_session_id: str) -> Guest | None:
        """Return what is known about who calls under an access; None when there is none such.

        Args:
            tenant_id: The tenant that the access opens.
            support_access_id: Which access.
            home_session_id: The session in which the token was asked for; empty where it was by a key.
        """
        sql = f"""select s.*, held_roles, held_patterns,
                (exists (select from users u where u.tenant_id = s.requester_tenant_id
                    and s.requester = 'user:' || u.user_id and not u.is_disabled)
                or exists (select from service_accounts a where a.tenant_id = s.requester_tenant_id
                    and s.requester = 'service_account:' || a.service_account_id and not a.is_disabled))
                and (:session = '' or exists (select from sessions e
                    where e.tenant_id = s.requester_tenant_id and e.session_id = :session
                    and e.end_time is null and e.expire_time > now())) as is_welcome
            from support_accesses s {_HELD} where s.tenant_id = :t and s.support_access_id = :s"""
        rows = await self._all(sql, t=tenant_id, s=support_access_id, session=home_session_id)
        return Guest(_support(rows[0]), access(rows[0]), rows[0]["is_welcome"]) if rows else None

    async def tenant_named(self, name: str) -> Tenant:
        """Return a tenant by its name.

        Raises:
            Missing: `TENANT_UNKNOWN`.
        """
        rows = await self._all("select * from tenants where name = :name", name=name)
        if not rows:
            message = f"There is no tenant `{name}`; ListTenants shows them."
            raise Missing("TENANT_UNKNOWN", message, path="tenant_name")
        return Tenant(**rows[0])

    async def patterns(self, tenant_id: str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return what those of a tenant's own roles allow that are named."""
        sql = "select role, permissions from roles where tenant_id = :t and role = any(:names)"
        rows = await self._all(sql, t=tenant_id, names=list(names))
        return {row["role"]: tuple(row["permissions"]) for row in rows}

    async def name_of(self, tenant_id: str, subject: str) -> str:
        """Return the name of a user or a service account; empty when there is none such."""
        sql = """select name from users where tenant_id = :t and 'user:' || user_id = :s
            union all select name from service_accounts
            where tenant_id = :t and 'service_account:' || service_account_id = :s"""
        rows = await self._all(sql, t=tenant_id, s=subject)
        return rows[0]["name"] if rows else ""

    async def run_out(self, now: datetime) -> list[SupportAccess]:
        """Return those that time has ended since the last look, and forget those that are long over."""
        await self._run(f"delete from support_accesses where create_time < now() - interval '{_KEPT}'")
        sql = """update support_accesses set is_told = true
            where not is_told and state in ('requested', 'approved') and expire_time <= :now returning *"""
        return [_support(row) for row in await self._all(sql, now=now)]


def unknown_access(support_access_id: str) -> Missing:
    """Build the answer about an access that is not there."""
    message = f"Nobody has asked for access `{support_access_id[:100]}` here; list them."
    return Missing("SUPPORT_ACCESS_UNKNOWN", message, path="support_access_id")


def _support(row: Mapping[str, Any]) -> SupportAccess:
    return SupportAccess(**{**{name: row[name] for name in _COLUMNS}, "roles": tuple(row["roles"])})


__all__ = ["Guest", "SupportAccesses", "unknown_access"]
