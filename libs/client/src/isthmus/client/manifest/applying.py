"""Makes the mesh hold what the documents say; doing it twice changes nothing."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from isthmus.client.manifest import credentials
from isthmus.client.manifest.both_ways import fields_of
from isthmus.client.manifest.document import (
    CredentialDocument,
    Document,
    FlowDocument,
    FlowSpec,
    InstanceDocument,
    MappingDocument,
    PlanDocument,
    PlanSpec,
    ScheduleSpec,
    SubscriptionDocument,
)
from isthmus.client.manifest.mappings import mapping_fields
from isthmus.client.manifest.planning import Action, Change, Step, step
from isthmus.client.manifest.plans import plan_message
from isthmus.client.manifest.priorities import priority_number
from isthmus.client.manifest.references import check_references
from isthmus.client.manifest.refusal import refused
from isthmus.client.manifest.schema_changes import SchemaPolicySpec, policy_of
from isthmus.client.manifest.state import Held, State
from isthmus.client.mesh import Mesh
from isthmus.client.problem import ExitCode, Problem, problem_from
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2
from isthmus.events.v1 import events_pb2
from isthmus.mapping.v1 import mapping_pb2, schemas_pb2
from isthmus.registry.v1 import registry_pb2
from isthmus.scheduling.v1 import plans_pb2, scheduling_pb2


@dataclass(frozen=True)
class Outcome:
    """What was done about one document."""

    kind: str
    name: str
    id: str
    action: Action
    changes: tuple[Change, ...]
    warning: str = ""


@dataclass(frozen=True)
class Options:
    """How documents are applied.

    Attributes:
        renew_secrets: Send the secrets of credentials that exist already too.
        drafts: Save mappings without having flows use them.
        allow_breaking: Have flows use mappings even if some of them break.
    """

    renew_secrets: bool = False
    drafts: bool = False
    allow_breaking: bool = False


def apply(
    documents: list[Document], mesh: Mesh, state: State, options: Options = Options()
) -> Iterator[Outcome]:
    """Applies documents one by one and tells about each as it is done.

    Args:
        documents: as read, in order of kind.
        mesh: where to.
        state: what the mesh holds; kept current.
        options: how.

    Raises:
        Problem: a name means nothing, and nothing was applied; or a secret cannot be read or the mesh
            refused a document, and those before it are applied.
    """
    check_references(documents, state)
    worker = _Worker(mesh, state, options)
    for document in documents:
        try:
            outcome = worker.one(document)
        except (grpc.RpcError, Problem) as error:
            problem = error if isinstance(error, Problem) else problem_from(error)
            raise refused(document, problem, has_changed=worker.has_changed) from error
        if outcome.action is not Action.UNCHANGED:
            state.forget(document.kind)
        yield outcome


class _Worker:
    def __init__(self, mesh: Mesh, state: State, options: Options) -> None:
        self._mesh = mesh
        self._state = state
        self._options = options
        self.has_changed = False

    def one(self, document: Document) -> Outcome:
        """Does what one document needs."""
        planned = step(document, self._state, drafts=self._options.drafts)
        if planned.action is Action.UNCHANGED and not self._must_renew(document):
            assert planned.held is not None
            return Outcome(document.kind, document.name, planned.held.id, planned.action, ())
        held_id, warning = self._write(planned)
        self.has_changed = True
        action = Action.UPDATE if planned.held else Action.CREATE
        return Outcome(document.kind, document.name, held_id, action, planned.changes, warning)

    def _must_renew(self, document: Document) -> bool:
        return self._options.renew_secrets and isinstance(document, CredentialDocument)

    def _write(self, planned: Step) -> tuple[str, str]:
        document = planned.document
        match document:
            case CredentialDocument():
                return self._credential(document, planned.held), ""
            case InstanceDocument():
                return self._instance(document, planned.held)
            case MappingDocument():
                return self._mapping(document, planned.held), ""
            case FlowDocument():
                return self._flow(document, planned.held), ""
            case PlanDocument():
                return self._plan(document, planned.held), ""
            case SubscriptionDocument():
                return self._subscription(document, planned.held), ""

    def _credential(self, document: CredentialDocument, held: Held | None) -> str:
        spec = document.spec
        fields = credentials.fields_of(document.name, spec)
        if held is None or self._options.renew_secrets:
            fields["secret"] = credentials.secret_of(document.name, spec)
        if held is not None:
            request = credentials_pb2.UpdateAuthConfigRequest(
                auth_config_id=held.id, etag=held.etag, **fields
            )
            if "secret" not in fields:  # documents do not say when a secret ends; the present one stays
                asked = credentials_pb2.GetAuthConfigRequest(auth_config_id=held.id)
                found = self._mesh.credentials.GetAuthConfig(asked).auth_config
                if found.HasField("expire_time"):
                    request.expire_time.CopyFrom(found.expire_time)
            return self._mesh.credentials.UpdateAuthConfig(request).auth_config.auth_config_id
        method = credentials.method_of(spec)
        created = self._mesh.credentials.CreateAuthConfig(
            credentials_pb2.CreateAuthConfigRequest(auth_type=method, request_id=_request_id(), **fields)
        )
        return created.auth_config.auth_config_id

    def _instance(self, document: InstanceDocument, held: Held | None) -> tuple[str, str]:
        spec = document.spec
        fields = {
            "name": document.name,
            "description": spec.description,
            "configuration": json.dumps(spec.configuration),
            "auth_config_id": self._reference("Credential", spec.credential, document),
            "limits": json.dumps(spec.limits) if spec.limits else "",
        }
        if held is None:
            request = registry_pb2.CreateInstanceRequest(
                connector_id=spec.connector, request_id=_request_id(), **fields
            )
            instance = self._mesh.registry.CreateInstance(request).instance
        else:
            change = registry_pb2.UpdateInstanceRequest(instance_id=held.id, etag=held.etag, **fields)
            instance = self._mesh.registry.UpdateInstance(change).instance
        self.has_changed = True
        return instance.instance_id, self._activation(instance.instance_id, spec.active, held)

    def _activation(self, instance_id: str, wanted: bool, held: Held | None) -> str:
        if not wanted:
            if held is not None:
                request = registry_pb2.DeactivateInstanceRequest(instance_id=instance_id)
                self._mesh.registry.DeactivateInstance(request)
            return ""
        answer = self._mesh.registry.ActivateInstance(
            registry_pb2.ActivateInstanceRequest(instance_id=instance_id)
        )
        failed = [s for s in answer.steps if s.result == connector_pb2.CheckStep.RESULT_FAILED]
        return f"check failed at {failed[0].step}: {failed[0].message}" if failed else ""

    def _mapping(self, document: MappingDocument, held: Held | None) -> str:
        instance_id = self._state.instance_id(document.spec.instance)
        fields = mapping_fields(document.name, document.spec, instance_id)
        draft = self._options.drafts
        if held is None:
            request = mapping_pb2.CreateMappingRequest(request_id=_request_id(), is_draft=draft, **fields)
            return self._mesh.mapping.CreateMapping(request).mapping.mapping_id
        change = mapping_pb2.UpdateMappingRequest(
            mapping_id=held.id,
            etag=held.etag,
            is_draft=draft,
            allow_breaking=self._options.allow_breaking,
            **fields,
        )
        return self._mesh.mapping.UpdateMapping(change).mapping.mapping_id

    def _flow(self, document: FlowDocument, held: Held | None) -> str:
        flow = self._flow_message(document)
        if held is None:
            created = scheduling_pb2.CreateFlowRequest(flow=flow, request_id=_request_id())
            flow_id = self._mesh.scheduling.CreateFlow(created).flow.flow_id
        else:
            flow.flow_id = flow_id = held.id
            changed = scheduling_pb2.UpdateFlowRequest(flow=flow, etag=held.etag)
            self._mesh.scheduling.UpdateFlow(changed)
        self.has_changed = True
        self._schedules(flow_id, document.spec.schedules, held)
        self._schema_policy(flow_id, document.spec, held)
        return flow_id

    def _flow_message(self, document: FlowDocument) -> scheduling_pb2.Flow:
        spec = document.spec
        return scheduling_pb2.Flow(
            name=document.name,
            description=spec.description,
            source=scheduling_pb2.Endpoint(
                instance_id=self._reference("Instance", spec.source.instance, document),
                stream=spec.source.stream,
            ),
            destination=scheduling_pb2.Endpoint(
                instance_id=self._reference("Instance", spec.destination.instance, document),
                stream=spec.destination.stream,
            ),
            mapping_id=self._reference("Mapping", spec.mapping, document),
            mapping_version=spec.mapping_version,
            destination_key=spec.key,
            read_mode=connector_pb2.ReadMode.Value(f"READ_MODE_{(spec.read_mode or 'unspecified').upper()}"),
            write_mode=connector_pb2.WriteMode.Value(
                f"WRITE_MODE_{(spec.write_mode or 'unspecified').upper()}"
            ),
            is_active=spec.active,
            failure_policy=scheduling_pb2.FailurePolicy(
                max_attempts=spec.max_attempts, max_quarantined=spec.max_quarantined
            ),
            reverse_mapping_id=self._reference("Mapping", spec.reverse_mapping, document),
            priority=priority_number(spec.priority),
            **fields_of(spec),
        )

    def _schedules(self, target: str, wanted: list[ScheduleSpec], held: Held | None) -> None:
        holds = held.spec if held is not None else None
        present = holds.schedules if isinstance(holds, FlowSpec | PlanSpec) else []
        if present == wanted:
            return
        for schedule in self._state.schedules.get(target, []):
            request = scheduling_pb2.DeleteScheduleRequest(
                schedule_id=schedule.schedule_id, etag=schedule.etag
            )
            self._mesh.scheduling.DeleteSchedule(request)
        for spec in wanted:
            created = scheduling_pb2.CreateScheduleRequest(
                schedule=_schedule(target, spec), request_id=_request_id()
            )
            self._mesh.scheduling.CreateSchedule(created)

    def _schema_policy(self, flow_id: str, spec: FlowSpec, held: Held | None) -> None:
        present = held.spec if held is not None and isinstance(held.spec, FlowSpec) else SchemaPolicySpec()
        wanted = policy_of(flow_id, spec)
        if wanted != policy_of(flow_id, present):
            self._mesh.schemas.SetSchemaPolicy(schemas_pb2.SetSchemaPolicyRequest(policy=wanted))

    def _plan(self, document: PlanDocument, held: Held | None) -> str:
        plan = plan_message(
            document,
            lambda name: self._reference("Flow", name, document),
            lambda name: self._reference("Instance", name, document),
        )
        if held is None:
            created = plans_pb2.CreatePlanRequest(plan=plan, request_id=_request_id())
            plan_id = self._mesh.plans.CreatePlan(created).plan.plan_id
        else:
            plan.plan_id = plan_id = held.id
            self._mesh.plans.UpdatePlan(plans_pb2.UpdatePlanRequest(plan=plan, etag=held.etag))
        self.has_changed = True
        self._schedules(plan_id, document.spec.schedules, held)
        return plan_id

    def _subscription(self, document: SubscriptionDocument, held: Held | None) -> str:
        spec = document.spec
        starts = bool(spec.start_flow)
        action = (
            {"flow_id": self._reference("Flow", spec.start_flow, document)}
            if starts
            else {"message": spec.notify}
        )
        kinds = events_pb2.EventSubscription
        subscription = events_pb2.EventSubscription(
            name=document.name,
            event_type=spec.event_type,
            filter_criteria=json.dumps(spec.filter) if spec.filter else "",
            filter_expression=spec.when,
            action_type=kinds.ACTION_TYPE_SYNC if starts else kinds.ACTION_TYPE_NOTIFICATION,
            action_config=json.dumps(action),
            is_active=spec.active,
        )
        if held is None:
            request = events_pb2.CreateSubscriptionRequest(
                subscription=subscription, request_id=_request_id()
            )
            return self._mesh.events.CreateSubscription(request).subscription.subscription_id
        subscription.subscription_id = held.id
        change = events_pb2.UpdateSubscriptionRequest(subscription=subscription, etag=held.etag)
        return self._mesh.events.UpdateSubscription(change).subscription.subscription_id

    def _reference(self, kind: Any, name: str, document: Document) -> str:
        """Gives the id of a thing that a document names."""
        if not name or (kind == "Instance" and name == "hub"):
            return name
        held = self._state.find(kind, name)
        if held is None:
            raise Problem(
                "REFERENCE_UNKNOWN",
                f"{document.kind} {document.name} names the {kind.lower()} {name}, which does not exist: "
                "add its document or correct the name.",
                exit_code=ExitCode.USAGE,
            )
        return held.id


def _schedule(target: str, spec: ScheduleSpec) -> scheduling_pb2.Schedule:
    kinds = scheduling_pb2.Schedule
    kind = kinds.TYPE_INTERVAL if spec.every_minutes else kinds.TYPE_CRON if spec.cron else kinds.TYPE_EVENT
    skips, runs_plan = spec.missed_runs == "skip", target.startswith("pln_")
    return scheduling_pb2.Schedule(
        flow_id="" if runs_plan else target,
        plan_id=target if runs_plan else "",
        type=kind,
        interval_minutes=spec.every_minutes,
        cron_expression=spec.cron,
        event_trigger=spec.event,
        time_zone=spec.time_zone,
        is_active=spec.active,
        missed_runs=kinds.MISSED_RUNS_SKIP if skips else kinds.MISSED_RUNS_RUN_ONCE,
    )


def _request_id() -> str:
    return str(uuid.uuid4())
