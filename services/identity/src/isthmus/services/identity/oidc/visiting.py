"""Lets people in whom their tenant's provider vouches for, and programs with its access tokens."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from isthmus.kit import Clock, new_id
from isthmus.kit.deed import tell
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import FixRequest, NotAllowed, NotAuthenticated, Precondition
from isthmus.services.identity.domain import (
    Caller,
    Provider,
    Session,
    User,
    claims_trouble,
    directory_ids,
    id_token_trouble,
    is_page,
    new_user_code,
    typed,
    unknown_caller,
)
from isthmus.services.identity.login import Door, Tokens
from isthmus.services.identity.oidc.issuers import Issuers
from isthmus.services.identity.store import Directory, People, Providers, Roles, Rows, Store
from isthmus.services.identity.store.providers import BegunLogin
from isthmus.services.identity.tells import Tells

_TIME_TO_COMPLETE = timedelta(minutes=10)
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class DeviceVisit:
    """What a provider gives for a login without a browser."""

    provider: Provider
    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    verification_uri: str
    verification_uri_complete: str = field(repr=False)
    lifetime: timedelta
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class Visit:
    """Where to send a browser, and what it brings back."""

    authorization_url: str
    state: str = field(repr=False)


class Visitors:
    """Speaks with providers on behalf of who wants to come in.

    Args:
        store: Providers and users.
        vault: Secrets of clients, and the key that seals PKCE verifiers.
        issuers: Providers as they describe themselves.
        door: Begins sessions.
        events: Tells the mesh who was made known.
        clock: The time.
    """

    def __init__(
        self, store: Store, vault: Vault, issuers: Issuers, *, door: Door, events: Tells, clock: Clock
    ) -> None:
        self._store = store
        self._vault = vault
        self._issuers = issuers
        self._door = door
        self._events = events
        self._clock = clock

    def may_ask(self, issuer: str) -> bool:
        """Tell whether the operator lets a provider be asked, as far as its address tells."""
        return self._issuers.may_ask(issuer)

    async def begin(self, tenant_name: str, provider_name: str, redirect_uri: str) -> Visit:
        """Begin a login by authorization code with PKCE.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            FixRequest: `FIELD_INVALID`, the browser may not be sent back there.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        async with self._store.everything() as rows:
            provider = await Providers(rows.conn).by_names(tenant_name, provider_name)
        if provider is None or provider.is_disabled:
            raise _refused("there is no such provider")
        if not provider.may_return_to(redirect_uri):
            message = "Name a `redirect_uri` of the provider's configuration, or http on the user's machine."
            raise FixRequest("FIELD_INVALID", message, path="redirect_uri")
        metadata = await self._issuers.metadata(provider.issuer)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        login = BegunLogin(
            tenant_id=provider.tenant_id,
            digest=_digest(state),
            provider_id=provider.provider_id,
            nonce=nonce,
            sealed_verifier=await self._vault.tenant(provider.tenant_id).encrypt(verifier.encode()),
            redirect_uri=redirect_uri,
            expire_time=self._clock.now() + _TIME_TO_COMPLETE,
        )
        async with self._store.of(provider.tenant_id) as rows:
            await Providers(rows.conn).begin(login)
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *provider.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        endpoint = str(metadata["authorization_endpoint"])
        return Visit(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", state)

    async def complete(
        self, state: str, code: str, issuer: str, address: str
    ) -> tuple[Tokens, Session, User]:
        """End a login with what the browser brought back.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        async with self._store.everything() as rows:
            providers = Providers(rows.conn)
            login = await providers.complete(_digest(state), self._clock.now())
            provider = await providers.find(login.provider_id) if login else None
        if login is None or provider is None or provider.is_disabled:
            raise _refused("the login is not known, too old or was completed")
        if issuer and issuer != provider.issuer:
            raise _refused("the answer comes from another provider")
        if login.sealed_claims:
            if not hmac.compare_digest(_digest(typed(code)), login.shown_digest):
                raise _refused("the code is not the one that the browser shows")
            vault = self._vault.tenant(provider.tenant_id)
            claims = json.loads(await vault.decrypt(login.sealed_claims))
        else:
            claims = await self._claims(provider, login, code)
        async with self._store.of(provider.tenant_id) as rows:
            user = await self._known(rows, provider, claims)
        tokens, session = await self._door.admit(user, ("oidc",), address)
        return tokens, session, user

    async def arrive(self, state: str, code: str, issuer: str, redirect_uri: str) -> str:
        """Take what a browser brought back to the gateway; return a code that the browser is to show.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        async with self._store.everything() as rows:
            providers = Providers(rows.conn)
            login = await providers.arrive(_digest(state), redirect_uri, self._clock.now())
            provider = await providers.find(login.provider_id) if login else None
            if login is None or provider is None or provider.is_disabled:
                raise _refused("the login is not known, too old or was completed")
            tell(tenant_id=provider.tenant_id, target=provider.provider_id)
        if issuer and issuer != provider.issuer:
            raise _refused("the answer comes from another provider")
        claims = await self._claims(provider, login, code)
        shown = new_user_code()
        sealed = await self._vault.tenant(provider.tenant_id).encrypt(json.dumps(claims).encode())
        arrived = replace(login, sealed_claims=sealed, shown_digest=_digest(typed(shown)))
        async with self._store.of(provider.tenant_id) as rows:
            await Providers(rows.conn).begin(arrived)
        return shown

    async def begin_device(self, tenant_name: str, provider_name: str) -> DeviceVisit:
        """Begin a login without a browser at a provider (RFC 8628).

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        async with self._store.everything() as rows:
            provider = await Providers(rows.conn).by_names(tenant_name, provider_name)
        if provider is None or provider.is_disabled:
            raise _refused("there is no such provider")
        scope = " ".join(dict.fromkeys(("openid", *provider.scopes)))
        form = {"client_id": provider.client_id, "scope": scope}
        secret, endpoint = await self._secret(provider), "device_authorization_endpoint"
        answer = await self._issuers.exchange(provider.issuer, form, secret, endpoint=endpoint)
        code, shown, where = (
            _text(answer, name) for name in ("device_code", "user_code", "verification_uri")
        )
        if not code or not shown or not is_page(where):
            raise _refused("the provider offers no logins without a browser")
        complete = _text(answer, "verification_uri_complete")
        return DeviceVisit(
            provider=provider,
            device_code=code,
            user_code=shown,
            verification_uri=where,
            verification_uri_complete=complete if is_page(complete) else "",
            lifetime=timedelta(seconds=_seconds(answer, "expires_in", 600.0, least=30.0, most=1800.0)),
            poll_seconds=_seconds(answer, "interval", 5.0, least=1.0, most=60.0),
        )

    async def poll_device(self, provider_id: str, device_code: str) -> tuple[dict[str, Any] | None, str]:
        """Ask a provider whether somebody has confirmed its code.

        Returns:
            The claims of the user; or None, and why the provider does not know yet.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            NotAllowed: `DEVICE_LOGIN_DENIED`.
            Precondition: `DEVICE_LOGIN_EXPIRED`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        async with self._store.everything() as rows:
            provider = await Providers(rows.conn).find(provider_id)
        if provider is None or provider.is_disabled:
            raise _refused("there is no such provider any more")
        form = {"grant_type": _DEVICE_GRANT, "device_code": device_code, "client_id": provider.client_id}
        answer = await self._issuers.exchange(provider.issuer, form, await self._secret(provider))
        error = answer.get("error")
        if error in {"authorization_pending", "slow_down"}:
            return None, str(error)
        if error == "access_denied":
            raise NotAllowed(
                "DEVICE_LOGIN_DENIED", "The provider was told no; begin anew if that was a mistake."
            )
        if error == "expired_token":
            raise Precondition("DEVICE_LOGIN_EXPIRED", "The code was not confirmed in time; begin anew.")
        return await self._id_claims(provider, answer, nonce=""), ""

    async def known(self, provider_id: str, claims: dict[str, Any]) -> User:
        """Return the user that verified claims of a provider are about; a new one if need be.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
        """
        async with self._store.everything() as rows:
            provider = await Providers(rows.conn).find(provider_id)
        if provider is None or provider.is_disabled:
            raise _refused("there is no such provider any more")
        async with self._store.of(provider.tenant_id) as rows:
            return await self._known(rows, provider, claims)

    async def caller(self, claims: dict[str, Any], token: str) -> Caller:
        """Return the program that a provider's access token names.

        Args:
            claims: What the token says, not verified yet.
            token: As the caller sent it.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        audiences = claims.get("aud")
        listed = [str(one) for one in (audiences if isinstance(audiences, list) else [audiences])]
        async with self._store.everything() as rows:
            provider = await Providers(rows.conn).by_audience(str(claims.get("iss", "")), listed[:20])
        if provider is None or provider.is_disabled:
            raise unknown_caller()
        verified = await self._issuers.claims(provider.issuer, token)
        now = self._clock.now()
        if verified is None or "nonce" in verified:
            raise unknown_caller()
        if claims_trouble(verified, provider.issuer, provider.audience, now.timestamp()):
            raise unknown_caller()
        subject = f"external:{provider.provider_id}:{verified['sub'][:128]}"
        async with self._store.of(provider.tenant_id) as rows:
            held = await Roles(rows.conn).held(provider.tenant_id, subject, provider.roles_for(verified))
        return Caller(
            subject=subject,
            tenant_id=provider.tenant_id,
            permissions=held.permissions,
            expire_time=now.fromtimestamp(verified["exp"], now.tzinfo),
        )

    async def _claims(self, provider: Provider, login: BegunLogin, code: str) -> dict[str, Any]:
        vault = self._vault.tenant(provider.tenant_id)
        verifier = await vault.decrypt(login.sealed_verifier)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": login.redirect_uri,
            "client_id": provider.client_id,
            "code_verifier": verifier.decode(),
        }
        answer = await self._issuers.exchange(provider.issuer, form, await self._secret(provider))
        return await self._id_claims(provider, answer, nonce=login.nonce)

    async def _secret(self, provider: Provider) -> str:
        if not provider.has_client_secret:
            return ""
        return str((await self._vault.tenant(provider.tenant_id).read(secret_path(provider)))["secret"])

    async def _id_claims(self, provider: Provider, answer: dict[str, Any], *, nonce: str) -> dict[str, Any]:
        if not isinstance(answer.get("id_token"), str):
            raise _refused("the provider does not take the code")
        claims = await self._issuers.claims(provider.issuer, answer["id_token"])
        if claims is None:
            raise _refused("the provider has not signed its answer")
        trouble = id_token_trouble(claims, provider, nonce, self._clock.now().timestamp())
        if trouble:
            raise _refused(f"the claim `{trouble}` of the provider's answer does not hold")
        return claims

    async def _known(self, rows: Rows, provider: Provider, claims: dict[str, Any]) -> User:
        """Return the user that the claims are about, with the roles they give; a new one if need be."""
        people, now = People(rows.conn), self._clock.now()
        by = f"provider:{provider.provider_id}"
        external_id = f"oidc:{provider.provider_id}:{claims['sub'][:150]}"
        roles = provider.roles_for(claims)
        user = await people.by_external_id(external_id)
        if user is None:
            user = await Directory(rows.conn).awaited(directory_ids(provider.issuer, claims))
        if user is not None and user.is_disabled:
            raise _refused("the user is disabled")
        if user is not None:
            if user.roles == roles and user.external_id == external_id:
                return user
            changed = await people.save(replace(user, roles=roles, external_id=external_id, update_time=now))
            await self._events.user(rows.conn, "updated", changed, by)
            return changed
        name = provider.user_name_for(claims)
        if not name or await people.is_taken(name):
            raise _refused("its claims have no name that a new user can have here")
        user = User(
            tenant_id=provider.tenant_id,
            user_id=new_id("usr"),
            name=name,
            display_name=str(claims.get("name", name))[:200],
            email=str(claims.get("email", ""))[:250],
            external_id=external_id,
            roles=roles,
            is_disabled=False,
            password_hash=None,
            must_change_password=False,
            created_by=by,
            create_time=now,
            update_time=now,
        )
        await people.add(user)
        await self._events.user(rows.conn, "created", user, by)
        return user


def secret_path(provider: Provider) -> str:
    """Return where the secret of a provider's client lies in the tenant's folder of the vault."""
    return f"oidc/{provider.provider_id}"


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 2000 else ""


def _seconds(answer: dict[str, Any], name: str, usual: float, *, least: float, most: float) -> float:
    value = answer.get(name)
    return min(max(float(value), least), most) if isinstance(value, int | float) else usual


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


def _refused(why: str) -> NotAuthenticated:
    return NotAuthenticated("LOGIN_REFUSED", f"Nobody is let in: {why}; begin the login anew.")


__all__ = ["DeviceVisit", "Visit", "Visitors", "secret_path"]
