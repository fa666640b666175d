"""Makes tenants, each with an administrator who can let others in."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.kit import new_id
from isthmus.services.identity.domain import ApiKey, ServiceAccount, Tenant, mint
from isthmus.services.identity.domain.rules import DEFAULT_KEY_LIFE
from isthmus.services.identity.store import Rows


@dataclass(frozen=True, slots=True)
class Founded:
    """A new tenant and its administrator's key, which exists in clear only here."""

    tenant: Tenant
    api_key: str = field(repr=False)


async def found(
    rows: Rows,
    pepper: bytes,
    *,
    name: str,
    display_name: str,
    roles: tuple[str, ...],
    created_by: str,
    now: datetime,
) -> Founded:
    """Store a tenant, the service account `admin` in it, and an API key for that.

    Raises:
        AlreadyExists: `TENANT_NAME_TAKEN`.
    """
    tenant = Tenant(new_id("tnt"), name, display_name or name, create_time=now, update_time=now)
    admin = ServiceAccount(
        tenant_id=tenant.tenant_id,
        service_account_id=new_id("svc"),
        name="admin",
        description="Administers the tenant; made together with it.",
        roles=roles,
        is_disabled=False,
        created_by=created_by,
        create_time=now,
        update_time=now,
    )
    await rows.add_tenant(tenant)
    await rows.add_account(admin)
    _, text = await add_key(rows, pepper, admin, name="first", created_by=created_by, now=now)
    return Founded(tenant, text)


async def add_key(
    rows: Rows,
    pepper: bytes,
    account: ServiceAccount,
    *,
    name: str,
    created_by: str,
    now: datetime,
    expire_time: datetime | None = None,
    **bounds: Any,
) -> tuple[ApiKey, str]:
    """Store a new API key and return what is kept of it and its text.

    Args:
        rows: The transaction.
        pepper: The key of the keyed hash.
        account: Whose key.
        name: For people.
        created_by: Who makes it.
        now: The present moment.
        expire_time: When it ends; a year ahead when absent.
        bounds: What it is narrowed to: `permissions`, `allowed_networks`, `requests_per_second`.
    """
    api_key_id = new_id("key")
    text, digest = mint(api_key_id, pepper)
    key = ApiKey(
        tenant_id=account.tenant_id,
        api_key_id=api_key_id,
        service_account_id=account.service_account_id,
        name=name,
        digest=digest,
        expire_time=expire_time or now + DEFAULT_KEY_LIFE,
        created_by=created_by,
        create_time=now,
        **bounds,
    )
    await rows.add_key(key)
    return key, text


__all__ = ["Founded", "add_key", "found"]
