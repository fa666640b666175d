"""RPCs about an instance's configuration and its history."""

import json
from typing import Any

from isthmus.kit import Page, PageRequest, check_etag, current_principal
from isthmus.kit.deed import tell
from isthmus.kit.host_rights import refuse_hosts
from isthmus.kit.validation import validating
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.services.registry import convert
from isthmus.services.registry.domain.configuration import check_configuration, violations
from isthmus.services.registry.domain.diff import differences
from isthmus.services.registry.domain.instances import reconfigured, revisions_to_compare
from isthmus.services.registry.domain.limits import check_limits, limits_violations
from isthmus.services.registry.domain.model import Revision
from isthmus.services.registry.servicer.desk import Desk
from isthmus.services.registry.servicer.instances import save
from isthmus.services.registry.store import Work


class RevisionRpcs:
    """Validates configurations, compares revisions and goes back to them."""

    _desk: Desk

    async def ValidateConfiguration(
        self, request: pb.ValidateConfigurationRequest, context: Any
    ) -> pb.ValidateConfigurationResponse:
        """Check a configuration without saving or connecting."""
        refuse_hosts()
        with validating() as check:
            configuration = check.json("configuration", request.configuration)
            limits = check.json("limits", request.limits)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            connector = await self._desk.connector(work, request.connector_id)
        found = violations(connector.spec, configuration) + limits_violations(limits)
        return pb.ValidateConfigurationResponse(violations=map(convert.violation, found))

    async def ListConfigurationRevisions(
        self, request: pb.ListConfigurationRevisionsRequest, context: Any
    ) -> pb.ListConfigurationRevisionsResponse:
        """List the revisions of an instance's configuration."""
        refuse_hosts()
        page = PageRequest.parse(request.page_size, request.page_token, keys={"revision": int})
        async with self._desk.store.of(current_principal().tenant_id) as work:
            await work.instances.get(request.instance_id)
            found = await work.instances.revisions(request.instance_id, page)
        shown = Page.of(found, page, lambda row: {"revision": row.revision})
        return pb.ListConfigurationRevisionsResponse(
            revisions=map(convert.revision, shown.items), next_page_token=shown.next_token
        )

    async def DiffConfiguration(
        self, request: pb.DiffConfigurationRequest, context: Any
    ) -> pb.DiffConfigurationResponse:
        """Tell what differs between two revisions."""
        refuse_hosts()
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await work.instances.get(request.instance_id)
            older, newer = revisions_to_compare(
                instance.configuration_revision, request.from_revision, request.to_revision
            )
            before = await _revision(work, request.instance_id, older)
            after = await _revision(work, request.instance_id, newer)
        return pb.DiffConfigurationResponse(changes=map(convert.change, differences(before, after)))

    async def RollBackConfiguration(
        self, request: pb.RollBackConfigurationRequest, context: Any
    ) -> pb.RollBackConfigurationResponse:
        """Make an older revision the newest one."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await work.instances.get(request.instance_id, lock=True)
            check_etag(request.etag, instance.revision)
            tell(before=instance)
            goal = await work.instances.revision(request.instance_id, request.revision)
            connector = await self._desk.connector(work, instance.connector_id)
            check_configuration(connector.spec, json.loads(goal.configuration))
            check_limits(json.loads(goal.limits))
            if goal.auth_config_id != instance.auth_config_id:
                await self._desk.check_auth_config(goal.auth_config_id)
            changed = reconfigured(
                instance,
                configuration=goal.configuration,
                auth_config_id=goal.auth_config_id,
                limits=goal.limits,
                connector_version=connector.newest,
                now=self._desk.clock.now(),
            )
            stored = await save(self._desk, work, instance, changed, rolled_back_to=goal.revision)
            return pb.RollBackConfigurationResponse(instance=(await self._desk.shown(work, [stored]))[0])


async def _revision(work: Work, instance_id: str, revision: int) -> Revision | None:
    return await work.instances.revision(instance_id, revision) if revision else None


__all__ = ["RevisionRpcs"]
