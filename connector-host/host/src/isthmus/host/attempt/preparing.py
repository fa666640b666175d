"""Everything an attempt needs before the first record moves."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.deletions import Deletions
from isthmus.host.attempt.digests import digest_plan, is_announcing
from isthmus.host.attempt.legs import side_plan, writer_id
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.attempt.splitting import check_split
from isthmus.host.attempt.watching import Expectations
from isthmus.host.backend import Bound
from isthmus.host.binding import Resolver
from isthmus.host.control import ControlPlane, call, persist
from isthmus.host.modes import best_read_mode
from isthmus.host.plans import Plans
from isthmus.mapper import Plan
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.resilience import RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_HOST_SECONDS, _VAULT_SECONDS = 5.0, 2.0
_VAULT = frozenset({"VAULT_SEALED", "VAULT_UNREACHABLE"})
# What they write carries the keys that the hub has given it.
_KEEPING_KEYS = frozenset({scheduling.LEG_WRITE_DESTINATION, scheduling.LEG_DELETE_EXTRA})
_MOST_HOSTS = 1000


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is known before reading begins.

    Attributes:
        source: The instance to read.
        mapper: Turns pages into pieces.
        target_schema: JSON Schema of mapped records; empty when unknown.
        mapping_version: The version in use; 0 for none.
        plan: The mapping; None passes records on unchanged.
        privacy: How sensitive the records are, once the source has told what they look like.
    """

    source: Bound
    mapper: PageMapper
    target_schema: str
    mapping_version: int
    plan: Plan | None = None
    privacy: Privacy = field(default_factory=Privacy)


class _VaultGone(Exception):
    """Scheduling is told soon what an execution waits for; meanwhile it takes no place here."""

    def __init__(self, fault: RetryLater) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Preparing:
    """Asks the control plane for what a flow needs.

    Args:
        control: The control plane.
        resolver: Completes the source's binding.
        plans: Compiled mappings.
        patience: Seconds to wait for a service that is away.
    """

    def __init__(self, control: ControlPlane, resolver: Resolver, plans: Plans, *, patience: float) -> None:
        self._control = control
        self.resolver = resolver
        self._plans = plans
        self._patience = patience
        self._hosts: dict[tuple[str, str], tuple[registry.Host, float]] = {}
        self.expectations = Expectations()
        """What the schemas of streams were when they were last asked for."""

    async def prepare(self, tenant_id: str, grant: scheduling.AcquireLeaseResponse) -> Preparation:
        """Resolve the source and compile the mapping.

        Raises:
            Fault: Something of it is missing, refused or away for too long.
        """
        flow = grant.flow
        source = await self.source(tenant_id, flow.source.instance_id, etag=grant.source_etag)
        plan, schema, version = None, "", 0
        if flow.mapping_id:
            version = grant.execution.mapping_version or flow.mapping_version
            plan, schema = await persist(
                lambda: self._plans.get(tenant_id, flow.mapping_id, version), seconds=self._patience
            )
        splits = plan is not None and plan.splits
        if splits:
            check_split(flow, grant.leg)
        keeps_keys = is_announcing(grant.leg) or grant.leg in _KEEPING_KEYS
        key = () if keeps_keys else flow.destination_key
        form = digest_plan(grant, plan) if is_announcing(grant.leg) else side_plan(flow, grant.leg, plan)
        mapper = PageMapper(
            form,
            key,
            maps_deletions=grant.leg == scheduling.LEG_WRITE_SOURCE,
            deletions=Deletions.of(flow, grant.leg),
            splits=splits,
        )
        return Preparation(source, mapper, schema, version, plan)

    async def source(self, tenant_id: str, instance_id: str, *, fresh: float = 5.0, etag: str = "") -> Bound:
        """Return the source's connection; with `fresh=0` its secret is asked for anew.

        An instance that is known under the etag is not read again.
        """
        binding = connector.Binding(instance_id=instance_id, etag=etag)

        begun = time.monotonic()

        async def resolved() -> Bound:
            bound = await self.resolver.configuration(tenant_id, binding)
            try:
                return await self.resolver.authenticated(bound, fresh=fresh)
            except RetryLater as fault:
                if fault.reason in _VAULT and time.monotonic() - begun >= _VAULT_SECONDS:
                    raise _VaultGone(fault) from fault
                raise

        try:
            return await persist(resolved, seconds=self._patience)
        except _VaultGone as gone:
            raise gone.fault from gone

    def way_to(self, tenant_id: str, instance_id: str) -> Callable[[], Awaitable[Any]]:
        """Return what gives the stub of a host that serves the destination.

        A host that was found a moment ago is taken again; it is looked for anew when the stub is asked
        for a second time, because then the first one has failed.
        """
        tries = 0

        async def connect() -> Any:
            nonlocal tries
            tries += 1
            key, now = (tenant_id, instance_id), time.monotonic()
            host, until = self._hosts.get(key, (None, 0.0))
            if host is None or tries > 1 or now >= until:
                host = await self._host_of(instance_id)
                self._hosts[key] = (host, now + _HOST_SECONDS)
                while len(self._hosts) > _MOST_HOSTS:
                    del self._hosts[next(iter(self._hosts))]
            return self._control.connector(host.connector_id, host.address)

        return connect

    async def _host_of(self, instance_id: str) -> registry.Host:
        """Return a host that serves an instance.

        Raises:
            Fault: `HOST_UNAVAILABLE`, or the instance is not there.
        """
        request = registry.ResolveHostRequest(instance_id=instance_id)
        answer = await call(self._control.registry.ResolveHost, request, seconds=30.0)
        host: registry.Host = answer.host
        return host


def opening_of(
    grant: scheduling.AcquireLeaseResponse,
    preparation: Preparation,
    stream: connector.StreamSpec,
    connector_id: str,
    generation_id: str = "",
) -> connector.WriteOpen:
    """Return the first message to the destination."""
    flow = grant.flow
    is_requeue = grant.execution.trigger == scheduling.Execution.TRIGGER_REQUEUE
    return connector.WriteOpen(
        binding=connector.Binding(instance_id=flow.destination.instance_id, etag=grant.destination_etag),
        stream=flow.destination.stream,
        flow_id=writer_id(flow, grant.leg),
        execution_id=grant.execution.execution_id,
        fencing_token=grant.fencing_token,
        mode=flow.write_mode or connector.WRITE_MODE_UPSERT,
        json_schema=preparation.target_schema or ("" if flow.mapping_id else stream.json_schema),
        primary_key=flow.destination_key or stream.primary_key,
        origin=f"{connector_id}/{flow.source.instance_id}/{flow.source.stream}",
        is_requeue=is_requeue,
        is_preview=grant.execution.is_dry_run,
        generation_id=generation_id,
        # What comes out of quarantine is read without the source, which knows more.
        field_classes=() if is_requeue else preparation.privacy.field_classes,
    )


def read_mode(flow: scheduling.Flow, stream: connector.StreamSpec) -> int:
    """Return how the source is read: as the flow says, else in the best mode the stream offers."""
    return flow.read_mode or best_read_mode(stream)


__all__ = ["Preparation", "Preparing", "opening_of", "read_mode"]
