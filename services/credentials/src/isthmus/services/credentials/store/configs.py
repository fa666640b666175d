"""Configurations and leases."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.credentials.domain import (
    AuthConfig,
    AuthType,
    Lease,
    OAuth,
    Parameters,
    Rotation,
    RotationAction,
    RotationStage,
    revoked,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

COLUMNS = """tenant_id, auth_config_id, name, description, auth_type, header_name, prefix, query_parameter,
    username, is_system_account, secret_version, expire_time, last_used_time, created_by, create_time,
    update_time, revision, oauth, key_id, region, service,
    revoke_time, old_secret_version, overlap_end_time, old_until, alternate_username,
    rotation_action, rotation_every_days, rotation_overlap_seconds, rotation_next_time, rotation_last_time,
    rotation_last_by, rotation_stage, rotation_version, rotation_wanted_by, rotation_keep_seconds,
    rotation_try_time, rotation_failures, rotation_failure_reason, rotation_failure_message,
    further_secrets"""
_NAMES = tuple(name.strip() for name in COLUMNS.split(","))
_FIXED = {"tenant_id", "auth_config_id", "auth_type", "created_by", "create_time", "last_used_time"}
_PARAMETERS = tuple(Parameters.__dataclass_fields__)
_ROTATION = {f"rotation_{name}": name for name in Rotation.__dataclass_fields__}


class Rows:
    """Authentication configurations that one transaction sees."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn

    async def add(self, config: AuthConfig) -> None:
        """Store a new configuration.

        Raises:
            AlreadyExists: `AUTH_CONFIG_NAME_TAKEN`.
        """
        sql = f"""insert into auth_configs ({COLUMNS})
            values ({", ".join(f":{name}" for name in _NAMES)})
            on conflict (tenant_id, name) do nothing"""
        if not (await self.conn.execute(text(sql), _fields(config))).rowcount:
            raise _name_taken(config.name)

    async def change(self, config: AuthConfig) -> None:
        """Store a changed configuration.

        Raises:
            AlreadyExists: `AUTH_CONFIG_NAME_TAKEN`.
        """
        other = "select 1 from auth_configs where name = :name and auth_config_id <> :auth_config_id"
        fields = _fields(config)
        if (await self.conn.execute(text(other), fields)).first():
            raise _name_taken(config.name)
        changing = ", ".join(f"{name} = :{name}" for name in _NAMES if name not in _FIXED)
        sql = f"update auth_configs set {changing} where auth_config_id = :auth_config_id"
        await self.conn.execute(text(sql), fields)

    async def find(self, auth_config_id: str, *, lock: bool = False) -> AuthConfig | None:
        """Return a configuration, or None; `lock` keeps others from changing it meanwhile."""
        sql = f"select {COLUMNS} from auth_configs where auth_config_id = :id" + (
            " for update" if lock else ""
        )
        row = (await self.conn.execute(text(sql), {"id": auth_config_id})).first()
        return config_of(row._asdict()) if row else None

    async def get(self, auth_config_id: str, *, lock: bool = False) -> AuthConfig:
        """Return a configuration.

        Raises:
            Missing: `AUTH_CONFIG_UNKNOWN`.
        """
        found = await self.find(auth_config_id, lock=lock)
        if found is None:
            message = f"There is no authentication configuration `{auth_config_id}` in this tenant."
            raise Missing("AUTH_CONFIG_UNKNOWN", message, path="auth_config_id")
        return found

    async def page(self, page: PageRequest, name: str) -> list[AuthConfig]:
        """Return configurations, oldest first, one more than the page holds."""
        sql = f"""select {COLUMNS} from auth_configs
            where auth_config_id > :after and (:name = '' or name = :name)
            order by auth_config_id limit :limit"""
        values = {"after": (page.after or {}).get("id", ""), "name": name, "limit": page.size + 1}
        return [config_of(row._asdict()) for row in await self.conn.execute(text(sql), values)]

    async def remove(self, auth_config_id: str) -> None:
        """Delete a configuration; the record of its leases stays."""
        await self.conn.execute(
            text("delete from auth_configs where auth_config_id = :id"), {"id": auth_config_id}
        )

    async def restore(self, auth_config_id: str) -> None:
        """Bring a configuration back into use."""
        sql = """update auth_configs set revoke_time = null
            where auth_config_id = :id and revoke_time is not null"""
        await self.conn.execute(text(sql), {"id": auth_config_id})

    async def fall_back(self, auth_config_id: str, refused: int, now: datetime, until: datetime) -> None:
        """Lend the old secret for a while, where the new one was refused in its overlap."""
        sql = """update auth_configs set old_until = :until
            where auth_config_id = :id and secret_version = :refused and overlap_end_time > :now
                and (old_until is null or old_until <= :now)"""
        values = {"id": auth_config_id, "refused": refused, "now": now, "until": until}
        await self.conn.execute(text(sql), values)

    async def expiring(self, until: datetime, most: int) -> list[AuthConfig]:
        """Return configurations whose secret ends soon, and note that their owners were reminded of that."""
        sql = f"""update auth_configs set reminded_of = expire_time
            where (tenant_id, auth_config_id) in (
                select tenant_id, auth_config_id from auth_configs
                where expire_time <= :until and reminded_of is distinct from expire_time
                    and revoke_time is null
                limit :most for update skip locked)
            returning {COLUMNS}"""
        rows = await self.conn.execute(text(sql), {"until": until, "most": most})
        return [config_of(row._asdict()) for row in rows]

    async def lend(self, lease: Lease) -> None:
        """Record a lease; the time of last use is kept to the minute, which spares most writes.

        Raises:
            Precondition: `AUTH_CONFIG_REVOKED`, somebody was faster.
        """
        sql = """insert into leases (tenant_id, lease_id, auth_config_id, instance_id, host_id,
                secret_version, create_time, expire_time)
            select tenant_id, :lease_id, auth_config_id, :instance_id, :host_id, :secret_version,
                :create_time, :expire_time
            from auth_configs where auth_config_id = :auth_config_id and revoke_time is null"""
        values = {name: value for name, value in asdict(lease).items() if name != "tenant_id"}
        if not (await self.conn.execute(text(sql), values)).rowcount:
            raise revoked(lease.auth_config_id)
        used = """update auth_configs set last_used_time = :now where auth_config_id = :id
            and (last_used_time is null or last_used_time < :now - interval '1 minute')"""
        values = {"now": lease.create_time, "id": lease.auth_config_id}
        await self.conn.execute(text(used), values)


