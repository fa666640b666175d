"""RPCs that go to the external system: check, activate, discover."""

from collections.abc import AsyncIterator
from typing import Any

from isthmus.connector.v1 import connector_pb2
from isthmus.kit import current_principal
from isthmus.kit.validation import validating
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import Conflict, Fault, LimitReached, RetryLater
from isthmus.services.registry import convert
from isthmus.services.registry.domain.checking import Verdict, activated, observed
from isthmus.services.registry.domain.configuration import canonical, check_configuration
from isthmus.services.registry.domain.limits import check_limits
from isthmus.services.registry.domain.model import HUB, Instance
from isthmus.services.registry.prober import Target
from isthmus.services.registry.servicer.desk import Desk
from isthmus.services.registry.store import Work

_FAILED = connector_pb2.CheckStep.RESULT_FAILED


class CheckRpcs:
    """Tries instances at their external systems."""

    _desk: Desk

    async def CheckInstance(
        self, request: pb.CheckInstanceRequest, context: Any
    ) -> AsyncIterator[pb.CheckInstanceResponse]:
        """Try an instance, or a configuration that is not saved yet."""
        instance, target = await self._what(request)
        steps = []
        async for step in self._desk.prober.check(target):
            steps.append(step)
            yield pb.CheckInstanceResponse(step=step)
        if instance is not None and instance.instance_id != HUB:
            seen = observed(instance, Verdict.of(map(convert.step, steps)), self._desk.clock.now())
            async with self._desk.store.of(instance.tenant_id) as work:
                await work.instances.note_check(seen)

    async def ActivateInstance(
        self, request: pb.ActivateInstanceRequest, context: Any
    ) -> pb.ActivateInstanceResponse:
        """Check an instance and let its flows run."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await self._desk.instance(work, request.instance_id)
            target = await target_of(self._desk, work, instance)
        steps, verdict = await self._judge(target)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            if instance.instance_id != HUB:
                instance = await self._activate(work, instance, verdict)
            shown = await self._desk.shown(work, [instance])
        return pb.ActivateInstanceResponse(instance=shown[0], steps=steps)

    async def DiscoverInstance(
        self, request: pb.DiscoverInstanceRequest, context: Any
    ) -> pb.DiscoverInstanceResponse:
        """List the streams that an instance offers now."""
        async with self._desk.store.of(current_principal().tenant_id) as work:
            target = await target_of(self._desk, work, await self._desk.instance(work, request.instance_id))
        found = await self._desk.prober.discover(target, request.page_size, request.page_token)
        return pb.DiscoverInstanceResponse(streams=found.streams, next_page_token=found.next_page_token)

    async def _what(self, request: pb.CheckInstanceRequest) -> tuple[Instance | None, Target]:
        async with self._desk.store.of(current_principal().tenant_id) as work:
            if request.instance_id:
                instance = await self._desk.instance(work, request.instance_id)
                return instance, await target_of(self._desk, work, instance)
            with validating() as check:
                configuration = check.json("configuration", request.configuration)
                limits = check.json("limits", request.limits)
            connector = await self._desk.connector(work, request.connector_id)
        check_configuration(connector.spec, configuration)
        check_limits(limits)
        binding = connector_pb2.Binding(
            configuration=canonical(configuration),
            auth_config_id=request.auth_config_id,
            limits=canonical(limits),
        )
        return None, Target(connector.tenant_id, request.connector_id, binding)

    async def _judge(self, target: Target) -> tuple[list[connector_pb2.CheckStep], Verdict]:
        """Check a target; what ends the check early is told as one more step that failed."""
        steps = []
        try:
            async for step in self._desk.prober.check(target):
                steps.append(step)
        except (RetryLater, LimitReached):
            raise
        except Fault as fault:
            steps.append(_failed(fault))
            return steps, Verdict.of_fault(fault)
        return steps, Verdict.of(map(convert.step, steps))

    async def _activate(self, work: Work, checked: Instance, verdict: Verdict) -> Instance:
        instance = await work.instances.get(checked.instance_id, lock=True)
        if instance.configuration_revision != checked.configuration_revision:
            message = f"`{instance.name}` was changed while it was checked; activate it again."
            raise Conflict("ETAG_MISMATCH", message)
        stored = await work.instances.save(activated(instance, verdict, self._desk.clock.now()))
        await self._desk.announce(work, "failed" if verdict.trouble else "activated", stored)
        return stored


async def target_of(desk: Desk, work: Work, instance: Instance) -> Target:
    """What is to be called for an instance."""
    if instance.instance_id == HUB:
        return Target.hub()
    connector = await desk.connector(work, instance.connector_id)
    binding = connector_pb2.Binding(instance_id=instance.instance_id)
    return Target(connector.tenant_id, instance.connector_id, binding)


def _failed(fault: Fault) -> connector_pb2.CheckStep:
    return connector_pb2.CheckStep(step="check", result=_FAILED, reason=fault.reason, message=fault.message)


__all__ = ["CheckRpcs"]
