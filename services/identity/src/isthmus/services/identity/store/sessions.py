"""Sessions and the refresh tokens that keep them going."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import Missing
from isthmus.services.identity.domain import Access, Session, User
from isthmus.services.identity.store.access import access, access_of
from isthmus.services.identity.store.people import user_of
from isthmus.services.identity.store.statements import Statements, fields

_COLUMNS = tuple(Session.__dataclass_fields__)
_KEPT = "7 days"
_HELD = access_of("users.tenant_id", "'user:' || users.user_id", "users.roles")


@dataclass(frozen=True, slots=True)
class KeptToken:
    """What is kept of a refresh token."""

    tenant_id: str
    session_id: str
    digest: bytes = field(repr=False)
    use_time: datetime | None


class Sessions(Statements):
    """The sessions that one transaction sees."""

    async def add(self, session: Session) -> None:
        """Store a session."""
        names = ", ".join(_COLUMNS)
        values = ", ".join(f":{name}" for name in _COLUMNS)
        await self._run(f"insert into sessions ({names}) values ({values})", **fields(session))

    async def get(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            Missing: `SESSION_UNKNOWN`.
        """
        rows = await self._all("select * from sessions where session_id = :s", s=session_id)
        if not rows:
            message = f"There is no session `{session_id}` in this tenant; ListSessions shows them."
            raise Missing("SESSION_UNKNOWN", message, path="session_id")
        return _session(rows[0])

    async def with_user(self, tenant_id: str, session_id: str) -> tuple[Session, User, Access] | None:
        """Return a session, whose it is, and what that user holds; None when it is gone."""
        sql = f"""select users.*, held_roles, held_patterns, s.session_id, s.methods,
                s.client_address, s.refresh_time, s.expire_time,
                s.end_time, s.end_reason, s.create_time as begin_time
            from sessions s join users using (tenant_id, user_id)
            {_HELD} where s.tenant_id = :t and s.session_id = :s"""
        rows = await self._all(sql, t=tenant_id, s=session_id)
        if not rows:
            return None
        return _session({**rows[0], "create_time": rows[0]["begin_time"]}), user_of(rows[0]), access(rows[0])

    async def page(self, page: PageRequest, user_id: str) -> list[Session]:
        """Return sessions, newest first, one more than the page holds; everybody's when none is named."""
        sql = """select * from sessions where (:before = '' or session_id < :before)
            and (:user = '' or user_id = :user) order by session_id desc limit :limit"""
        before = (page.after or {}).get("id", "")
        rows = await self._all(sql, before=before, user=user_id, limit=page.size + 1)
        return [_session(row) for row in rows]

    async def end(
        self, now: datetime, reason: str, *, session_id: str = "", user_id: str = "", except_id: str = ""
    ) -> list[Session]:
        """End one session, or all of a user but one; return those that this call has ended."""
        sql = """update sessions set end_time = :now, end_reason = :reason
            where end_time is null and expire_time > :now and session_id <> :except
            and (session_id = :session or user_id = :user) returning *"""
        values = {"session": session_id, "user": user_id, "except": except_id}
        return [_session(row) for row in await self._all(sql, now=now, reason=reason, **values)]

    async def add_token(self, session: Session, refresh_token_id: str, digest: bytes, now: datetime) -> None:
        """Store what is kept of a session's next refresh token."""
        sql = """with told as (update sessions set refresh_time = :now
                where tenant_id = :t and session_id = :s and create_time <> :now)
            insert into refresh_tokens (tenant_id, refresh_token_id, session_id, digest)
            values (:t, :r, :s, :digest)"""
        ids = {"t": session.tenant_id, "s": session.session_id, "r": refresh_token_id}
        await self._run(sql, digest=digest, now=now, **ids)

    async def token(self, refresh_token_id: str) -> KeptToken | None:
        """Return what is kept of a refresh token; others wait until this transaction ends."""
        sql = """select tenant_id, session_id, digest, use_time from refresh_tokens
            where refresh_token_id = :r for update"""
        rows = await self._all(sql, r=refresh_token_id)
        return KeptToken(**{**rows[0], "digest": bytes(rows[0]["digest"])}) if rows else None

    async def use_token(self, refresh_token_id: str, now: datetime) -> None:
        """Write down that a refresh token has bought the next pair."""
        sql = "update refresh_tokens set use_time = :now where refresh_token_id = :r"
        await self._run(sql, now=now, r=refresh_token_id)

    async def sweep(self) -> None:
        """Remove sessions that have been over for a week, and failures that nobody counts any more."""
        await self._run(f"delete from sessions where expire_time < now() - interval '{_KEPT}'")
        await self._run(f"delete from login_failures where update_time < now() - interval '{_KEPT}'")


def _session(row: Mapping[str, Any]) -> Session:
    return Session(**{**{name: row[name] for name in _COLUMNS}, "methods": tuple(row["methods"])})


__all__ = ["KeptToken", "Sessions"]
