"""Instances and the revisions of their configuration."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import AlreadyExists
from isthmus.services.registry.domain.instances import unknown_instance, unknown_revision
from isthmus.services.registry.domain.model import Instance, Revision, Status
from isthmus.services.registry.store.rows import Rows, fields, window

_ONE = "select * from instances where instance_id = :i"
_ONE_LOCKED = f"{_ONE} for update"


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances a list is about; what is empty does not narrow it."""

    connector_id: str = ""
    name: str = ""
    auth_config_id: str = ""
    statuses: Iterable[Status] = ()


class InstanceRows(Rows):
    """The instances that one transaction sees."""

    async def add(self, instance: Instance) -> None:
        """Store a new instance.

        Raises:
            AlreadyExists: `INSTANCE_NAME_TAKEN`.
        """
        sql = """insert into instances (tenant_id, instance_id, name, description, connector_id,
                connector_version, status, configuration, auth_config_id, configuration_revision, created_by,
                create_time, update_time, error_message, last_connected_time, revision, limits)
            values (:tenant_id, :instance_id, :name, :description, :connector_id, :connector_version, :status,
                :configuration, :auth_config_id, :configuration_revision, :created_by, :create_time,
                :update_time, :error_message, :last_connected_time, :revision, :limits)
            on conflict (tenant_id, name) do nothing returning 1"""
        if await self._first(sql, **fields(instance)) is None:
            raise _name_taken(instance.name)

    async def find(self, instance_id: str, *, lock: bool = False) -> Instance | None:
        """Return an instance or None; `lock` keeps others from changing it meanwhile."""
        row = await self._first(_ONE_LOCKED if lock else _ONE, i=instance_id)
        return _instance(row) if row else None

    async def get(self, instance_id: str, *, lock: bool = False) -> Instance:
        """Return an instance.

        Raises:
            Missing: `INSTANCE_UNKNOWN`.
        """
        instance = await self.find(instance_id, lock=lock)
        if instance is None:
            raise unknown_instance(instance_id)
        return instance

    async def page(self, page: PageRequest, wanted: InstanceFilter) -> list[Instance]:
        """Return instances, oldest first, one more than the page holds."""
        sql = """select * from instances where instance_id > :after
            and (:connector = '' or connector_id = :connector) and (:name = '' or name = :name)
            and (:auth = '' or auth_config_id = :auth)
            and (cardinality(cast(:statuses as text[])) = 0 or status = any(:statuses))
            order by instance_id limit :limit"""
        rows = await self._all(
            sql,
            connector=wanted.connector_id,
            name=wanted.name,
            auth=wanted.auth_config_id,
            statuses=[status.value for status in wanted.statuses],
            **window(page),
        )
        return [_instance(row) for row in rows]

    async def any_of_connector(self, connector_id: str) -> Instance | None:
        """Return some instance of a connector."""
        row = await self._first("select * from instances where connector_id = :c limit 1", c=connector_id)
        return _instance(row) if row else None

    async def save(self, instance: Instance) -> Instance:
        """Replace what may change of an instance and return it with its next etag.

        Raises:
            AlreadyExists: `INSTANCE_NAME_TAKEN`.
        """
        changed = replace(instance, revision=instance.revision + 1)
        await self._check_name(changed)
        sql = """update instances set name = :name, description = :description,
                connector_version = :connector_version, status = :status, configuration = :configuration,
                auth_config_id = :auth_config_id, configuration_revision = :configuration_revision,
                update_time = :update_time, error_message = :error_message,
                last_connected_time = :last_connected_time, revision = :revision, limits = :limits
            where tenant_id = :tenant_id and instance_id = :instance_id"""
        await self._run(sql, **fields(changed))
        return changed

    async def note_check(self, instance: Instance) -> None:
        """Keep what a check found; the etag stays, since nobody changed anything."""
        sql = """update instances
            set error_message = :error_message, last_connected_time = :last_connected_time
            where tenant_id = :tenant_id and instance_id = :instance_id
            and configuration_revision = :configuration_revision"""
        await self._run(sql, **fields(instance))

    async def remove(self, instance: Instance) -> None:
        """Delete an instance with its revisions."""
        sql = "delete from instances where tenant_id = :t and instance_id = :i"
        await self._run(sql, t=instance.tenant_id, i=instance.instance_id)

    async def add_revision(self, revision: Revision) -> None:
        """Keep one state of a configuration."""
        sql = """insert into configuration_revisions (tenant_id, instance_id, revision, configuration,
                auth_config_id, created_by, create_time, rolled_back_to, limits)
            values (:tenant_id, :instance_id, :revision, :configuration, :auth_config_id, :created_by,
                :create_time, :rolled_back_to, :limits)"""
        await self._run(sql, **fields(revision))

    async def revision(self, instance_id: str, number: int) -> Revision:
        """Return one state of a configuration.

        Raises:
            Missing: `REVISION_UNKNOWN`.
        """
        sql = "select * from configuration_revisions where instance_id = :i and revision = :n"
        row = await self._first(sql, i=instance_id, n=number)
        if row is None:
            raise unknown_revision(number)
        return Revision(**row)

    async def revisions(self, instance_id: str, page: PageRequest) -> list[Revision]:
        """Return states of a configuration, newest first, one more than the page holds."""
        sql = """select * from configuration_revisions where instance_id = :i and revision < :before
            order by revision desc limit :limit"""
        before = (page.after or {}).get("revision", 2**31 - 1)
        return [
            Revision(**row) for row in await self._all(sql, i=instance_id, before=before, limit=page.size + 1)
        ]

    async def _check_name(self, instance: Instance) -> None:
        sql = "select 1 from instances where name = :name and instance_id <> :instance_id"
        if await self._first(sql, name=instance.name, instance_id=instance.instance_id):
            raise _name_taken(instance.name)


def _name_taken(name: str) -> AlreadyExists:
    message = f"There is an instance `{name}` already; choose another name."
    return AlreadyExists("INSTANCE_NAME_TAKEN", message, path="name")


def _instance(row: dict[str, Any]) -> Instance:
    return Instance(**{**row, "status": Status(row["status"])})


__all__ = ["InstanceFilter", "InstanceRows"]
