"""Rotations that are due or under way, and who is at them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.credentials.domain import AuthConfig
from isthmus.services.credentials.store.configs import COLUMNS, config_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_OWN = "auth_config_id = :id and rotation_fencing_token = :fencing_token"
# Nobody begins anew while the old secret of a rotation by hand is still kept.
_FREE = """rotation_stage = '' and revoke_time is null
    and (overlap_end_time is null or overlap_end_time <= :now)"""


@dataclass(frozen=True, slots=True)
class Held:
    """A rotation that nobody else works at until the lease ends.

    Attributes:
        config: As it was when the lease was taken.
        fencing_token: Higher than that of everybody before.
    """

    config: AuthConfig
    fencing_token: int


class RotationRows:
    """Rotations that one transaction sees."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def reminded(self, now: datetime, most: int) -> list[AuthConfig]:
        """Return what a person has to rotate, and note that the owners were told."""
        sql = f"""update auth_configs set rotation_reminded_of = rotation_next_time
            where (tenant_id, auth_config_id) in (
                select tenant_id, auth_config_id from auth_configs
                where rotation_action = 'remind' and rotation_next_time <= :now
                    and rotation_reminded_of is distinct from rotation_next_time and revoke_time is null
                limit :most for update skip locked)
            returning {COLUMNS}"""
        rows = await self._conn.execute(text(sql), {"now": now, "most": most})
        return [config_of(row._asdict()) for row in rows]

    async def begin_due(self, now: datetime, by: str) -> int:
        """Begin what policies want by now; gives how many."""
        sql = f"""update auth_configs set rotation_stage = 'renewing', rotation_wanted_by = :by,
                rotation_keep_seconds = rotation_overlap_seconds, rotation_try_time = :now
            where rotation_action = 'rotate' and rotation_next_time <= :now and {_FREE}"""
        return (await self._conn.execute(text(sql), {"now": now, "by": by})).rowcount

    async def begin(self, auth_config_id: str, by: str, keep_seconds: int, now: datetime) -> bool:
        """Begin one; False when another is under way."""
        sql = f"""update auth_configs set rotation_stage = 'renewing', rotation_wanted_by = :by,
                rotation_keep_seconds = :keep, rotation_try_time = :now
            where auth_config_id = :id and {_FREE}"""
        return await self._run(sql, id=auth_config_id, by=by, keep=keep_seconds, now=now)

    async def claim(self, now: datetime, seconds: float, auth_config_id: str = "") -> Held | None:
        """Take one that waits for somebody; None when there is none.

        Args:
            now: The time.
            seconds: For how long nobody else takes it.
            auth_config_id: Only this one.
        """
        sql = f"""update auth_configs set rotation_fencing_token = rotation_fencing_token + 1,
                rotation_held_until = clock_timestamp() + make_interval(secs => :seconds)
            where (tenant_id, auth_config_id) in (
                select tenant_id, auth_config_id from auth_configs
                where rotation_stage <> '' and rotation_try_time <= :now
                    and (rotation_held_until is null or rotation_held_until < clock_timestamp())
                    and (:id = '' or auth_config_id = :id)
                order by rotation_try_time limit 1 for update skip locked)
            returning {COLUMNS}, rotation_fencing_token"""
        values = {"now": now, "seconds": seconds, "id": auth_config_id}
        row = (await self._conn.execute(text(sql), values)).first()
        if row is None:
            return None
        found = row._asdict()
        return Held(fencing_token=found.pop("rotation_fencing_token"), config=config_of(found))

    async def own(self, held: Held) -> AuthConfig | None:
        """Return the configuration as it is now, locked; None when somebody else has the rotation."""
        sql = f"""select {COLUMNS} from auth_configs where {_OWN} and rotation_stage = :stage
            and secret_version = :version for update"""
        values = self._of(held) | {
            "stage": held.config.rotation.stage, "version": held.config.secret_version
        }  # fmt: skip
        row = (await self._conn.execute(text(sql), values)).first()
        return config_of(row._asdict()) if row else None

    async def note(self, held: Held, version: int) -> bool:
        """Note which version of the secret is the new one; False when somebody else has the rotation."""
        sql = f"""update auth_configs set rotation_version = :version
            where {_OWN} and rotation_stage = 'renewing' and secret_version = :base"""
        return await self._run(sql, version=version, base=held.config.secret_version, **self._of(held))

    async def release(self, held: Held) -> None:
        """Let others have it."""
        await self._run(f"update auth_configs set rotation_held_until = null where {_OWN}", **self._of(held))

    async def next_time(self) -> datetime | None:
        """Return when the next one is due or goes on; None when nothing is ahead."""
        sql = """select min(least(
                case when rotation_stage <> '' then greatest(rotation_try_time, rotation_held_until) end,
                case when rotation_stage = '' and (rotation_action = 'rotate'
                    or rotation_reminded_of is distinct from rotation_next_time)
                    then greatest(rotation_next_time, overlap_end_time) end))
            from auth_configs where revoke_time is null
                and (rotation_stage <> '' or rotation_next_time is not null)"""
        found: datetime | None = (await self._conn.execute(text(sql))).scalar_one()
        return found

    def _of(self, held: Held) -> dict[str, Any]:
        return {"id": held.config.auth_config_id, "fencing_token": held.fencing_token}

    async def _run(self, sql: str, **values: Any) -> bool:
        return bool((await self._conn.execute(text(sql), values)).rowcount)


__all__ = ["Held", "RotationRows"]