def _name_taken(name: str) -> AlreadyExists:
    message = f"There is an authentication configuration `{name}` already; choose another name."
    return AlreadyExists("AUTH_CONFIG_NAME_TAKEN", message, path="name")


def _fields(config: AuthConfig) -> dict[str, Any]:
    inner = {"parameters", "rotation"}
    values = {name: getattr(config, name) for name in config.__dataclass_fields__ if name not in inner}
    values["oauth"] = json.dumps(asdict(config.oauth))
    values["further_secrets"] = list(config.further_secrets)
    values |= {column: getattr(config.rotation, name) for column, name in _ROTATION.items()}
    return values | {name: getattr(config.parameters, name) for name in _PARAMETERS}


def config_of(row: Mapping[str, Any]) -> AuthConfig:
    """Give what a row of `COLUMNS` says."""
    parameters = Parameters(**{name: row[name] for name in _PARAMETERS})
    oauth = OAuth(**{**row["oauth"], "scopes": tuple(row["oauth"].get("scopes", ()))})
    told = {name: row[column] for column, name in _ROTATION.items()}
    told |= {"action": RotationAction(told["action"]), "stage": RotationStage(told["stage"])}
    inner = {*_PARAMETERS, *_ROTATION, "auth_type", "oauth", "further_secrets"}
    rest = {name: value for name, value in row.items() if name not in inner}
    return AuthConfig(
        auth_type=AuthType(row["auth_type"]),
        parameters=parameters,
        oauth=oauth,
        rotation=Rotation(**told),
        further_secrets=tuple(row["further_secrets"]),
        **rest,
    )


__all__ = ["COLUMNS", "Rows", "config_of"]
