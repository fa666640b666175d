"""What the mesh holds now, in the words of the documents."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.client.manifest.both_ways import is_derived, spec_fields
from isthmus.client.manifest.credentials import spec_of
from isthmus.client.manifest.document import (
    EndpointSpec,
    FlowSpec,
    InstanceSpec,
    Kind,
    MappingSpec,
    ScheduleSpec,
    Spec,
    SubscriptionSpec,
)
from isthmus.client.manifest.plans import plan_spec
from isthmus.client.manifest.priorities import priority_word
from isthmus.client.manifest.schema_changes import policy_spec
from isthmus.client.mesh import Mesh, pages
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2
from isthmus.events.v1 import events_pb2
from isthmus.mapping.v1 import mapping_pb2, schemas_pb2
from isthmus.registry.v1 import registry_pb2
from isthmus.scheduling.v1 import plans_pb2, scheduling_pb2

HUB = "hub"


@dataclass(frozen=True)
class Held:
    """One thing that the mesh holds."""

    id: str
    name: str
    etag: str
    spec: Spec
    in_use: int | None = None
    """Of a mapping, the version that flows use, 0 for none, where it is another one than this."""


class State:
    """Reads each kind once, when it is first asked for."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def find(self, kind: Kind, name: str) -> Held | None:
        """Gives the thing of this kind and name, or None."""
        return self.all(kind).get(name)

    def all(self, kind: Kind) -> dict[str, Held]:
        """Gives everything of a kind by name."""
        held: dict[str, Held] = getattr(self, f"{kind.lower()}s")
        return held

    def forget(self, kind: Kind) -> None:
        """Makes the next question about a kind go to the mesh again."""
        self.__dict__.pop(kind.lower() + "s", None)
        if kind in {"Flow", "Plan"}:
            self.__dict__.pop("schedules", None)
        if kind == "Flow":
            self.__dict__.pop("schema_policies", None)

    @cached_property
    def credentials(self) -> dict[str, Held]:
        """Credentials by name."""
        found = pages(
            self._mesh.credentials.ListAuthConfigs, credentials_pb2.ListAuthConfigsRequest(), "auth_configs"
        )
        return {item.name: Held(item.auth_config_id, item.name, item.etag, spec_of(item)) for item in found}

    @cached_property
    def instances(self) -> dict[str, Held]:
        """Instances by name."""
        found = pages(self._mesh.registry.ListInstances, registry_pb2.ListInstancesRequest(), "instances")
        names = {held.id: held.name for held in self.credentials.values()}
        return {
            item.name: Held(item.instance_id, item.name, item.etag, _instance(item, names)) for item in found
        }

    @cached_property
    def mappings(self) -> dict[str, Held]:
        """Mappings by name, in their newest version."""
        found = pages(self._mesh.mapping.ListMappings, mapping_pb2.ListMappingsRequest(), "mappings")
        names = {held.id: held.name for held in self.instances.values()}
        return {
            item.name: Held(
                item.mapping_id,
                item.name,
                item.etag,
                _mapping(item, names),
                in_use=item.active_version if item.active_version != item.version else None,
            )
            for item in found
        }

    @cached_property
    def schedules(self) -> dict[str, list[scheduling_pb2.Schedule]]:
        """Schedules by the id of the flow or the plan that they start."""
        grouped: dict[str, list[scheduling_pb2.Schedule]] = {}
        request = scheduling_pb2.ListSchedulesRequest()
        for item in pages(self._mesh.scheduling.ListSchedules, request, "schedules"):
            grouped.setdefault(item.flow_id or item.plan_id, []).append(item)
        return grouped

    @cached_property
    def schema_policies(self) -> dict[str, schemas_pb2.SchemaPolicy]:
        """What flows do about changes of schemas, by flow id, where it was set."""
        request = schemas_pb2.ListSchemaPoliciesRequest()
        found = pages(self._mesh.schemas.ListSchemaPolicies, request, "policies")
        return {item.flow_id: item for item in found}

    @cached_property
    def flows(self) -> dict[str, Held]:
        """Flows by name, with their schedules."""
        found = pages(self._mesh.scheduling.ListFlows, scheduling_pb2.ListFlowsRequest(), "flows")
        return {item.name: Held(item.flow_id, item.name, item.etag, self._flow(item)) for item in found}

    @cached_property
    def plans(self) -> dict[str, Held]:
        """Plans by name, with their schedules."""
        found = pages(self._mesh.plans.ListPlans, plans_pb2.ListPlansRequest(), "plans")
        names = {held.id: held.name for held in self.flows.values()}
        return {
            item.name: Held(
                item.plan_id,
                item.name,
                item.etag,
                plan_spec(item, names, self._schedules_of(item.plan_id), self.instance_name),
            )
            for item in found
        }

    def _schedules_of(self, target: str) -> list[ScheduleSpec]:
        return [_schedule(schedule) for schedule in self.schedules.get(target, [])]

    @cached_property
    def subscriptions(self) -> dict[str, Held]:
        """Subscriptions by name."""
        request = events_pb2.ListSubscriptionsRequest()
        found = pages(self._mesh.events.ListSubscriptions, request, "subscriptions")
        names = {held.id: held.name for held in self.flows.values()}
        return {
            item.name: Held(item.subscription_id, item.name, item.etag, _subscription(item, names))
            for item in found
        }

    def instance_id(self, name: str) -> str:
        """Gives the id of a named instance, or the name itself where it is not known."""
        if name in ("", HUB):
            return name
        held = self.instances.get(name)
        return held.id if held else name

    def instance_name(self, instance_id: str) -> str:
        """Gives the name of an instance, or the id itself where it is not known."""
        names = {held.id: held.name for held in self.instances.values()}
        return names.get(instance_id, instance_id)

    def _flow(self, item: scheduling_pb2.Flow) -> FlowSpec:
        mapping_names = {held.id: held.name for held in self.mappings.values()}
        is_undone = is_derived(item.mapping_id, item.reverse_mapping_id)
        return FlowSpec(
            description=item.description,
            source=EndpointSpec(
                instance=self.instance_name(item.source.instance_id) or "?", stream=item.source.stream
            ),
            destination=EndpointSpec(
                instance=self.instance_name(item.destination.instance_id) or "?",
                stream=item.destination.stream,
            ),
            mapping="" if is_undone else mapping_names.get(item.mapping_id, item.mapping_id),
            mapping_version=0 if is_undone else item.mapping_version,
            key=list(item.destination_key),
            read_mode=_word(connector_pb2.ReadMode.Name(item.read_mode), "READ_MODE_"),
            write_mode=_word(connector_pb2.WriteMode.Name(item.write_mode), "WRITE_MODE_"),
            active=item.is_active,
            max_attempts=item.failure_policy.max_attempts,
            max_quarantined=item.failure_policy.max_quarantined,
            **dict(policy_spec(self.schema_policies.get(item.flow_id))),
            schedules=self._schedules_of(item.flow_id),
            priority=priority_word(item.priority),
            reverse_mapping=""
            if is_derived(item.reverse_mapping_id, item.mapping_id)
            else mapping_names.get(item.reverse_mapping_id, item.reverse_mapping_id),
            **spec_fields(item),
        )


