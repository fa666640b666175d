"""What is known of access tokens, and who is at getting one."""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.services.credentials.domain import Token, TokenRow, TokenState
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Leases and rests are counted by the clock of PostgreSQL, the one clock that all replicas share.
_COLUMNS = """auth_config_id, state, epoch, fencing_token, version, token_id, issue_time, expire_time,
    refresh_time, scopes, failure_reason, failure_message, failure_is_permanent, failures,
    held_until > clock_timestamp() as is_held, held_until is not null as is_unfinished,
    rest_until > clock_timestamp() as is_resting"""
_OWN = "auth_config_id = :id and fencing_token = :fencing_token"


class TokenRows:
    """Facts about tokens that one transaction sees."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, tenant_id: str, auth_config_id: str, state: TokenState) -> None:
        """Begin to know about a configuration."""
        sql = "insert into tokens (tenant_id, auth_config_id, state) values (:tenant_id, :id, :state)"
        await self._run(sql, tenant_id=tenant_id, id=auth_config_id, state=state)

    async def find(self, auth_config_id: str) -> TokenRow | None:
        """Return what is known, or None."""
        found = await self.of([auth_config_id])
        return found.get(auth_config_id)

    async def of(self, auth_config_ids: Sequence[str]) -> Mapping[str, TokenRow]:
        """Return what is known of several configurations."""
        if not auth_config_ids:
            return {}
        sql = f"select {_COLUMNS} from tokens where auth_config_id = any(:ids)"
        rows = await self._conn.execute(text(sql), {"ids": list(auth_config_ids)})
        return {row.auth_config_id: _row(row._asdict()) for row in rows}

    async def claim(self, seen: TokenRow, holder: str, seconds: float) -> TokenRow | None:
        """Take the lease, unless somebody holds it or has tried since `seen` was read.

        The new fencing token is higher than every one before.
        """
        sql = f"""update tokens set fencing_token = fencing_token + 1, holder = :holder,
                held_until = clock_timestamp() + make_interval(secs => :seconds)
            where {_OWN} and epoch = :epoch and (held_until is null or held_until < clock_timestamp())
            returning {_COLUMNS}"""
        values = {
            "id": seen.auth_config_id, "fencing_token": seen.fencing_token, "epoch": seen.epoch,
            "holder": holder, "seconds": seconds,
        }  # fmt: skip
        row = (await self._conn.execute(text(sql), values)).first()
        return _row(row._asdict()) if row else None

    async def hold(self, own: TokenRow, seconds: float) -> bool:
        """Keep the lease for longer; False when somebody else has it."""
        sql = f"""update tokens set held_until = clock_timestamp() + make_interval(secs => :seconds)
            where {_OWN} and held_until is not null"""
        return await self._run(sql, id=own.auth_config_id, fencing_token=own.fencing_token, seconds=seconds)

    async def keep(self, own: TokenRow, token: Token, version: int) -> bool:
        """Note a token that the vault has taken, and give the lease back.

        The vault takes one writer's version only, so it decides; whoever comes late with a version that the
        vault has taken still counts, unless a person changed the configuration meanwhile.
        """
        sql = """update tokens set state = 'ready', version = :version, token_id = :token_id,
                issue_time = clock_timestamp(), expire_time = :expire_time, refresh_time = :refresh_time,
                scopes = :scopes, failure_reason = '', failure_message = '', failures = 0,
                failure_is_permanent = false, rest_until = null,
                held_until = case when fencing_token = :fencing_token then null else held_until end
            where auth_config_id = :id and epoch = :epoch and version < :version"""
        return await self._run(
            sql, id=own.auth_config_id, fencing_token=own.fencing_token, epoch=own.epoch, version=version,
            token_id=token.token_id, expire_time=token.expire_time, refresh_time=token.refresh_time,
            scopes=list(token.scopes),
        )  # fmt: skip

    async def fail(
        self, own: TokenRow, state: TokenState, reason: str, message: str, *, permanent: bool, rest: float
    ) -> bool:
        """Note why there is no token, and give the lease back."""
        sql = f"""update tokens set state = :state, failure_reason = :reason, failure_message = :message,
                failure_is_permanent = :permanent, failures = failures + 1, held_until = null,
                rest_until = clock_timestamp() + make_interval(secs => :rest)
            where {_OWN}"""
        return await self._run(
            sql, id=own.auth_config_id, fencing_token=own.fencing_token, state=state, reason=reason,
            message=message, permanent=permanent, rest=rest,
        )  # fmt: skip

    async def reset(
        self, auth_config_id: str, state: TokenState | None, *, forget_version: bool = False
    ) -> None:
        """Make all tokens of before worthless, those included that somebody is just getting.

        Args:
            auth_config_id: Whose.
            state: Whether tokens can be had from now on; None leaves that as it is.
            forget_version: The vault has lost all versions, too.
        """
        sql = """update tokens set epoch = epoch + 1, fencing_token = fencing_token + 1, held_until = null,
                state = coalesce(:state, state), token_id = '', issue_time = null, expire_time = null,
                refresh_time = null, scopes = '{}', failure_reason = '', failure_message = '',
                failure_is_permanent = false, failures = 0, rest_until = null,
                version = case when :forget then 0 else version end
            where auth_config_id = :id"""
        await self._run(sql, id=auth_config_id, state=state, forget=forget_version)

    async def remove(self, auth_config_id: str) -> None:
        """Forget a configuration."""
        await self._run("delete from tokens where auth_config_id = :id", id=auth_config_id)

    async def _run(self, sql: str, **values: Any) -> bool:
        return bool((await self._conn.execute(text(sql), values)).rowcount)


def _row(row: Mapping[str, Any]) -> TokenRow:
    flags = {name: bool(row[name]) for name in ("is_held", "is_unfinished", "is_resting")}
    return TokenRow(**{**row, **flags, "state": TokenState(row["state"]), "scopes": tuple(row["scopes"])})


__all__ = ["TokenRows"]
