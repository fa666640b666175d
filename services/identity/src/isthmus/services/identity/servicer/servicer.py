"""The RPCs of `IdentityService`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from google.protobuf.duration_pb2 import Duration
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import identity_pb2_grpc as pb_grpc
from isthmus.identity.v1 import quotas_pb2
from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.quotas import check_room
from isthmus.kit.validation import validating
from isthmus.services.identity.domain import BUILT_IN, ServiceAccount, check_within, narrowed
from isthmus.services.identity.founding import add_key, found
from isthmus.services.identity.messages import key_message, role_message
from isthmus.services.identity.pepper import Pepper, derived
from isthmus.services.identity.servicer import checks, convert
from isthmus.services.identity.servicer.access import grant
from isthmus.services.identity.store import Roles, Rows, Store
from isthmus.services.identity.tells import Tells
from isthmus.services.identity.verifier import Verifier

_FIRST_ADMIN = ("tenant_admin", "installation_admin")
_SEES_ALL_TENANTS = "identity.tenants.create"


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Answers who callers are and keeps the accounts of tenants."""

    def __init__(
        self, store: Store, pepper: Pepper, verifier: Verifier, *, events: Tells, clock: Clock
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._verifier = verifier
        self._events = events
        self._clock = clock

    async def Bootstrap(self, request: pb.BootstrapRequest, context: Any) -> pb.BootstrapResponse:
        """Make the first tenant, or tell which it is."""
        name = request.tenant_name or "default"
        checks.tenant("tenant_name", name)
        pepper = await self._pepper.get()
        async with self._store.everything() as rows:
            await rows.lock("bootstrap")
            first = await rows.first_tenant()
            if first is not None:
                return pb.BootstrapResponse(tenant=convert.tenant(first))
            founded = await found(
                rows,
                pepper,
                name=name,
                display_name="",
                roles=_FIRST_ADMIN,
                created_by=current_principal().subject,
                now=self._clock.now(),
            )
            tell(target=founded.tenant.tenant_id, after=convert.tenant(founded.tenant))
        return pb.BootstrapResponse(tenant=convert.tenant(founded.tenant), api_key=founded.api_key)

    async def AuthenticateCaller(
        self, request: pb.AuthenticateCallerRequest, context: Any
    ) -> pb.AuthenticateCallerResponse:
        """Tell whose API key or access token it is."""
        caller = await self._verifier.caller(
            request.access_token or request.api_key, request.client_address, request.calls
        )
        max_age = Duration()
        max_age.FromMilliseconds(round(caller.max_age * 1000))
        return pb.AuthenticateCallerResponse(
            caller=convert.caller(caller),
            max_age=max_age,
            requests_per_second=caller.rate,
            quotas=quotas_pb2.Quotas(**caller.quotas),
        )

    async def DeriveKey(self, request: pb.DeriveKeyRequest, context: Any) -> pb.DeriveKeyResponse:
        """Derive a key for a service of the mesh."""
        with validating() as check:
            check.enum("purpose", request.purpose, known=pb.DeriveKeyRequest.Purpose.values())
        caller, pepper = current_principal(), await self._pepper.get()
        purpose = pb.DeriveKeyRequest.Purpose.Name(request.purpose)
        return pb.DeriveKeyResponse(key=derived(pepper, caller.subject, caller.tenant_id, purpose))

    async def GetCaller(self, request: pb.GetCallerRequest, context: Any) -> pb.GetCallerResponse:
        """Tell the caller who it is."""
        return pb.GetCallerResponse(caller=convert.principal(current_principal()))

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Any) -> pb.CreateTenantResponse:
        """Make a tenant; the key is shown to the first call with this request id only."""
        checks.new_tenant(request)
        pepper = await self._pepper.get()
        shown = ""

        async def produce() -> pb.CreateTenantResponse:
            nonlocal shown
            founded = await found(
                rows,
                pepper,
                name=request.name,
                display_name=request.display_name,
                roles=("tenant_admin",),
                created_by=current_principal().subject,
                now=self._clock.now(),
            )
            shown = founded.api_key
            made = convert.tenant(founded.tenant)
            tell(target=made.tenant_id, after=made)
            return pb.CreateTenantResponse(tenant=made)

        async with self._store.everything() as rows:
            response = await once(rows.conn, "CreateTenant", request, produce, pb.CreateTenantResponse)
        response.api_key = shown
        return response

    async def GetTenant(self, request: pb.GetTenantRequest, context: Any) -> pb.GetTenantResponse:
        """Read a tenant."""
        wanted = request.tenant_id or current_principal().tenant_id
        async with self._visible_tenants() as rows:
            return pb.GetTenantResponse(tenant=convert.tenant(await rows.tenant(wanted)))

    async def ListTenants(self, request: pb.ListTenantsRequest, context: Any) -> pb.ListTenantsResponse:
        """List tenants."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._visible_tenants() as rows:
            shown = Page.of(await rows.tenants(page), page, lambda row: {"id": row.tenant_id})
        return pb.ListTenantsResponse(
            tenants=map(convert.tenant, shown.items), next_page_token=shown.next_token
        )

    async def CreateServiceAccount(
        self, request: pb.CreateServiceAccountRequest, context: Any
    ) -> pb.CreateServiceAccountResponse:
        """Make a service account."""
        checks.new_account(request)
        caller = current_principal()

        async def produce() -> pb.CreateServiceAccountResponse:
            now = self._clock.now()
            account = ServiceAccount(
                tenant_id=caller.tenant_id,
                service_account_id=new_id("svc"),
                name=request.name,
                description=request.description,
                roles=tuple(dict.fromkeys(request.roles)),
                is_disabled=False,
                created_by=caller.subject,
                create_time=now,
                update_time=now,
            )
            await check_room(
                rows.conn, "service_accounts", caller.quotas.service_accounts, "service_accounts"
            )
            await rows.add_account(account)
            made = convert.account(account)
            tell(target=made.service_account_id, after=made)
            return pb.CreateServiceAccountResponse(service_account=made)

        async with self._own() as rows:
            await grant(rows, request.roles)
            return await once(
                rows.conn, "CreateServiceAccount", request, produce, pb.CreateServiceAccountResponse
            )

    async def GetServiceAccount(
        self, request: pb.GetServiceAccountRequest, context: Any
    ) -> pb.GetServiceAccountResponse:
        """Read a service account."""
        async with self._own() as rows:
            account = await rows.account(request.service_account_id)
        return pb.GetServiceAccountResponse(service_account=convert.account(account))

    async def ListServiceAccounts(
        self, request: pb.ListServiceAccountsRequest, context: Any
    ) -> pb.ListServiceAccountsResponse:
        """List service accounts."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            shown = Page.of(await rows.accounts(page), page, lambda row: {"id": row.service_account_id})
        return pb.ListServiceAccountsResponse(
            service_accounts=map(convert.account, shown.items), next_page_token=shown.next_token
        )

    async def UpdateServiceAccount(
        self, request: pb.UpdateServiceAccountRequest, context: Any
    ) -> pb.UpdateServiceAccountResponse:
        """Replace description, roles and state of a service account."""
        checks.changed_account(request)
        async with self._own() as rows:
            account = await rows.account(request.service_account_id, lock=True)
            check_etag(request.etag, account.revision)
            await grant(rows, {*request.roles} - {*account.roles})
            changed = replace(
                account,
                description=request.description,
                roles=tuple(dict.fromkeys(request.roles)),
                is_disabled=request.is_disabled,
                update_time=self._clock.now(),
            )
            stored = convert.account(await rows.save_account(changed))
            tell(before=convert.account(account), after=stored)
        return pb.UpdateServiceAccountResponse(service_account=stored)

    async def DeleteServiceAccount(
        self, request: pb.DeleteServiceAccountRequest, context: Any
    ) -> pb.DeleteServiceAccountResponse:
        """Delete a service account and revoke its keys."""
        async with self._own() as rows:
            account = await rows.find_account(request.service_account_id, lock=True)
            if account is not None:
                check_etag(request.etag, account.revision)
                await rows.remove_account(account, self._clock.now())
                tell(before=convert.account(account))
        return pb.DeleteServiceAccountResponse()

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Any) -> pb.CreateApiKeyResponse:
        """Make an API key; it is shown to the first call with this request id only."""
        now = self._clock.now()
        expire_time = convert.moment(request.expire_time) if request.HasField("expire_time") else None
        checks.new_key(request, expire_time, now)
        pepper = await self._pepper.get()
        caller = current_principal()
        shown = ""

        async def produce() -> pb.CreateApiKeyResponse:
            nonlocal shown
            account = await rows.account(request.service_account_id, lock=True)
            held = await Roles(rows.conn).held(account.tenant_id, account.subject, account.roles)
            opened = (
                narrowed(held.permissions, request.permissions) if request.permissions else held.permissions
            )
            check_within(opened, caller.may, f"You cannot make this key of `{account.name}`")
            await check_room(rows.conn, "api_keys", caller.quotas.api_keys, "api_keys", "revoke_time is null")
            key, shown = await add_key(
                rows,
                pepper,
                account,
                name=request.name,
                created_by=caller.subject,
                now=now,
                expire_time=expire_time,
                permissions=tuple(dict.fromkeys(request.permissions)),
                allowed_networks=tuple(dict.fromkeys(request.allowed_networks)),
                requests_per_second=request.requests_per_second,
            )
            await self._events.key(rows.conn, "created", key, caller.subject)
            return pb.CreateApiKeyResponse(key=key_message(key))

        async with self._own() as rows:
            response = await once(rows.conn, "CreateApiKey", request, produce, pb.CreateApiKeyResponse)
        response.api_key = shown
        return response

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Any) -> pb.ListApiKeysResponse:
        """List API keys."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found_keys = await rows.keys(page, request.service_account_id)
        shown = Page.of(found_keys, page, lambda row: {"id": row.api_key_id})
        return pb.ListApiKeysResponse(keys=map(key_message, shown.items), next_page_token=shown.next_token)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Any) -> pb.RevokeApiKeyResponse:
        """End an API key."""
        async with self._own() as rows:
            key = await rows.revoke_key(request.api_key_id, self._clock.now())
            await self._events.key(rows.conn, "revoked", key, current_principal().subject)
        return pb.RevokeApiKeyResponse(key=key_message(key))

    async def ListRoles(self, request: pb.ListRolesRequest, context: Any) -> pb.ListRolesResponse:
        """List roles."""
        page = PageRequest.parse(request.page_size, request.page_token, keys={"own": int, "role": str})
        async with self._own() as rows:
            all_roles = [*BUILT_IN.values(), *await Roles(rows.conn).all()]
        after = (page.after["own"], page.after["role"]) if page.after else (0, "")
        rest = [role for role in all_roles if (bool(role.revision), role.role) > after]
        shown = Page.of(
            rest[: page.size + 1], page, lambda row: {"own": int(row.revision > 0), "role": row.role}
        )
        return pb.ListRolesResponse(roles=map(role_message, shown.items), next_page_token=shown.next_token)

    async def RedactTexts(self, request: pb.RedactTextsRequest, context: Any) -> pb.RedactTextsResponse:
        """Replace a text in answers and events that are kept."""
        return await self._store.redactor.answer(request, pb.RedactTextsResponse)

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)

    def _visible_tenants(self) -> AbstractAsyncContextManager[Rows]:
        """Open what the caller may see: its own tenant, or all for who runs the installation."""
        caller = current_principal()
        return self._store.everything() if caller.may(_SEES_ALL_TENANTS) else self._store.of(caller.tenant_id)


__all__ = ["IdentityServicer"]
