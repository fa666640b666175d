"""The documents that describe integrations; what they allow is published as JSON Schema."""

from typing import Annotated, Any, Literal

from isthmus.client.manifest.both_ways import BothWaysSpec
from isthmus.client.manifest.credentials import CredentialSpec
from isthmus.client.manifest.ordering import check_order
from isthmus.client.manifest.priorities import PriorityWord
from isthmus.client.manifest.schema_changes import SchemaPolicySpec
from isthmus.client.manifest.strict import Strict
from isthmus.resilience import LIMITS_SCHEMA
from pydantic import Field, WithJsonSchema, field_validator, model_validator

API_VERSION: Literal["isthmus.dev/v1"] = "isthmus.dev/v1"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$"


Limits = Annotated[dict[str, Any], WithJsonSchema(LIMITS_SCHEMA)]

RecordSchema = Annotated[
    dict[str, Any] | str,
    Field(description="JSON Schema, or a model such as ocsf/vulnerability_finding@1; see docs/models.md."),
]


class InstanceSpec(Strict):
    """One configured connection to one external system."""

    connector: str = Field(description="Connector id, for example http-json.")
    description: str = ""
    configuration: dict[str, Any] = Field(
        default_factory=dict, description="Fits the connector's JSON Schema."
    )
    credential: str = Field(default="", description="Name of a credential.")
    limits: Limits = Field(
        default_factory=dict, description="How patient and how demanding it is; see docs/limits.md."
    )
    active: bool = Field(default=True, description="Checked and activated when applied.")


class MappingSpec(Strict):
    """Rules that turn a record of one shape into another, in the language of docs/mapping.md."""

    description: str = ""
    instance: str = Field(default="", description="Name of the instance it is made for.")
    source_schema: RecordSchema = Field(default_factory=dict)
    target_schema: RecordSchema = Field(default_factory=dict)
    field_mappings: list[dict[str, Any]] = Field(default_factory=list)
    transformations: dict[str, Any] = Field(default_factory=dict)
    golden_samples: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Records and what is to be made of them; see docs/mapping-versions.md.",
    )


class EndpointSpec(Strict):
    """One end of a flow."""

    instance: str = Field(description="Name of an instance, or `hub`.")
    stream: str = Field(description="Name of one of its streams.")


class ScheduleSpec(Strict):
    """When a flow or a plan runs; exactly one of the first three."""

    every_minutes: int = Field(default=0, ge=0)
    cron: str = Field(default="", description="Five fields.")
    event: str = Field(default="", description="An event type.")
    time_zone: str = Field(default="", description="IANA name; UTC when empty.")
    missed_runs: Literal["run_once", "skip"] = "run_once"
    active: bool = True

    @model_validator(mode="after")
    def _one_kind(self) -> "ScheduleSpec":
        if sum(map(bool, (self.every_minutes, self.cron, self.event))) != 1:
            raise ValueError("name exactly one of `every_minutes`, `cron`, `event`")
        return self


class FlowSpec(BothWaysSpec, SchemaPolicySpec):
    """What moves: source stream, mapping, destination stream."""

    source: EndpointSpec
    destination: EndpointSpec
    description: str = ""
    mapping: str = Field(default="", description="Name of a mapping; empty passes records on unchanged.")
    mapping_version: int = Field(default=0, ge=0, description="0 means the active one.")
    key: list[str] = Field(default_factory=list, description="Paths that identify a mapped record.")
    read_mode: Literal["", "full", "incremental", "delta"] = ""
    write_mode: Literal["", "create", "update", "upsert", "delete"] = ""
    active: bool = True
    max_attempts: int = Field(default=0, ge=0, description="0 means 5.")
    max_quarantined: int = Field(default=0, ge=0, description="0 means no limit.")
    priority: PriorityWord = Field(
        default="normal", description="Among others that wait for the same hosts; see docs/plans.md."
    )
    schedules: list[ScheduleSpec] = Field(default_factory=list)


