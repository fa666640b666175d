"""RPCs about instances."""

from dataclasses import replace
from typing import Any

from isthmus.kit import Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.host_rights import refuse_hosts, require_work_on
from isthmus.kit.quotas import check_room, counted
from isthmus.kit.validation import validating
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.services.registry import convert
from isthmus.services.registry.domain.configuration import canonical, check_configuration
from isthmus.services.registry.domain.instances import (
    check_deletable,
    check_is_not_hub,
    reconfigured,
    revision_of,
)
from isthmus.services.registry.domain.limits import check_limits
from isthmus.services.registry.domain.model import Instance, Status
from isthmus.services.registry.servicer.desk import Desk
from isthmus.services.registry.store import InstanceFilter, Work

_LARGEST_CONFIGURATION = 256 * 1024
_MOST_STATUSES = 10


class InstanceRpcs:
    """Creates, changes and shows instances."""

    _desk: Desk

    async def RedactTexts(self, request: pb.RedactTextsRequest, context: Any) -> pb.RedactTextsResponse:
        """Replace a text in answers and events that are kept."""
        return await self._desk.store.redactor.answer(request, pb.RedactTextsResponse)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        """Count the tenant's instances."""
        refuse_hosts()
        async with self._desk.store.of(current_principal().tenant_id) as work:
            return pb.GetUsageResponse(used={"instances": await counted(work.conn, "instances")})

    async def CreateInstance(
        self, request: pb.CreateInstanceRequest, context: Any
    ) -> pb.CreateInstanceResponse:
        """Create an instance."""
        configuration, limits = checked_fields(request)
        check_is_not_hub(request.connector_id)

        async def produce() -> pb.CreateInstanceResponse:
            instance = await self._new(work, request, configuration, limits)
            await check_room(work.conn, "instances", current_principal().quotas.instances, "instances")
            await work.instances.add(instance)
            await work.instances.add_revision(
                revision_of(instance, by=instance.created_by, now=instance.create_time)
            )
            await self._desk.announce(work, "created", instance)
            return pb.CreateInstanceResponse(instance=(await self._desk.shown(work, [instance]))[0])

        async with self._desk.store.of(current_principal().tenant_id) as work:
            return await once(work.conn, "CreateInstance", request, produce, pb.CreateInstanceResponse)

    async def GetInstance(self, request: pb.GetInstanceRequest, context: Any) -> pb.GetInstanceResponse:
        """Read an instance."""
        require_work_on(request.instance_id)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await self._desk.instance(work, request.instance_id)
            return pb.GetInstanceResponse(instance=(await self._desk.shown(work, [instance]))[0])

    async def ListInstances(self, request: pb.ListInstancesRequest, context: Any) -> pb.ListInstancesResponse:
        """List instances."""
        refuse_hosts()
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        wanted = InstanceFilter(
            request.connector_id, request.name, request.auth_config_id, _statuses(request)
        )
        async with self._desk.store.of(current_principal().tenant_id) as work:
            found = await work.instances.page(page, wanted)
            shown = Page.of(found, page, lambda row: {"id": row.instance_id})
            return pb.ListInstancesResponse(
                instances=await self._desk.shown(work, shown.items), next_page_token=shown.next_token
            )

    async def UpdateInstance(
        self, request: pb.UpdateInstanceRequest, context: Any
    ) -> pb.UpdateInstanceResponse:
        """Replace what may change of an instance; what is equal already is not written."""
        configuration, limits = checked_fields(request)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await work.instances.get(request.instance_id, lock=True)
            check_etag(request.etag, instance.revision)
            tell(before=instance)
            connector = await self._desk.connector(work, instance.connector_id)
            check_configuration(connector.spec, configuration)
            if request.auth_config_id != instance.auth_config_id:
                await self._desk.check_auth_config(request.auth_config_id)
            changed = reconfigured(
                replace(instance, name=request.name, description=request.description),
                configuration=canonical(configuration),
                auth_config_id=request.auth_config_id,
                limits=canonical(limits),
                connector_version=connector.newest,
                now=self._desk.clock.now(),
            )
            stored = await save(self._desk, work, instance, changed)
            return pb.UpdateInstanceResponse(instance=(await self._desk.shown(work, [stored]))[0])

    async def DeleteInstance(
        self, request: pb.DeleteInstanceRequest, context: Any
    ) -> pb.DeleteInstanceResponse:
        """Delete an instance."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await work.instances.find(request.instance_id, lock=True)
            if instance is not None:
                check_etag(request.etag, instance.revision)
                tell(before=instance)
                check_deletable(instance)
                await work.instances.remove(instance)
                await self._desk.announce(work, "deleted", instance)
        return pb.DeleteInstanceResponse()

    async def DeactivateInstance(
        self, request: pb.DeactivateInstanceRequest, context: Any
    ) -> pb.DeactivateInstanceResponse:
        """Switch an instance off."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await work.instances.get(request.instance_id, lock=True)
            if instance.status is not Status.INACTIVE:
                off = replace(instance, status=Status.INACTIVE, update_time=self._desk.clock.now())
                instance = await work.instances.save(off)
                await self._desk.announce(work, "deactivated", instance)
            return pb.DeactivateInstanceResponse(instance=(await self._desk.shown(work, [instance]))[0])

    async def _new(
        self,
        work: Work,
        request: pb.CreateInstanceRequest,
        configuration: dict[str, Any],
        limits: dict[str, Any],
    ) -> Instance:
        connector = await self._desk.connector(work, request.connector_id)
        check_configuration(connector.spec, configuration)
        await self._desk.check_auth_config(request.auth_config_id)
        caller = current_principal()
        now = self._desk.clock.now()
        return Instance(
            tenant_id=caller.tenant_id,
            instance_id=new_id("ins"),
            name=request.name,
            description=request.description,
            connector_id=request.connector_id,
            connector_version=connector.newest,
            status=Status.CONFIGURING,
            configuration=canonical(configuration),
            auth_config_id=request.auth_config_id,
            configuration_revision=1,
            created_by=caller.subject,
            create_time=now,
            update_time=now,
            limits=canonical(limits),
        )


