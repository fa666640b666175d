"""Tenants, service accounts and API keys.

Tenant names are unique in the whole installation, which is the one unique key
here that does not begin with the tenant: only administrators of the
installation choose names, and they see all of them anyway.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.kit.redacting import NOTHING_ELSE, Redactor
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.identity.domain import ApiKey, KeyRecord, ServiceAccount, Tenant
from isthmus.services.identity.store.access import access, access_of
from isthmus.services.identity.store.keys import key_of
from isthmus.services.identity.store.statements import Statements, fields, window

_ACCOUNT = (
    "tenant_id, service_account_id, name, description, roles, is_disabled, created_by, create_time, "
    "update_time, revision"
)
_KEY = tuple(ApiKey.__dataclass_fields__)
_HELD = access_of("a.tenant_id", "'service_account:' || a.service_account_id", "a.roles")
_KEY_RECORD = f"""
    select k.*, {", ".join(f"a.{name} as a_{name}" for name in ServiceAccount.__dataclass_fields__)},
        held_roles, held_patterns
    from api_keys k join service_accounts a using (tenant_id, service_account_id)
    {_HELD} where k.api_key_id = :k"""


class Store:
    """Opens units of work on the service's tables."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.redactor = Redactor(db, NOTHING_ELSE)
        """Takes people out of what is kept for repeated requests and of events."""

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator["Rows"]:
        """Open a transaction that sees one tenant."""
        async with self._db.tenant(tenant_id) as conn:
            yield Rows(conn)

    @asynccontextmanager
    async def everything(self) -> AsyncIterator["Rows"]:
        """Open a transaction that sees all tenants; for keys whose tenant is not known yet."""
        async with self._db.system() as conn:
            yield Rows(conn)

    @asynccontextmanager
    async def exclusive(self, purpose: str) -> AsyncIterator[None]:
        """Hold a lock that all replicas of the service share, until the block ends."""
        async with self.everything() as rows:
            await rows.lock(purpose)
            yield


