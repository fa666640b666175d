"""Lets people in, keeps them in while they refresh, and shows them out."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from isthmus.kit import Clock, Principal, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import (
    FixRequest,
    LimitReached,
    NotAuthenticated,
    Precondition,
)
from isthmus.services.identity.domain import (
    Session,
    User,
    mint_refresh,
    parse_refresh,
    password_trouble,
    session_ended,
    user_name,
)
from isthmus.services.identity.passwords import Passwords
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import People, Rows, Sessions, Store
from isthmus.services.identity.store.people import Attempt
from isthmus.services.identity.store.sessions import KeptToken
from isthmus.services.identity.tells import Tells


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client gets to keep a session going."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What a user shows at the door."""

    tenant_name: str
    user_name: str
    password: str = field(repr=False)
    new_password: str = field(repr=False, default="")
    code: str = field(repr=False, default="")
    client_address: str = ""


class Door:
    """Begins and ends sessions.

    Args:
        store: Users and sessions.
        pepper: The key of what is kept of refresh tokens.
        passwords: Checks passwords.
        second_factor: Checks codes.
        signing: Signs access tokens.
        events: Tells the mesh who came and went.
        clock: The time.
        token_life: How long an access token lives.
        session_life: How long a session lasts, however often it is refreshed.
    """

    def __init__(
        self,
        store: Store,
        pepper: Pepper,
        passwords: Passwords,
        *,
        second_factor: SecondFactor,
        signing: SigningKeys,
        events: Tells,
        clock: Clock,
        token_life: timedelta,
        session_life: timedelta,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._passwords = passwords
        self._second_factor = second_factor
        self._signing = signing
        self._events = events
        self._clock = clock
        self._token_life = token_life
        self._session_life = session_life

    async def login(self, proof: Proof) -> tuple[Tokens, Session]:
        """Let a user in who knows the password.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`.
            LimitReached: `LOGIN_LOCKED` or `PASSWORDS_BUSY`.
            Precondition: `PASSWORD_CHANGE_REQUIRED`.
        """
        place, _, name = proof.user_name.rpartition("/")
        tenant_name, name = proof.tenant_name or place, user_name(name)
        tenant_id, user, attempt = await self._attempt(tenant_name, name)
        tell(tenant_id=tenant_id, target=user.user_id if user else "")
        if not await self._knows(proof.password, user) or user is None:
            await self._failed(user, attempt)
            raise _refused()
        tell(subject=user.subject)
        methods = await self._second(user, proof, attempt)
        if user.must_change_password and not proof.new_password:
            await self._succeeded(tenant_id, name)
            message = "Choose another password: send `new_password` together with the present one."
            raise Precondition("PASSWORD_CHANGE_REQUIRED", message, path="new_password")
        if proof.new_password:
            refuse_password(proof.new_password, user.name)
        return await self._begin(user, methods, proof, await self._next_hash(user, proof))

    async def refresh(self, text: str) -> Tokens:
        """Take a refresh token for the next pair.

        Raises:
            NotAuthenticated: `SESSION_ENDED`; where the token came a second time the session ends by it.
        """
        token, pepper, now = parse_refresh(text), await self._pepper.get(), self._clock.now()
        async with self._store.everything() as rows:
            sessions = Sessions(rows.conn)
            kept = await sessions.token(token.refresh_token_id)
            if kept is None or not token.matches(kept.digest, pepper):
                raise session_ended()
            tokens = await self._renew(rows, token.refresh_token_id, kept, now)
        if tokens is None:
            raise session_ended()
        return tokens

    async def logout(self, caller: Principal) -> None:
        """End the session that a call belongs to.

        Raises:
            Precondition: `NOT_IN_SESSION`.
        """
        session_id = _session_of(caller)
        async with self._store.of(caller.tenant_id) as rows:
            await self.end(rows, "logout", caller.subject, session_id=session_id)

    async def change_password(self, caller: Principal, password: str, new_password: str) -> None:
        """Give the caller another password and end all other sessions.

        Raises:
            NotAuthenticated: `LOGIN_REFUSED`, the present password is wrong.
            LimitReached: `LOGIN_LOCKED` or `PASSWORDS_BUSY`.
            Precondition: `NOT_IN_SESSION`.
        """
        session_id = _session_of(caller)
        user, attempt = await self.count(caller)
        if not await self._knows(password, user):
            await self._failed(user, attempt)
            raise _refused()
        refuse_password(new_password, user.name)
        hashed = await self._passwords.hash(new_password)
        async with self._store.of(caller.tenant_id) as rows:
            await self.set_password(rows, user.user_id, hashed, caller.subject, except_id=session_id)

    async def set_password(
        self,
        rows: Rows,
        user_id: str,
        hashed: str,
        by: str,
        *,
        must_change: bool = False,
        except_id: str = "",
    ) -> User:
        """Store a user's next password, end the sessions that rest on the old one, and forget failures."""
        people = People(rows.conn)
        user = await people.get(user_id, lock=True)
        changed = replace(
            user, password_hash=hashed, must_change_password=must_change, update_time=self._clock.now()
        )
        stored = await people.save(changed)
        await people.forget_failures(user.tenant_id, user.name)
        await self.end(rows, "password_changed", by, user_id=user_id, except_id=except_id)
        await self._events.user(rows.conn, "password_changed", stored, by)
        return stored

    async def inside(self, rows: Rows, caller: Principal, *, lock: bool = False) -> User:
        """Return the user whose session a call belongs to.

        Raises:
            Precondition: `NOT_IN_SESSION`.
        """
        known = await Sessions(rows.conn).with_user(caller.tenant_id, _session_of(caller))
        if known is None:
            raise session_ended()
        return await People(rows.conn).get(known[1].user_id, lock=True) if lock else known[1]

    async def count(self, caller: Principal) -> tuple[User, Attempt]:
        """Count an attempt of a caller to prove itself once more as failed until it has succeeded.

        Raises:
            Precondition: `NOT_IN_SESSION`.
            LimitReached: `LOGIN_LOCKED`.
        """
        _session_of(caller)
        async with self._store.of(caller.tenant_id) as rows:
            user = await self.inside(rows, caller)
            return user, await self._count(rows, user.tenant_id, user.name)

    async def count_codes(self, caller: Principal) -> str:
        """Count an attempt of a caller to name a code as failed; return what takes it back.

        Raises:
            Precondition: `NOT_IN_SESSION`.
            LimitReached: `LOGIN_LOCKED`.
        """
        _session_of(caller)
        name = f"code/{caller.subject}"
        async with self._store.of(caller.tenant_id) as rows:
            await self._count(rows, caller.tenant_id, name)
        return name

    async def forget_codes(self, caller: Principal, name: str) -> None:
        """Take back attempts to name a code, because one was right."""
        async with self._store.of(caller.tenant_id) as rows:
            await People(rows.conn).forget_failures(caller.tenant_id, name)

    async def end(
        self,
        rows: Rows,
        reason: str,
        by: str,
        *,
        session_id: str = "",
        user_id: str = "",
        except_id: str = "",
    ) -> None:
        """End one session, or all of a user but one, and tell."""
        ended = await Sessions(rows.conn).end(
            self._clock.now(), reason, session_id=session_id, user_id=user_id, except_id=except_id
        )
        for session in ended:
            await self._events.session(rows.conn, "ended", session, by)

    async def _attempt(self, tenant_name: str, name: str) -> tuple[str, User | None, Attempt]:
        async with self._store.everything() as rows:
            tenant_id, user = await People(rows.conn).by_name(tenant_name, name)
            counted = name if tenant_id else f"{tenant_name}/{name}"
            try:
                return tenant_id, user, await self._count(rows, tenant_id, counted)
            except LimitReached:
                tell(tenant_id=tenant_id, target=user.user_id if user else "")
                raise

    async def _count(self, rows: Rows, tenant_id: str, name: str) -> Attempt:
        now = self._clock.now()
        attempt = await People(rows.conn).begin_attempt(tenant_id, name, now)
        if not attempt.may_go_on:
            wait = max(1.0, ((attempt.locked_until or now) - now).total_seconds())
            message = f"Too many attempts failed; try again in {round(wait)} s."
            raise LimitReached("LOGIN_LOCKED", message, retry_after=wait)
        return attempt

    async def _failed(self, user: User | None, attempt: Attempt) -> None:
        """Tell where an attempt that failed has locked a user out."""
        if user is not None and attempt.locked_until is not None:
            async with self._store.of(user.tenant_id) as rows:
                await self._events.user(rows.conn, "locked", user, "")

    async def _knows(self, password: str, user: User | None) -> bool:
        kept = user.password_hash if user is not None and not user.is_disabled else None
        return await self._passwords.verify(password, kept)

    async def _second(self, user: User, proof: Proof, attempt: Attempt) -> tuple[str, ...]:
        """Check the second factor of a user who knows the password; return how the user proved itself."""
        if not user.has_second_factor:
            return ("pwd",)
        async with self._store.of(user.tenant_id) as rows:
            if proof.code:
                with suppress(NotAuthenticated):
                    return ("pwd", await self._second_factor.check(rows, user, proof.code))
            else:
                await People(rows.conn).refund_attempt(user.tenant_id, user.name)
        if proof.code:
            await self._failed(user, attempt)
            raise _refused()
        message = "Send the code of your authenticator, or a recovery code, as well."
        raise NotAuthenticated("SECOND_FACTOR_REQUIRED", message)

    async def _succeeded(self, tenant_id: str, name: str) -> None:
        async with self._store.of(tenant_id) as rows:
            await People(rows.conn).forget_failures(tenant_id, name)

    async def _next_hash(self, user: User, proof: Proof) -> str:
        """Return another hash to keep, empty when the present one is good."""
        if not proof.new_password and not self._passwords.is_outdated(user.password_hash or ""):
            return ""
        return await self._passwords.hash(proof.new_password or proof.password)

    async def admit(self, user: User, methods: tuple[str, ...], address: str) -> tuple[Tokens, Session]:
        """Begin a session of a user for whom somebody else vouches."""
        return await self._begin(user, methods, Proof("", user.name, "", client_address=address))

    async def _begin(
        self, user: User, methods: tuple[str, ...], proof: Proof, hashed: str = ""
    ) -> tuple[Tokens, Session]:
        pepper, now = await self._pepper.get(), self._clock.now()
        session = Session(
            tenant_id=user.tenant_id,
            session_id=new_id("ses"),
            user_id=user.user_id,
            methods=methods,
            client_address=proof.client_address,
            create_time=now,
            expire_time=now + self._session_life,
        )
        async with self._store.of(user.tenant_id) as rows:
            people = People(rows.conn)
            await people.forget_failures(user.tenant_id, user.name)
            if proof.new_password:
                await self.set_password(rows, user.user_id, hashed, user.subject)
            elif hashed:
                await people.keep_hash(user, hashed)
            await people.note_login(user, now)
            await Sessions(rows.conn).add(session)
            await self._events.session(rows.conn, "started", session, user.subject)
            tokens = await self._issue(rows, session, user, pepper, now)
        return tokens, session

    async def _renew(
        self, rows: Rows, refresh_token_id: str, kept: KeptToken, now: datetime
    ) -> Tokens | None:
        """Issue the next pair; None where the session is over, or ends because the token came again."""
        sessions = Sessions(rows.conn)
        known = await sessions.with_user(kept.tenant_id, kept.session_id)
        if known is None or not known[0].is_open(now) or known[1].is_disabled:
            return None
        session, user, _ = known
        if kept.use_time is not None:
            await self.end(rows, "refresh_reused", user.subject, session_id=session.session_id)
            return None
        await sessions.use_token(refresh_token_id, now)
        return await self._issue(rows, session, user, await self._pepper.get(), now)

    async def _issue(self, rows: Rows, session: Session, user: User, pepper: bytes, now: datetime) -> Tokens:
        refresh_token_id = new_id("rft")
        refresh_token, digest = mint_refresh(refresh_token_id, pepper)
        await Sessions(rows.conn).add_token(session, refresh_token_id, digest, now)
        claims = {"sub": user.subject, "tid": user.tenant_id, "sid": session.session_id, "jti": new_id("tok")}
        access_token = await self._signing.sign({**claims, "amr": list(session.methods)})
        return Tokens(access_token, refresh_token, int(self._token_life.total_seconds()))


def refuse_password(password: str, name: str, path: str = "new_password") -> None:
    """Refuse a password that is too easy to guess.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    trouble = password_trouble(password, name)
    if trouble:
        raise FixRequest("FIELD_INVALID", trouble, path=path)


def _session_of(caller: Principal) -> str:
    if not caller.session_id:
        message = "Only a user who has logged in can do this; you call with a key or as a process."
        raise Precondition("NOT_IN_SESSION", message)
    return caller.session_id


def _refused() -> NotAuthenticated:
    message = "User name, password or code is wrong, or the user is disabled; try again."
    return NotAuthenticated("LOGIN_REFUSED", message)


__all__ = ["Door", "Proof", "Tokens", "refuse_password"]