def checked_fields(
    request: pb.CreateInstanceRequest | pb.UpdateInstanceRequest,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Refuse fields without sense and return the configuration and the limits.

    Raises:
        FixRequest: `FIELD_INVALID`, `LIMITS_INVALID`.
    """
    with validating() as check:
        check.text("name", request.name, longest=100)
        check.text("description", request.description, required=False, lines=True)
        if len(request.configuration) > _LARGEST_CONFIGURATION:
            check.add("configuration", "TOO_LONG", "Shorten `configuration` to 256 KiB.")
        configuration: dict[str, Any] = check.json("configuration", request.configuration)
        limits: dict[str, Any] = check.json("limits", request.limits)
    check_limits(limits)
    return configuration, limits


async def save(
    desk: Desk, work: Work, before: Instance, after: Instance, *, rolled_back_to: int = 0
) -> Instance:
    """Store a changed instance, keep its configuration as a revision, and tell others.

    An instance that differs in nothing but its times is left as it is.
    """
    if replace(after, update_time=before.update_time) == before:
        return before
    stored = await work.instances.save(after)
    if stored.configuration_revision != before.configuration_revision:
        by = current_principal().subject
        revision = revision_of(stored, by=by, now=desk.clock.now(), rolled_back_to=rolled_back_to)
        await work.instances.add_revision(revision)
    await desk.announce(work, "updated", stored)
    return stored


def _statuses(request: pb.ListInstancesRequest) -> list[Status]:
    wanted = [convert.status(number) for number in request.statuses]
    with validating() as check:
        check.count("statuses", wanted, most=_MOST_STATUSES)
        if None in wanted:
            check.add("statuses", "UNKNOWN_VALUE", "Use states that this version knows for `statuses`.")
    return [status for status in wanted if status is not None]


__all__ = ["InstanceRpcs", "checked_fields", "save"]