def _word(name: str, prefix: str) -> Any:
    """`READ_MODE_FULL` to `full`; the unspecified value to nothing."""
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def _json(text: str) -> Any:
    return json.loads(text) if text else {}


def _instance(item: registry_pb2.IntegrationInstance, credentials: dict[str, str]) -> InstanceSpec:
    return InstanceSpec(
        connector=item.connector_id,
        description=item.description,
        configuration=_json(item.configuration),
        credential=credentials.get(item.auth_config_id, item.auth_config_id),
        limits=_json(item.limits),
        active=item.status == registry_pb2.IntegrationInstance.STATUS_ACTIVE,
    )


def _mapping(item: mapping_pb2.DataMapping, instances: dict[str, str]) -> MappingSpec:
    return MappingSpec(
        description=item.description,
        instance=instances.get(item.instance_id, item.instance_id),
        source_schema=_json(item.source_schema),
        target_schema=_json(item.target_schema),
        field_mappings=_json(item.field_mappings) or [],
        transformations=_json(item.transformations),
        golden_samples=_json(item.golden_samples) or [],
    )


def _schedule(item: scheduling_pb2.Schedule) -> ScheduleSpec:
    skips = item.missed_runs == scheduling_pb2.Schedule.MISSED_RUNS_SKIP
    return ScheduleSpec(
        every_minutes=item.interval_minutes,
        cron=item.cron_expression,
        event=item.event_trigger,
        time_zone=item.time_zone,
        missed_runs="skip" if skips else "run_once",
        active=item.is_active,
    )


def _subscription(item: events_pb2.EventSubscription, flows: dict[str, str]) -> SubscriptionSpec:
    action = _json(item.action_config)
    flow_id = action.get("flow_id", "")
    return SubscriptionSpec(
        event_type=item.event_type,
        filter=_json(item.filter_criteria),
        when=item.filter_expression,
        start_flow=flows.get(flow_id, flow_id),
        notify=action.get("message", ""),
        active=item.is_active,
    )
