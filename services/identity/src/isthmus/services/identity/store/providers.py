"""OpenID Connect providers, and logins that have begun with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.identity.domain import Provider
from isthmus.services.identity.store.statements import Statements, fields, window
from sqlalchemy.exc import IntegrityError

_COLUMNS = tuple(Provider.__dataclass_fields__)
_CHANGING = tuple(
    name for name in _COLUMNS if name not in {"tenant_id", "provider_id", "name", "created_by", "create_time"}
)


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """A login that waits for the browser to come back."""

    tenant_id: str
    digest: bytes = field(repr=False)
    provider_id: str
    nonce: str = field(repr=False)
    sealed_verifier: str = field(repr=False)
    redirect_uri: str
    expire_time: datetime
    sealed_claims: str = field(repr=False, default="")
    shown_digest: bytes = field(repr=False, default=b"")


class Providers(Statements):
    """The providers that one transaction sees."""

    async def add(self, provider: Provider) -> None:
        """Store a provider.

        Raises:
            AlreadyExists: `PROVIDER_NAME_TAKEN` or `AUDIENCE_TAKEN`.
        """
        values = ", ".join(_value(name) for name in _COLUMNS)
        sql = f"""insert into providers ({", ".join(_COLUMNS)}) values ({values})
            on conflict (tenant_id, name) do nothing returning 1"""
        if not await self._kept(sql, provider):
            message = f"There is a provider `{provider.name}` already; choose another name."
            raise AlreadyExists("PROVIDER_NAME_TAKEN", message, path="provider.name")

    async def find(self, provider_id: str, *, lock: bool = False) -> Provider | None:
        """Return a provider or None; `lock` keeps others from changing it meanwhile."""
        sql = "select * from providers where provider_id = :p" + (" for update" if lock else "")
        rows = await self._all(sql, p=provider_id)
        return _provider(rows[0]) if rows else None

    async def get(self, provider_id: str) -> Provider:
        """Return a provider; nobody else changes it until the transaction ends.

        Raises:
            Missing: `PROVIDER_UNKNOWN`.
        """
        provider = await self.find(provider_id, lock=True)
        if provider is None:
            message = f"There is no provider `{provider_id}` in this tenant; ListProviders shows them."
            raise Missing("PROVIDER_UNKNOWN", message, path="provider_id")
        return provider

    async def page(self, page: PageRequest) -> list[Provider]:
        """Return providers, oldest first, one more than the page holds."""
        sql = "select * from providers where provider_id > :after order by provider_id limit :limit"
        return [_provider(row) for row in await self._all(sql, **window(page))]

    async def save(self, provider: Provider) -> Provider:
        """Replace what may change of a provider and return it with its next revision.

        Raises:
            AlreadyExists: `AUDIENCE_TAKEN`.
        """
        changed = replace(provider, revision=provider.revision + 1)
        sets = ", ".join(f"{name} = {_value(name)}" for name in _CHANGING)
        sql = f"""update providers set {sets} where tenant_id = :tenant_id and provider_id = :provider_id
            returning 1"""
        await self._kept(sql, changed)
        return changed

    async def remove(self, provider: Provider) -> None:
        """Delete a provider with the logins that have begun with it."""
        sql = "delete from providers where tenant_id = :t and provider_id = :p"
        await self._run(sql, t=provider.tenant_id, p=provider.provider_id)

    async def by_names(self, tenant_name: str, name: str) -> Provider | None:
        """Find a provider by the names of tenant and provider; no tenant's name means the first tenant."""
        sql = """select p.* from providers p where p.name = :name and p.tenant_id = (
            select tenant_id from tenants where :tenant in ('', name) order by tenant_id limit 1)"""
        rows = await self._all(sql, tenant=tenant_name, name=name)
        return _provider(rows[0]) if rows else None

    async def by_audience(self, issuer: str, audiences: list[str]) -> Provider | None:
        """Find the provider whose tokens for one of these audiences count."""
        sql = "select * from providers where issuer = :i and audience = any(:a) and audience <> '' limit 1"
        rows = await self._all(sql, i=issuer, a=audiences)
        return _provider(rows[0]) if rows else None

    async def begin(self, login: BegunLogin) -> None:
        """Store a login that has begun, and forget those that nobody has completed in time."""
        sql = """with old as (delete from provider_logins where expire_time < now())
            insert into provider_logins (tenant_id, digest, provider_id, nonce, sealed_verifier, redirect_uri,
                expire_time, sealed_claims, shown_digest)
            values (:tenant_id, :digest, :provider_id, :nonce, :sealed_verifier, :redirect_uri,
                :expire_time, :sealed_claims, :shown_digest)"""
        await self._run(sql, **fields(login))

    async def complete(self, digest: bytes, now: datetime) -> BegunLogin | None:
        """Take a login that has begun; it can be taken once."""
        rows = await self._all("delete from provider_logins where digest = :d returning *", d=digest)
        if not rows or rows[0]["expire_time"] < now:
            return None
        return _login(rows[0])

    async def arrive(self, digest: bytes, redirect_uri: str, now: datetime) -> BegunLogin | None:
        """Take a login whose browser comes back there, to be kept again with what it has brought."""
        sql = """delete from provider_logins where digest = :d and redirect_uri = :uri and sealed_claims = ''
            and expire_time > :now returning *"""
        rows = await self._all(sql, d=digest, uri=redirect_uri, now=now)
        return _login(rows[0]) if rows else None

    async def _kept(self, sql: str, provider: Provider) -> bool:
        mappings = {value: list(roles) for value, roles in provider.role_mappings.items()}
        values = {**fields(replace(provider, role_mappings={})), "role_mappings": json.dumps(mappings)}
        try:
            return bool(await self._all(sql, **values))
        except IntegrityError as error:
            message = (
                f"Tokens of `{provider.issuer}` for `{provider.audience}` belong to another provider already."
            )
            raise AlreadyExists("AUDIENCE_TAKEN", message, path="provider.audience") from error


def _login(row: Mapping[str, Any]) -> BegunLogin:
    return BegunLogin(**{**row, **{name: bytes(row[name]) for name in ("digest", "shown_digest")}})


def _value(name: str) -> str:
    return "cast(:role_mappings as jsonb)" if name == "role_mappings" else f":{name}"


def _provider(row: Mapping[str, Any]) -> Provider:
    listed = {name: tuple(row[name]) for name in ("scopes", "redirect_uris")}
    mappings = {value: tuple(roles) for value, roles in row["role_mappings"].items()}
    return Provider(**{**{name: row[name] for name in _COLUMNS}, **listed, "role_mappings": mappings})


__all__ = ["BegunLogin", "Providers"]
