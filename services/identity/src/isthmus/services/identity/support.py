"""Access for a while: who asks, who decides, and what guests may do while it lasts."""

from dataclasses import replace
from datetime import datetime, timedelta

from isthmus.kit import Clock, Principal, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import NotAllowed, Precondition
from isthmus.services.identity.domain import (
    APPROVED,
    BUILT_IN,
    REFUSED,
    REQUESTED,
    REVOKED,
    SUPPORT_ROLE,
    TIME_TO_DECIDE,
    Caller,
    SupportAccess,
    check_for_guests,
    check_grant,
    check_undecided,
    for_guests,
    unknown_caller,
    unknown_role,
)
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import Roles, Rows, Store, SupportAccesses
from isthmus.services.identity.store.support import unknown_access
from isthmus.services.identity.tells import Tells

_PREFIX = "sup_"
# What ends an access has to hold everywhere within a second, the call that asks included.
_LONGEST_MEMORY = 0.8


class Hospitality:
    """Lets guests in for a while.

    Args:
        store: Accesses.
        signing: Signs guests' tokens.
        events: Tells the mesh what was asked for and granted.
        clock: The time.
        token_life: How long a token lives at most.
    """

    def __init__(
        self, store: Store, signing: SigningKeys, *, events: Tells, clock: Clock, token_life: timedelta
    ) -> None:
        self._store = store
        self._signing = signing
        self._events = events
        self._clock = clock
        self._token_life = token_life

    async def request(
        self,
        rows: Rows,
        caller: Principal,
        *,
        tenant_name: str,
        reason: str,
        duration: timedelta,
        roles: tuple[str, ...],
    ) -> SupportAccess:
        """Ask for access.

        Args:
            rows: A transaction that sees all tenants.
            caller: Who asks.
            tenant_name: The tenant to open; empty means the caller's own.
            reason: Why.
            duration: How long it lasts from when it is granted.
            roles: Names of roles of that tenant; none means the one for support.

        Raises:
            Missing: `TENANT_UNKNOWN` or `ROLE_UNKNOWN`.
            NotAllowed: `ROLE_NOT_FOR_SUPPORT`.
            Precondition: `SUPPORT_NOT_FOR_PROCESSES`.
        """
        refuse_strangers(caller)
        accesses, now = SupportAccesses(rows.conn), self._clock.now()
        home = await rows.tenant(caller.tenant_id)
        tenant = await accesses.tenant_named(tenant_name) if tenant_name else home
        tell(tenant_id=tenant.tenant_id)
        requester_name = await accesses.name_of(home.tenant_id, caller.subject)
        if not requester_name:
            raise _not_for_processes()
        wanted = roles or (SUPPORT_ROLE,)
        await self._check_roles(accesses, tenant.tenant_id, wanted)
        found = SupportAccess(
            tenant_id=tenant.tenant_id,
            support_access_id=new_id("sup"),
            requester=caller.subject,
            requester_tenant_id=home.tenant_id,
            tenant_name=tenant.name,
            requester_name=requester_name,
            requester_tenant_name=home.name,
            reason=reason,
            roles=wanted,
            duration=duration,
            state=REQUESTED,
            create_time=now,
            expire_time=now + TIME_TO_DECIDE,
        )
        await accesses.add(found)
        await self._events.support(rows.conn, "requested", found, caller.subject)
        return found

    async def approve(self, caller: Principal, support_access_id: str) -> SupportAccess:
        """Grant an access from now on.

        Raises:
            Missing: `SUPPORT_ACCESS_UNKNOWN` or `ROLE_UNKNOWN`.
            NotAllowed: `SUPPORT_ACCESS_OWN`, `ROLE_EXCEEDS_CALLER` or `ROLE_NOT_FOR_SUPPORT`.
            Precondition: `SUPPORT_ACCESS_DECIDED`.
        """
        async with self._store.of(caller.tenant_id) as rows:
            accesses, now = SupportAccesses(rows.conn), self._clock.now()
            found = await accesses.get(support_access_id)
            if found.is_of(caller.subject, caller.tenant_id):
                message = "Have somebody else decide: you have asked for this access yourself."
                raise NotAllowed("SUPPORT_ACCESS_OWN", message)
            check_undecided(found, now)
            check_grant(found.roles, caller.may, await Roles(rows.conn).named(found.roles))
            await self._check_roles(accesses, found.tenant_id, found.roles)
            return await self._decide(rows, found, APPROVED, caller, now, expire_time=now + found.duration)

    async def refuse(self, caller: Principal, support_access_id: str, why: str) -> SupportAccess:
        """Refuse an access.

        Raises:
            Missing: `SUPPORT_ACCESS_UNKNOWN`.
            Precondition: `SUPPORT_ACCESS_DECIDED`.
        """
        async with self._store.of(caller.tenant_id) as rows:
            found = await SupportAccesses(rows.conn).get(support_access_id)
            now = self._clock.now()
            check_undecided(found, now)
            return await self._decide(rows, found, REFUSED, caller, now, refusal=why)

    async def revoke(self, caller: Principal, support_access_id: str) -> SupportAccess:
        """End an access, or take a request back; one that is over stays as it is.

        Raises:
            Missing: `SUPPORT_ACCESS_UNKNOWN`.
        """
        async with self._store.of(caller.tenant_id) as rows:
            accesses, now = SupportAccesses(rows.conn), self._clock.now()
            found = await accesses.get(support_access_id)
            if found.state_at(now) not in {REQUESTED, APPROVED}:
                return found
            changed = replace(found, state=REVOKED, ended_by=caller.subject, end_time=now)
            await accesses.save(changed)
            await self._events.support(rows.conn, REVOKED, changed, caller.subject)
            return changed

    async def open(self, caller: Principal, support_access_id: str) -> tuple[SupportAccess, str, int]:
        """Give who has asked a token for the tenant, and tell for how many seconds it is good.

        Raises:
            Missing: `SUPPORT_ACCESS_UNKNOWN`.
            NotAllowed: `SUPPORT_ACCESS_NOT_YOURS`.
            Precondition: `SUPPORT_ACCESS_NOT_OPEN` or `SUPPORT_NOT_FOR_PROCESSES`.
            RetryLater: `VAULT_UNREACHABLE`.
        """
        refuse_strangers(caller)
        async with self._store.everything() as rows:
            found = await SupportAccesses(rows.conn).find(support_access_id)
        if found is None or not found.is_of(caller.subject, caller.tenant_id):
            if found is not None and found.tenant_id == caller.tenant_id:
                message = f"{found.requester_name} has asked for this access: nobody else can use it."
                raise NotAllowed("SUPPORT_ACCESS_NOT_YOURS", message)
            raise unknown_access(support_access_id)
        tell(tenant_id=found.tenant_id)
        now = self._clock.now()
        state = found.state_at(now)
        if state != APPROVED:
            message = f"This access is {state}: wait for somebody to grant it, or ask anew."
            raise Precondition("SUPPORT_ACCESS_NOT_OPEN", message)
        claims = {
            "sub": caller.subject,
            "tid": found.tenant_id,
            "sid": support_access_id,
            "jti": new_id("tok"),
        }
        token = await self._signing.sign({**claims, "home": caller.session_id})
        return found, token, int(min(self._token_life, found.expire_time - now).total_seconds())

    async def caller(self, claims: dict[str, object]) -> Caller:
        """Return the guest that a token of ours names.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, the access is over, or who has asked for it is out.
        """
        tenant_id, support_access_id = str(claims["tid"]), str(claims["sid"])
        async with self._store.everything() as rows:
            guest = await SupportAccesses(rows.conn).guest(
                tenant_id, support_access_id, str(claims.get("home", ""))
            )
        now = self._clock.now()
        if guest is None or not guest.is_welcome or guest.access.state_at(now) != APPROVED:
            raise unknown_caller()
        end = now.fromtimestamp(float(str(claims["exp"])), now.tzinfo)
        return Caller(
            subject=guest.access.requester,
            tenant_id=tenant_id,
            permissions=for_guests(guest.held.permissions),
            expire_time=min(end, guest.access.expire_time),
            kind="user" if guest.access.requester.startswith("user:") else "service_account",
            support_access_id=support_access_id,
            max_age=_LONGEST_MEMORY,
        )

    async def tell_ended(self, rows: Rows) -> None:
        """Tell of accesses that time has ended since the last look; needs a view of all tenants."""
        for found in await SupportAccesses(rows.conn).run_out(self._clock.now()):
            await self._events.support(rows.conn, "expired", found, "")

    async def _decide(
        self, rows: Rows, found: SupportAccess, state: str, caller: Principal, now: datetime, **more: object
    ) -> SupportAccess:
        changed = replace(found, state=state, decided_by=caller.subject, decide_time=now, **more)  # type: ignore[arg-type]
        await SupportAccesses(rows.conn).save(changed)
        await self._events.support(rows.conn, state, changed, caller.subject)
        return changed

    async def _check_roles(self, accesses: SupportAccesses, tenant_id: str, names: tuple[str, ...]) -> None:
        own = await accesses.patterns(tenant_id, names)
        for name in names:
            role = BUILT_IN.get(name)
            if name not in own and (role is None or role.scope != "tenant"):
                raise unknown_role(name)
            check_for_guests(name, role.permissions if role else own[name])


def is_guest(claims: dict[str, object]) -> bool:
    """Tell whether a token of ours belongs to a guest."""
    return str(claims["sid"]).startswith(_PREFIX)


def refuse_strangers(caller: Principal) -> None:
    """Refuse who has no account in his tenant: processes of the mesh, and guests.

    Raises:
        Precondition: `SUPPORT_NOT_FOR_PROCESSES`.
    """
    if caller.kind == "mesh" or caller.support_access_id:
        raise _not_for_processes()


def _not_for_processes() -> Precondition:
    message = "Use the credential of a user or a service account of your own tenant."
    return Precondition("SUPPORT_NOT_FOR_PROCESSES", message)


__all__ = ["Hospitality", "is_guest"]
