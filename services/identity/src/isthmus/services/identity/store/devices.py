"""Logins that have begun on machines without a browser; found by who knows a code, in whatever tenant."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from isthmus.services.identity.domain import DeviceLogin
from isthmus.services.identity.store.statements import Statements, fields

_COLUMNS = tuple(DeviceLogin.__dataclass_fields__)


class DeviceLogins(Statements):
    """The logins that one transaction sees; it has to see all tenants."""

    async def begin(self, login: DeviceLogin, *, most: int, most_here: int) -> bool:
        """Store a login and forget those that are long over; False where too many wait.

        Args:
            login: What has begun.
            most: How many may wait altogether.
            most_here: How many may wait that came from the same address.
        """
        await self._run("delete from device_logins where expire_time < now() - interval '1 hour'")
        names = ", ".join(_COLUMNS)
        values = ", ".join(f":{name}" for name in _COLUMNS)
        sql = f"""insert into device_logins ({names}) select {values}
            where (select count(*) from device_logins where expire_time > now()) < :most
            and (select count(*) from device_logins
                where expire_time > now() and client_address = :client_address) < :here returning 1"""
        return bool(await self._all(sql, most=most, here=most_here, **fields(login)))

    async def find(self, digest: bytes) -> DeviceLogin | None:
        """Return the login of a machine's code; nobody else changes it until the transaction ends."""
        rows = await self._all("select * from device_logins where digest = :d for update", d=digest)
        return _login(rows[0]) if rows else None

    async def waiting(self, user_digest: bytes, now: datetime) -> DeviceLogin | None:
        """Return the login that waits for a code to be confirmed; nobody else decides about it meanwhile."""
        sql = """select * from device_logins where user_digest = :d and user_digest <> ''
            and state = 'waiting' and expire_time > :now for update"""
        rows = await self._all(sql, d=user_digest, now=now)
        return _login(rows[0]) if rows else None

    async def turn(self, login: DeviceLogin, now: datetime) -> bool:
        """Note that a machine asks; False where it asks too early."""
        sql = """update device_logins set poll_time = :now
            where digest = :d and (poll_time is null or poll_time <= :before) returning 1"""
        before = now - timedelta(seconds=login.poll_seconds * 0.9)
        return bool(await self._all(sql, d=login.digest, now=now, before=before))

    async def pace(self, login: DeviceLogin, seconds: float) -> None:
        """Have a machine wait longer between two questions from now on."""
        sql = "update device_logins set poll_seconds = :s where digest = :d"
        await self._run(sql, s=seconds, d=login.digest)

    async def decide(self, login: DeviceLogin, state: str, **more: Any) -> DeviceLogin:
        """Keep what was decided: the state, and who is let in."""
        changed = replace(login, state=state, **more)
        sql = """update device_logins set state = :state, tenant_id = :tenant_id, user_id = :user_id,
            methods = :methods, sealed = :sealed where digest = :digest"""
        names = ("state", "tenant_id", "user_id", "methods", "sealed", "digest")
        await self._run(sql, **{name: value for name, value in fields(changed).items() if name in names})
        return changed

    async def remove(self, login: DeviceLogin) -> None:
        """Forget a login: it has become a session, or never will."""
        await self._run("delete from device_logins where digest = :d", d=login.digest)


def _login(row: Mapping[str, Any]) -> DeviceLogin:
    plain = {name: row[name] for name in _COLUMNS}
    binary = {name: bytes(row[name]) for name in ("digest", "user_digest")}
    return DeviceLogin(**{**plain, **binary, "methods": tuple(row["methods"])})


__all__ = ["DeviceLogins"]