class Rows(Statements):
    """The rows that one transaction sees."""

    async def lock(self, purpose: str) -> None:
        """Wait for a lock on `purpose` and keep it until the transaction ends."""
        await self._run("select pg_advisory_xact_lock(hashtextextended(:p, 0))", p=f"identity:{purpose}")

    async def first_tenant(self) -> Tenant | None:
        """Return the tenant that the installation began with."""
        rows = await self._all("select * from tenants order by tenant_id limit 1")
        return _tenant(rows[0]) if rows else None

    async def add_tenant(self, tenant: Tenant) -> None:
        """Store a tenant.

        Raises:
            AlreadyExists: `TENANT_NAME_TAKEN`.
        """
        sql = """insert into tenants (tenant_id, name, display_name, create_time, update_time, revision)
            values (:tenant_id, :name, :display_name, :create_time, :update_time, :revision)
            on conflict (name) do nothing returning 1"""
        if not await self._all(sql, **fields(tenant)):
            message = f"There is a tenant `{tenant.name}` already; choose another name."
            raise AlreadyExists("TENANT_NAME_TAKEN", message, path="name")

    async def tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant.

        Raises:
            Missing: `TENANT_UNKNOWN`.
        """
        rows = await self._all("select * from tenants where tenant_id = :t", t=tenant_id)
        if not rows:
            message = f"There is no tenant `{tenant_id}` that you may see; ListTenants shows them."
            raise Missing("TENANT_UNKNOWN", message, path="tenant_id")
        return _tenant(rows[0])

    async def tenants(self, page: PageRequest) -> list[Tenant]:
        """Return tenants, oldest first, one more than the page holds."""
        sql = "select * from tenants where tenant_id > :after order by tenant_id limit :limit"
        return [_tenant(row) for row in await self._all(sql, **window(page))]

    async def add_account(self, account: ServiceAccount) -> None:
        """Store a service account.

        Raises:
            AlreadyExists: `SERVICE_ACCOUNT_NAME_TAKEN`.
        """
        sql = f"""insert into service_accounts ({_ACCOUNT})
            values (:tenant_id, :service_account_id, :name, :description, :roles, :is_disabled, :created_by,
                :create_time, :update_time, :revision)
            on conflict (tenant_id, name) do nothing returning 1"""
        if not await self._all(sql, **fields(account)):
            message = f"There is a service account `{account.name}` already; choose another name."
            raise AlreadyExists("SERVICE_ACCOUNT_NAME_TAKEN", message, path="name")

    async def find_account(self, account_id: str, *, lock: bool = False) -> ServiceAccount | None:
        """Return a service account or None; `lock` keeps others from changing it meanwhile."""
        sql = "select * from service_accounts where service_account_id = :a"
        rows = await self._all(sql + (" for update" if lock else ""), a=account_id)
        return _account(rows[0]) if rows else None

    async def account(self, account_id: str, *, lock: bool = False) -> ServiceAccount:
        """Return a service account.

        Raises:
            Missing: `SERVICE_ACCOUNT_UNKNOWN`.
        """
        account = await self.find_account(account_id, lock=lock)
        if account is None:
            message = (
                f"There is no service account `{account_id}` in this tenant; list them to see their ids."
            )
            raise Missing("SERVICE_ACCOUNT_UNKNOWN", message, path="service_account_id")
        return account

    async def accounts(self, page: PageRequest) -> list[ServiceAccount]:
        """Return service accounts, oldest first, one more than the page holds."""
        sql = """select * from service_accounts where service_account_id > :after
            order by service_account_id limit :limit"""
        return [_account(row) for row in await self._all(sql, **window(page))]

    async def save_account(self, account: ServiceAccount) -> ServiceAccount:
        """Replace what may change of a service account and return it with its next revision."""
        changed = replace(account, revision=account.revision + 1)
        sql = """update service_accounts set description = :description, roles = :roles,
            is_disabled = :is_disabled, update_time = :update_time, revision = :revision
            where tenant_id = :tenant_id and service_account_id = :service_account_id"""
        await self._run(sql, **fields(changed))
        return changed

    async def remove_account(self, account: ServiceAccount, now: datetime) -> None:
        """Delete a service account; its keys stay, revoked, so that a key found later can be named."""
        revoke = """update api_keys set revoke_time = coalesce(revoke_time, :now)
            where tenant_id = :t and service_account_id = :a"""
        delete = """with gone as (delete from group_members
                where tenant_id = :t and member = 'service_account:' || :a)
            delete from service_accounts where tenant_id = :t and service_account_id = :a"""
        ids = {"t": account.tenant_id, "a": account.service_account_id}
        await self._run(revoke, now=now, **ids)
        await self._run(delete, **ids)

    async def add_key(self, key: ApiKey) -> None:
        """Store what is kept of an API key."""
        sql = f"""insert into api_keys ({", ".join(_KEY)})
            values ({", ".join(f":{name}" for name in _KEY)})"""
        await self._run(sql, **fields(key))

    async def keys(self, page: PageRequest, account_id: str) -> list[ApiKey]:
        """Return API keys, oldest first, one more than the page holds; all accounts' when none is named."""
        sql = """select * from api_keys where api_key_id > :after
            and (:account = '' or service_account_id = :account) order by api_key_id limit :limit"""
        return [key_of(row) for row in await self._all(sql, account=account_id, **window(page))]

    async def revoke_key(self, api_key_id: str, now: datetime) -> ApiKey:
        """End an API key, or return it as it is when it has ended before.

        Raises:
            Missing: `API_KEY_UNKNOWN`.
        """
        sql = """update api_keys set revoke_time = coalesce(revoke_time, :now) where api_key_id = :k
            returning *"""
        rows = await self._all(sql, k=api_key_id, now=now)
        if not rows:
            message = f"There is no API key `{api_key_id}` in this tenant; ListApiKeys shows them."
            raise Missing("API_KEY_UNKNOWN", message, path="api_key_id")
        return key_of(rows[0])

    async def key_record(self, api_key_id: str) -> KeyRecord | None:
        """Return a key together with its account and what that holds, or None when either is gone."""
        rows = await self._all(_KEY_RECORD, k=api_key_id)
        if not rows:
            return None
        row = rows[0]
        account = {name: row[f"a_{name}"] for name in ServiceAccount.__dataclass_fields__}
        key = {name: row[name] for name in ApiKey.__dataclass_fields__}
        return KeyRecord(key_of(key), _account(account), access(row))


def _tenant(row: Mapping[str, Any]) -> Tenant:
    return Tenant(**row)


def _account(row: Mapping[str, Any]) -> ServiceAccount:
    return ServiceAccount(**{**row, "roles": tuple(row["roles"])})


__all__ = ["Rows", "Store"]
