"""Lets in who has confirmed a code elsewhere: by a session here, or at a provider."""

import hmac
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256

from isthmus.kit import Clock, Principal
from isthmus.kit.deed import tell
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import NotAllowed, NotAuthenticated, Precondition
from isthmus.services.identity.domain import (
    CONFIRMED,
    DENIED,
    LIFETIME,
    MOST_WAITING,
    MOST_WAITING_HERE,
    POLL_SECONDS,
    SLOWER_BY,
    WAITING,
    DeviceLogin,
    Session,
    User,
    check_asked,
    new_user_code,
    no_code,
    no_login,
    too_fast,
    too_many,
    typed,
)
from isthmus.services.identity.login import Door, Tokens
from isthmus.services.identity.oidc import Visitors
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.store import DeviceLogins, People, Sessions, Store

_METHOD = "device"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a machine needs to go on with a login, and what a person needs to confirm it."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    lifetime: timedelta
    poll_seconds: float
    verification_uri: str = ""
    verification_uri_complete: str = field(repr=False, default="")


class Devices:
    """Begins logins on machines without a browser, and ends them.

    Args:
        store: Logins and users.
        pepper: The key of what is kept of codes.
        vault: Seals what a provider calls a login.
        visitors: Speaks with providers.
        door: Begins sessions.
        clock: The time.
    """

    def __init__(
        self, store: Store, pepper: Pepper, vault: Vault, *, visitors: Visitors, door: Door, clock: Clock
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._vault = vault
        self._visitors = visitors
        self._door = door
        self._clock = clock

    async def begin(
        self, client_name: str, address: str, *, tenant_name: str = "", provider_name: str = ""
    ) -> Begun:
        """Begin a login.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`, there is no such provider.
            LimitReached: `DEVICE_LOGINS_BUSY`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        device_code, user_code, now = secrets.token_urlsafe(32), new_user_code(), self._clock.now()
        login = DeviceLogin(
            tenant_id="",
            digest=await self._digest(device_code),
            user_digest=await self._digest(typed(user_code)),
            client_name=client_name,
            client_address=address,
            provider_id="",
            sealed="",
            poll_seconds=POLL_SECONDS,
            state=WAITING,
            user_id="",
            methods=(),
            create_time=now,
            expire_time=now + LIFETIME,
        )
        begun = Begun(device_code, user_code, LIFETIME, POLL_SECONDS)
        if provider_name:
            login, begun = await self._at_provider(login, begun, tenant_name, provider_name)
        async with self._store.everything() as rows:
            has_room = await DeviceLogins(rows.conn).begin(
                login, most=MOST_WAITING, most_here=MOST_WAITING_HERE
            )
        if not has_room:
            raise too_many()
        return begun

    async def look(self, caller: Principal, user_code: str) -> DeviceLogin:
        """Return the login that a code would let in.

        Raises:
            Missing: `DEVICE_LOGIN_UNKNOWN`.
            Precondition: `NOT_IN_SESSION`.
            LimitReached: `LOGIN_LOCKED`, too many wrong codes.
        """
        return await self._by_code(caller, user_code)

    async def decide(self, caller: Principal, user_code: str, *, is_approved: bool) -> DeviceLogin:
        """Let the machine that shows a code in as the caller, or deny it that.

        Raises:
            Missing: `DEVICE_LOGIN_UNKNOWN`.
            Precondition: `NOT_IN_SESSION`.
            LimitReached: `LOGIN_LOCKED`, too many wrong codes.
        """
        found = await self._by_code(caller, user_code)
        async with self._store.everything() as rows:
            logins = DeviceLogins(rows.conn)
            login = await logins.waiting(found.user_digest, self._clock.now())
            known = await Sessions(rows.conn).with_user(caller.tenant_id, caller.session_id)
            if login is None or known is None:
                raise no_code()
            tell(
                tenant_id=caller.tenant_id, after={"client": login.client_name, "from": login.client_address}
            )
            session, user, _ = known
            methods = tuple(dict.fromkeys((*session.methods, _METHOD)))
            state = CONFIRMED if is_approved else DENIED
            return await logins.decide(
                login, state, tenant_id=user.tenant_id, user_id=user.user_id, methods=methods
            )

    async def poll(self, device_code: str) -> tuple[bool, float]:
        """Tell whether a login is confirmed, and else how long to wait before asking again.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`, there is none such.
            NotAllowed: `DEVICE_LOGIN_DENIED`.
            Precondition: `DEVICE_LOGIN_EXPIRED`.
            LimitReached: `SLOW_DOWN`.
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        digest, now = await self._digest(device_code), self._clock.now()
        async with self._store.everything() as rows:
            logins = DeviceLogins(rows.conn)
            login = await logins.find(digest)
            if login is None:
                raise no_login()
            check_asked(login, now)
            if login.state == CONFIRMED:
                return True, 0.0
            is_early = not await logins.turn(login, now)
            if is_early:
                await logins.pace(login, login.poll_seconds + SLOWER_BY)
        if is_early:
            raise too_fast(login.poll_seconds + SLOWER_BY)
        if not login.provider_id:
            return False, login.poll_seconds
        return await self._ask_provider(login)

    async def complete(self, device_code: str, address: str) -> tuple[Tokens, Session, User]:
        """Begin the session of a confirmed login, once.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`, there is none such, or it is not confirmed.
            NotAllowed: `DEVICE_LOGIN_DENIED`.
            Precondition: `DEVICE_LOGIN_EXPIRED`.
        """
        digest, now = await self._digest(device_code), self._clock.now()
        async with self._store.everything() as rows:
            logins = DeviceLogins(rows.conn)
            login = await logins.find(digest)
            if login is None:
                raise no_login()
            check_asked(login, now)
            if login.state != CONFIRMED:
                raise NotAuthenticated("LOGIN_REFUSED", "Nobody has confirmed the code yet; ask on.")
            await logins.remove(login)
        tell(tenant_id=login.tenant_id)
        if login.provider_id:
            claims = json.loads(await self._vault.tenant(login.tenant_id).decrypt(login.sealed))
            user = await self._visitors.known(login.provider_id, claims)
        else:
            async with self._store.of(login.tenant_id) as rows:
                found = await People(rows.conn).find(login.user_id)
            if found is None or found.is_disabled:
                raise no_login()
            user = found
        tell(subject=user.subject, target=user.user_id)
        tokens, session = await self._door.admit(user, login.methods, address)
        return tokens, session, user

    async def _by_code(self, caller: Principal, user_code: str) -> DeviceLogin:
        """Find the login of a code; wrong ones are counted, and lock as wrong passwords do."""
        attempt = await self._door.count_codes(caller)
        digest = await self._digest(typed(user_code))
        async with self._store.everything() as rows:
            found = await DeviceLogins(rows.conn).waiting(digest, self._clock.now())
        if found is None or not typed(user_code):
            raise no_code()
        await self._door.forget_codes(caller, attempt)
        return found

    async def _at_provider(
        self, login: DeviceLogin, begun: Begun, tenant_name: str, provider_name: str
    ) -> tuple[DeviceLogin, Begun]:
        visit = await self._visitors.begin_device(tenant_name, provider_name)
        now = self._clock.now()
        sealed = await self._vault.tenant(visit.provider.tenant_id).encrypt(visit.device_code.encode())
        theirs = replace(
            login,
            tenant_id=visit.provider.tenant_id,
            user_digest=b"",
            provider_id=visit.provider.provider_id,
            sealed=sealed,
            poll_seconds=visit.poll_seconds,
            methods=("oidc", _METHOD),
            expire_time=now + visit.lifetime,
        )
        told = replace(
            begun,
            user_code=visit.user_code,
            lifetime=visit.lifetime,
            poll_seconds=visit.poll_seconds,
            verification_uri=visit.verification_uri,
            verification_uri_complete=visit.verification_uri_complete,
        )
        return theirs, told

    async def _ask_provider(self, login: DeviceLogin) -> tuple[bool, float]:
        vault = self._vault.tenant(login.tenant_id)
        code = (await vault.decrypt(login.sealed)).decode()
        try:
            claims, trouble = await self._visitors.poll_device(login.provider_id, code)
        except (NotAllowed, NotAuthenticated, Precondition):
            async with self._store.everything() as rows:
                await DeviceLogins(rows.conn).remove(login)
            raise
        if claims is None:
            seconds = login.poll_seconds + (SLOWER_BY if trouble == "slow_down" else 0.0)
            if trouble == "slow_down":
                async with self._store.everything() as rows:
                    await DeviceLogins(rows.conn).pace(login, seconds)
            return False, seconds
        sealed = await vault.encrypt(json.dumps(claims).encode())
        async with self._store.everything() as rows:
            await DeviceLogins(rows.conn).decide(login, CONFIRMED, sealed=sealed)
        return True, 0.0

    async def _digest(self, code: str) -> bytes:
        return hmac.digest(await self._pepper.get(), f"device:{code}".encode(), sha256)


__all__ = ["Begun", "Devices"]