class ActionSpec(Strict):
    """One call of a connector's action."""

    instance: str = Field(min_length=1, description="Name of the instance.")
    action: str = Field(min_length=1, description="One of its connector's actions.")
    input: dict[str, Any] = Field(default_factory=dict, description="What the action is given; no secrets.")
    retries: int = Field(default=3, ge=0, le=100, description="How often it is tried again.")


class ReconcileSpec(Strict):
    """What a comparison does about what it finds."""

    repair: bool = Field(default=False, description="Write missing and different records again.")
    delete_extra: bool = Field(default=False, description="Remove extra records; needs `repair`.")


class PlanStepSpec(Strict):
    """One step of a plan."""

    name: str = Field(min_length=1, max_length=100, description="Unique inside the plan.")
    flow: str = Field(
        default="", description="Name of the flow it runs; a step that does nothing is a barrier."
    )
    reconcile: ReconcileSpec | None = Field(
        default=None, description="Compare both sides of the flow instead of moving what is new."
    )
    action: ActionSpec | None = Field(default=None, description="What it calls instead of running a flow.")
    after: list[str] = Field(default_factory=list, description="Steps that have to be complete before.")
    on_failure: Literal["", "stop", "continue", "compensate"] = Field(
        default="", description="What follows when it fails; `stop` unless the mode says otherwise."
    )
    compensate: str | ActionSpec = Field(
        default="", description="Name of the flow, or the action, that undoes it."
    )


class PlanSpec(Strict):
    """Steps over several systems, and the order they have to keep."""

    description: str = ""
    mode: Literal["steps", "all_or_compensate"] = Field(
        default="steps",
        description="Whether each step decides about its failure, or every failure undoes all.",
    )
    active: bool = True
    steps: list[PlanStepSpec] = Field(min_length=1)
    schedules: list[ScheduleSpec] = Field(default_factory=list)

    @field_validator("steps")
    @classmethod
    def _ordered(cls, steps: list[PlanStepSpec]) -> list[PlanStepSpec]:
        check_order([(step.name, step.after) for step in steps])
        return steps


class SubscriptionSpec(Strict):
    """Interest in events, and what to do about them."""

    event_type: str
    filter: dict[str, Any] = Field(default_factory=dict)
    when: str = Field(default="", description="CEL: a condition on `event`, with its type, subject and data.")
    start_flow: str = Field(default="", description="Name of the flow to start.")
    notify: str = Field(default="", description="Message for the integration log.")
    active: bool = True

    @model_validator(mode="after")
    def _one_action(self) -> "SubscriptionSpec":
        if bool(self.start_flow) == bool(self.notify):
            raise ValueError("name either `start_flow` or `notify`")
        return self


Spec = CredentialSpec | InstanceSpec | MappingSpec | FlowSpec | PlanSpec | SubscriptionSpec
Kind = Literal["Credential", "Instance", "Mapping", "Flow", "Plan", "Subscription"]
Name = Annotated[str, Field(pattern=_NAME, description="Unique among documents of its kind.")]


class _Document(Strict):
    apiVersion: Literal["isthmus.dev/v1"] = API_VERSION  # noqa: N815 - the name that administrators know
    name: Name


class CredentialDocument(_Document):
    """A credential."""

    kind: Literal["Credential"]
    spec: CredentialSpec


class InstanceDocument(_Document):
    """An instance."""

    kind: Literal["Instance"]
    spec: InstanceSpec


class MappingDocument(_Document):
    """A mapping."""

    kind: Literal["Mapping"]
    spec: MappingSpec


class FlowDocument(_Document):
    """A flow with its schedules."""

    kind: Literal["Flow"]
    spec: FlowSpec


class PlanDocument(_Document):
    """A plan with its schedules."""

    kind: Literal["Plan"]
    spec: PlanSpec


class SubscriptionDocument(_Document):
    """A subscription."""

    kind: Literal["Subscription"]
    spec: SubscriptionSpec


Document = (
    CredentialDocument
    | InstanceDocument
    | MappingDocument
    | FlowDocument
    | PlanDocument
    | SubscriptionDocument
)
# What a document names must exist before it: the order in which documents are applied.
KINDS: tuple[Kind, ...] = ("Credential", "Instance", "Mapping", "Flow", "Plan", "Subscription")
