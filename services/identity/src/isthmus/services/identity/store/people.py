"""Users, and how often somebody failed to log in under a name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.identity.domain import (
    FIRST_LOCK,
    FORGET_FAILURES,
    FREE_ATTEMPTS,
    LONGEST_LOCK,
    User,
)
from isthmus.services.identity.store.statements import Statements, fields, window

_COLUMNS = tuple(User.__dataclass_fields__)
_FIXED = {"tenant_id", "user_id", "name", "created_by", "create_time"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to log in: whether it may go on, and until when there will be no other if it fails."""

    locked_until: datetime | None
    may_go_on: bool


class People(Statements):
    """The users that one transaction sees."""

    async def add(self, user: User) -> None:
        """Store a user.

        Raises:
            AlreadyExists: `USER_NAME_TAKEN`.
        """
        names = ", ".join(_COLUMNS)
        values = ", ".join(f":{name}" for name in _COLUMNS)
        sql = f"""insert into users ({names}) values ({values})
            on conflict (tenant_id, name) do nothing returning 1"""
        if not await self._all(sql, **fields(user)):
            message = f"There is a user `{user.name}` already; choose another name."
            raise AlreadyExists("USER_NAME_TAKEN", message, path="name")

    async def find(self, user_id: str, *, lock: bool = False) -> User | None:
        """Return a user or None; `lock` keeps others from changing it meanwhile."""
        rows = await self._all(
            "select * from users where user_id = :u" + (" for update" if lock else ""), u=user_id
        )
        return user_of(rows[0]) if rows else None

    async def get(self, user_id: str, *, lock: bool = False) -> User:
        """Return a user.

        Raises:
            Missing: `USER_UNKNOWN`.
        """
        user = await self.find(user_id, lock=lock)
        if user is None:
            message = f"There is no user `{user_id}` in this tenant; list them to see their ids."
            raise Missing("USER_UNKNOWN", message, path="user_id")
        return user

    async def by_external_id(self, external_id: str) -> User | None:
        """Return the user that a directory names so; nobody else changes it until the transaction ends."""
        rows = await self._all("select * from users where external_id = :e for update", e=external_id)
        return user_of(rows[0]) if rows else None

    async def is_taken(self, name: str) -> bool:
        """Tell whether there is a user of a name."""
        return bool(await self._all("select 1 from users where name = :name", name=name))

    async def page(self, page: PageRequest, name: str) -> list[User]:
        """Return users, oldest first, one more than the page holds; all of them when no name is given."""
        sql = """select * from users where user_id > :after and (:name = '' or name = :name)
            order by user_id limit :limit"""
        return [user_of(row) for row in await self._all(sql, name=name, **window(page))]

    async def save(self, user: User) -> User:
        """Replace what may change of a user and return it with its next revision."""
        changed = replace(user, revision=user.revision + 1)
        sets = ", ".join(f"{name} = :{name}" for name in _COLUMNS if name not in _FIXED)
        sql = f"update users set {sets} where tenant_id = :tenant_id and user_id = :user_id"
        await self._run(sql, **fields(changed))
        return changed

    async def remove(self, user: User) -> None:
        """Delete a user with all sessions."""
        sql = """with gone as (delete from group_members where tenant_id = :t and member = 'user:' || :u)
            delete from users where tenant_id = :t and user_id = :u"""
        await self._run(sql, t=user.tenant_id, u=user.user_id)

    async def keep_hash(self, user: User, hashed: str) -> None:
        """Keep the same password in another form; nothing that an etag protects."""
        sql = """update users set password_hash = :h
            where tenant_id = :t and user_id = :u and password_hash = :old"""
        await self._run(sql, h=hashed, t=user.tenant_id, u=user.user_id, old=user.password_hash)

    async def note_login(self, user: User, now: datetime) -> None:
        """Write down that a user came in; nothing that an etag protects."""
        sql = "update users set last_login_time = :now where tenant_id = :t and user_id = :u"
        await self._run(sql, now=now, t=user.tenant_id, u=user.user_id)

    async def by_name(self, tenant_name: str, name: str) -> tuple[str, User | None]:
        """Find a user by the names of tenant and user; no tenant's name means the first tenant.

        Returns:
            The id of the tenant, empty when there is none of that name, and the user if there is one.
        """
        sql = """with place as (
                select tenant_id from tenants where :tenant in ('', name) order by tenant_id limit 1)
            select place.tenant_id as place, users.* from place
            left join users on users.tenant_id = place.tenant_id and users.name = :name"""
        rows = await self._all(sql, tenant=tenant_name, name=name)
        if not rows:
            return "", None
        place = rows[0].pop("place")
        return place, user_of(rows[0]) if rows[0]["user_id"] else None

    async def begin_attempt(self, tenant_id: str, name: str, now: datetime) -> Attempt:
        """Count an attempt as failed until it has succeeded; the count holds whoever tries beside it."""
        sql = """insert into login_failures as f (tenant_id, name, failures, locked_until, update_time)
            values (:t, :name, 1, null, :now)
            on conflict (tenant_id, name) do update set
                failures = case when f.update_time < :old then 1 else f.failures + 1 end,
                locked_until = case when f.update_time >= :old and f.failures + 1 >= :free
                    then :now + least(:longest, :first * 2 ^ least(f.failures + 1 - :free, 20)) end,
                update_time = :now
            where f.locked_until is null or f.locked_until <= :now
            returning locked_until"""
        limits = {"free": FREE_ATTEMPTS, "first": FIRST_LOCK, "longest": LONGEST_LOCK}
        rows = await self._all(sql, t=tenant_id, name=name, now=now, old=now - FORGET_FAILURES, **limits)
        if rows:
            return Attempt(rows[0]["locked_until"], may_go_on=True)
        locked = "select locked_until from login_failures where tenant_id = :t and name = :name"
        rows = await self._all(locked, t=tenant_id, name=name)
        return Attempt(rows[0]["locked_until"] if rows else None, may_go_on=False)

    async def refund_attempt(self, tenant_id: str, name: str) -> None:
        """Take back an attempt that was right as far as it went; those before it stay counted."""
        sql = """update login_failures set failures = greatest(failures - 1, 0), locked_until = null
            where tenant_id = :t and name = :name"""
        await self._run(sql, t=tenant_id, name=name)

    async def use_step(self, user: User, step: int) -> bool:
        """Use a code of an authenticator up, and all older ones; False when that was done before."""
        sql = """update users set last_step = :s where tenant_id = :t and user_id = :u and last_step < :s
            returning 1"""
        return bool(await self._all(sql, s=step, t=user.tenant_id, u=user.user_id))

    async def use_recovery_code(self, user: User, digest: bytes, now: datetime) -> bool:
        """Use a recovery code up; False when there is none such, or it was used before."""
        sql = """update recovery_codes set use_time = :now where tenant_id = :t and user_id = :u
            and digest = :d and use_time is null returning 1"""
        return bool(await self._all(sql, now=now, t=user.tenant_id, u=user.user_id, d=digest))

    async def keep_recovery_codes(self, user: User, digests: list[bytes]) -> None:
        """Replace a user's recovery codes."""
        ids = {"t": user.tenant_id, "u": user.user_id}
        await self._run("delete from recovery_codes where tenant_id = :t and user_id = :u", **ids)
        sql = """insert into recovery_codes (tenant_id, user_id, digest)
            select :t, :u, unnest(cast(:d as bytea[]))"""
        await self._run(sql, d=digests, **ids)

    async def forget_failures(self, tenant_id: str, name: str) -> None:
        """Begin to count anew."""
        await self._run(
            "delete from login_failures where tenant_id = :t and name = :name", t=tenant_id, name=name
        )


def user_of(row: Mapping[str, Any]) -> User:
    """Read a user out of a row that has the columns of one."""
    return User(**{**{name: row[name] for name in _COLUMNS}, "roles": tuple(row["roles"])})


__all__ = ["Attempt", "People", "user_of"]
