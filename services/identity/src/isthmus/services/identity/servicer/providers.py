"""The RPCs of `ProvidersService`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from isthmus.identity.v1 import providers_pb2 as pb
from isthmus.identity.v1 import providers_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.principal import current_client_address
from isthmus.kit.vault import Vault
from isthmus.services.identity.domain import Provider
from isthmus.services.identity.messages import provider_message, session_message
from isthmus.services.identity.oidc import Visitors
from isthmus.services.identity.oidc.visiting import secret_path
from isthmus.services.identity.servicer import checks
from isthmus.services.identity.servicer.access import grant
from isthmus.services.identity.store import Providers, Rows, Store
from isthmus.services.identity.tells import Tells


class ProvidersServicer(pb_grpc.ProvidersServiceServicer):
    """Keeps the providers of tenants and lets people in by them."""

    def __init__(
        self, store: Store, vault: Vault, visitors: Visitors, *, events: Tells, clock: Clock
    ) -> None:
        self._store = store
        self._vault = vault
        self._visitors = visitors
        self._events = events
        self._clock = clock

    async def CreateProvider(
        self, request: pb.CreateProviderRequest, context: Any
    ) -> pb.CreateProviderResponse:
        """Make a provider known; its secret goes to the vault before anything names it."""
        checks.provider(request.provider, with_name=True, may_ask=self._visitors.may_ask)
        caller, now = current_principal(), self._clock.now()
        provider = replace(
            _read(request.provider),
            tenant_id=caller.tenant_id,
            provider_id=new_id("idp"),
            name=request.provider.name,
            has_client_secret=bool(request.client_secret),
            created_by=caller.subject,
            create_time=now,
            update_time=now,
        )

        async def produce() -> pb.CreateProviderResponse:
            await Providers(rows.conn).add(provider)
            await self._keep(provider, request.client_secret)
            await self._events.provider(rows.conn, "created", provider, caller.subject)
            return pb.CreateProviderResponse(provider=provider_message(provider))

        async with self._own() as rows:
            await grant(rows, _roles(provider))
            return await once(rows.conn, "CreateProvider", request, produce, pb.CreateProviderResponse)

    async def ListProviders(self, request: pb.ListProvidersRequest, context: Any) -> pb.ListProvidersResponse:
        """List providers."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await Providers(rows.conn).page(page)
        shown = Page.of(found, page, lambda row: {"id": row.provider_id})
        return pb.ListProvidersResponse(
            providers=map(provider_message, shown.items), next_page_token=shown.next_token
        )

    async def UpdateProvider(
        self, request: pb.UpdateProviderRequest, context: Any
    ) -> pb.UpdateProviderResponse:
        """Replace what may change of a provider."""
        checks.provider(request.provider, with_name=False, may_ask=self._visitors.may_ask)
        subject = current_principal().subject
        async with self._own() as rows:
            providers = Providers(rows.conn)
            kept = await providers.get(request.provider_id)
            check_etag(request.etag, kept.revision)
            changed = replace(
                _read(request.provider),
                tenant_id=kept.tenant_id,
                provider_id=kept.provider_id,
                name=kept.name,
                has_client_secret=kept.has_client_secret or bool(request.client_secret),
                created_by=kept.created_by,
                create_time=kept.create_time,
                update_time=self._clock.now(),
                revision=kept.revision,
            )
            # Whoever changes who vouches gives all that the mapping gives, to people of his choice.
            await grant(rows, _roles(changed))
            stored = await providers.save(changed)
            await self._keep(stored, request.client_secret)
            await self._events.provider(rows.conn, "updated", stored, subject)
        return pb.UpdateProviderResponse(provider=provider_message(stored))

    async def DeleteProvider(
        self, request: pb.DeleteProviderRequest, context: Any
    ) -> pb.DeleteProviderResponse:
        """Forget a provider."""
        async with self._own() as rows:
            providers = Providers(rows.conn)
            provider = await providers.find(request.provider_id, lock=True)
            if provider is not None:
                check_etag(request.etag, provider.revision)
                await providers.remove(provider)
                await self._events.provider(rows.conn, "deleted", provider, current_principal().subject)
                if provider.has_client_secret:
                    await self._vault.tenant(provider.tenant_id).delete(secret_path(provider))
        return pb.DeleteProviderResponse()

    async def BeginLogin(self, request: pb.BeginLoginRequest, context: Any) -> pb.BeginLoginResponse:
        """Tell where to send the user's browser."""
        checks.begun_login(request)
        visit = await self._visitors.begin(request.tenant_name, request.provider_name, request.redirect_uri)
        return pb.BeginLoginResponse(authorization_url=visit.authorization_url, login_state=visit.state)

    async def CompleteLogin(self, request: pb.CompleteLoginRequest, context: Any) -> pb.CompleteLoginResponse:
        """Begin a session with what the browser brought back."""
        checks.completed_login(request)
        tokens, session, user = await self._visitors.complete(
            request.login_state, request.code, request.issuer, current_client_address()
        )
        return pb.CompleteLoginResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
            session=session_message(session),
            user_name=user.name,
        )

    async def ArriveLogin(self, request: pb.ArriveLoginRequest, context: Any) -> pb.ArriveLoginResponse:
        """Take what a browser brought back to the gateway."""
        checks.arrived_login(request)
        shown = await self._visitors.arrive(
            request.login_state, request.code, request.issuer, request.redirect_uri
        )
        return pb.ArriveLoginResponse(shown_code=shown)

    async def _keep(self, provider: Provider, secret: str) -> None:
        if secret:
            await self._vault.tenant(provider.tenant_id).write(secret_path(provider), {"secret": secret})

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


def _read(message: pb.Provider) -> Provider:
    """Read what a caller may say about a provider; the rest is filled in."""
    mappings: dict[str, tuple[str, ...]] = {}
    for mapping in message.role_mappings:
        mappings[mapping.value] = tuple(dict.fromkeys((*mappings.get(mapping.value, ()), *mapping.roles)))
    nowhen: Any = None
    return Provider(
        tenant_id="",
        provider_id="",
        name="",
        issuer=message.issuer,
        client_id=message.client_id,
        has_client_secret=False,
        scopes=tuple(dict.fromkeys(message.scopes)),
        audience=message.audience,
        name_claim=message.name_claim,
        role_claim=message.role_claim,
        role_mappings=mappings,
        redirect_uris=tuple(dict.fromkeys(message.redirect_uris)),
        is_disabled=message.is_disabled,
        created_by="",
        create_time=nowhen,
        update_time=nowhen,
    )


def _roles(provider: Provider) -> set[str]:
    return {role for roles in provider.role_mappings.values() for role in roles}


__all__ = ["ProvidersServicer"]
