"""Authorizations that a person has begun."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.services.credentials.domain import Pending
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = """tenant_id, authorization_id, auth_config_id, subject, expire_time, state_hash, redirect_uri,
    poll_seconds, sealed"""


class AuthorizationRows:
    """Authorizations that one transaction sees; one for each configuration, the last that was begun."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def begin(self, pending: Pending) -> None:
        """Store a new one in place of what was begun before for the same configuration."""
        await self.remove(pending.auth_config_id)
        places = ", ".join(f":{name.strip()}" for name in _COLUMNS.split(","))
        sql = f"insert into authorizations ({_COLUMNS}) values ({places})"
        await self._conn.execute(text(sql), asdict(pending))

    async def arrive(self, state_hash: bytes, redirect_uri: str, now: datetime) -> Pending | None:
        """Return the one of a state that comes back there, of whatever tenant, and remove it."""
        sql = f"""delete from authorizations
            where state_hash = :hash and redirect_uri = :uri and expire_time > :now returning {_COLUMNS}"""
        values = {"hash": state_hash, "uri": redirect_uri, "now": now}
        return _pending((await self._conn.execute(text(sql), values)).first())

    async def take(self, state_hash: bytes, subject: str, now: datetime) -> Pending | None:
        """Return the one of a state and remove it: a state is good once."""
        sql = f"""delete from authorizations
            where state_hash = :hash and subject = :subject and expire_time > :now returning {_COLUMNS}"""
        values = {"hash": state_hash, "subject": subject, "now": now}
        return _pending((await self._conn.execute(text(sql), values)).first())

    async def find(self, authorization_id: str, subject: str) -> Pending | None:
        """Return one on another device that a caller has begun."""
        sql = f"""select {_COLUMNS} from authorizations
            where authorization_id = :id and subject = :subject and state_hash is null"""
        return _pending(
            (await self._conn.execute(text(sql), {"id": authorization_id, "subject": subject})).first()
        )

    async def turn(self, authorization_id: str) -> bool:
        """Tell whether the token server may be asked now; the next time is an interval away then."""
        sql = """update authorizations
            set poll_time = clock_timestamp() + make_interval(secs => poll_seconds)
            where authorization_id = :id and (poll_time is null or poll_time <= clock_timestamp())"""
        return bool((await self._conn.execute(text(sql), {"id": authorization_id})).rowcount)

    async def pace(self, authorization_id: str, seconds: float) -> None:
        """Ask less often from now on."""
        sql = """update authorizations set poll_seconds = :seconds,
                poll_time = clock_timestamp() + make_interval(secs => :seconds)
            where authorization_id = :id"""
        await self._conn.execute(text(sql), {"id": authorization_id, "seconds": seconds})

    async def remove(self, auth_config_id: str) -> None:
        """Forget what was begun for a configuration."""
        sql = "delete from authorizations where auth_config_id = :id"
        await self._conn.execute(text(sql), {"id": auth_config_id})


def _pending(row: Any) -> Pending | None:
    if row is None:
        return None
    values = row._asdict()
    held = values["state_hash"]
    return Pending(**{**values, "state_hash": bytes(held) if held is not None else None})


__all__ = ["AuthorizationRows"]
