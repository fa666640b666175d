"""Every event the mesh publishes, in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event.

    Attributes:
        service: Who publishes it.
        entity: What it is about.
        verb: What happened.
        payload: Message of the payload, in the service's package.
        description: When it is published.
    """

    service: str
    entity: str
    verb: str
    payload: str
    description: str

    @property
    def type(self) -> str:
        """CloudEvents `type`."""
        return f"isthmus.{self.service}.{self.entity}.{self.verb}.v1"

    @property
    def payload_name(self) -> str:
        """Full name of the payload's message."""
        return f"isthmus.{self.service}.v1.{self.payload}"

    @property
    def nats_subject(self) -> str:
        """Where it is published, with `<tenant>` where the tenant stands."""
        return f"isthmus.v1.<tenant>.{self.service}.{self.entity}.{self.verb}"


_ENTITIES = {
    ("credentials", "auth_config", "AuthConfigChanged"): {
        "created": "An authentication configuration was stored.",
        "updated": "An authentication configuration or its secret changed.",
        "deleted": "An authentication configuration was removed.",
        "leased": "A host took a credential out for use.",
        "revoked": "A person took an authentication configuration out of use.",
        "expiring": "The secret of an authentication configuration ends soon.",
        "rotated": "A new secret took the place of the one before, which may be kept for a while.",
        "retired": "The external system refuses the secret before the present one, as it was told to.",
        "rotation_due": "By its policy a person should make a new secret now.",
        "rotation_failed": "A new secret could not be made, or the old one not ended; it is tried again.",
    },
    ("events", "subscription", "SubscriptionChanged"): {
        "created": "A subscription was created.",
        "updated": "A subscription changed.",
        "deleted": "A subscription was removed.",
    },
    ("identity", "api_key", "ApiKeyChanged"): {
        "created": "An API key was made.",
        "revoked": "An API key was ended.",
        "expiring": "An API key ends within 30 days; make another one and let both work until all use it.",
        "used_unusually": "An API key was used from a new network, or ten times as often as usual.",
    },
    ("identity", "group", "GroupChanged"): {
        "created": "A group was created.",
        "updated": "A group or its roles changed.",
        "deleted": "A group was removed; its members have lost its roles.",
        "members_changed": "Somebody came into a group or was taken out of it.",
    },
    ("identity", "provider", "ProviderChanged"): {
        "created": "A tenant's identity provider was made known.",
        "updated": "What is kept of an identity provider changed, the roles that it gives included.",
        "deleted": "An identity provider was forgotten; nobody gets in by it any more.",
    },
    ("identity", "quotas", "QuotasChanged"): {
        "changed": "Who runs the installation changed what a tenant may have and do at most.",
    },
    ("identity", "role", "RoleChanged"): {
        "created": "A tenant made a role of its own.",
        "updated": "A tenant changed what a role of its own allows.",
        "deleted": "A tenant removed a role of its own.",
    },
    ("identity", "session", "SessionChanged"): {
        "started": "A user logged in.",
        "ended": "A session was ended: by its user, by an administrator, or because a token was stolen.",
    },
    ("identity", "support_access", "SupportAccessChanged"): {
        "requested": "Somebody asks for access to the tenant for a while.",
        "approved": "Somebody was given access to the tenant for a while.",
        "refused": "Somebody was refused access to the tenant.",
        "revoked": "Access to the tenant was ended before its time, or a request for it taken back.",
        "expired": "The time of an access to the tenant is over, or nobody has decided in time.",
    },
    ("identity", "user", "UserChanged"): {
        "created": "A user was created.",
        "updated": "A user changed, was disabled or enabled.",
        "deleted": "A user was removed.",
        "password_changed": "A user has another password.",
        "second_factor_changed": "A user has set up or removed a second factor, or somebody has removed it.",
        "locked": "A user is locked out for a while, after too many wrong attempts to log in.",
    },
    ("monitoring", "audit_checkpoint", "AuditCheckpointCreated"): {
        "created": "The audit trail has grown; whoever keeps its end can prove later what it was.",
    },
    ("mapping", "mapping", "MappingChanged"): {
        "created": "A mapping was created as version 1.",
        "version_created": "A mapping got a new version.",
        "validated": "A version of a mapping compiles, and its golden samples came out as they should.",
        "activated": "Flows that pin no version use another version of a mapping from now on.",
        "retired": "A version of a mapping was taken out of use.",
        "deleted": "A mapping was removed with all its versions.",
    },
    ("mapping", "schema", "SchemaChanged"): {
        "broken": "The schema of a stream changed so that it would harm data; its flow waits or quarantines.",
        "changed": "The schema of a stream changed, or an earlier change of it is over.",
        "decided": "Somebody decided about a change that stopped a flow.",
    },
    ("mapping", "schema_version", "SchemaVersionChanged"): {
        "registered": "A schema got a new version.",
        "changed": "A version of a schema is deprecated, or is so no more.",
        "deleted": "A version of a schema was removed for good.",
    },
    ("mapping", "schema_compatibility", "SchemaCompatibilityChanged"): {
        "changed": "Other versions of a schema have to go together from now on.",
    },
    ("records", "person", "PersonErased"): {
        "erased": "A person's data was erased; the event does not tell whose.",
    },
    ("records", "retention", "RetentionChanged"): {
        "changed": "Something is kept for another time from now on.",
    },
    ("records", "retention", "RetentionApplied"): {
        "applied": "Data was removed because it was older than it is to be kept.",
    },
    ("records", "record", "RecordsChanged"): {
        "changed": "A batch of records changed the hub.",
    },
    ("records", "conflict", "ConflictsChanged"): {
        "found": "Records that both sides of a two-way flow have changed wait for a person.",
        "resolved": "Somebody decided about records that both sides have changed.",
    },
    ("records", "quarantine", "QuarantineChanged"): {
        "added": "Records went to quarantine.",
        "requeued": "Quarantined records are to be delivered again.",
        "dropped": "Quarantined records were given up.",
    },
    ("registry", "connector", "ConnectorChanged"): {
        "registered": "A connector became known in a new version.",
        "deleted": "A connector was removed.",
    },
    ("registry", "instance", "InstanceChanged"): {
        "created": "An instance was created.",
        "updated": "An instance or its configuration changed.",
        "activated": "An instance passed its check; its flows run.",
        "deactivated": "An instance was switched off.",
        "failed": "An instance failed its check.",
        "deleted": "An instance was removed.",
    },
    ("scheduling", "flow", "FlowChanged"): {
        "created": "A flow was created.",
        "updated": "A flow changed.",
        "paused": "A flow was paused: nothing of it starts, and what was at work stops.",
        "resumed": "A paused flow goes on.",
        "deleted": "A flow was removed with its schedules.",
    },
    ("scheduling", "plan", "PlanChanged"): {
        "created": "A plan was created.",
        "updated": "A plan changed.",
        "deleted": "A plan was removed with its schedules.",
    },
    ("scheduling", "plan_run", "PlanRunChanged"): {
        "started": "A run of a plan began.",
        "completed": "Every step of a run is complete.",
        "failed": "A step of a run failed; what was complete stays.",
        "compensated": "A run did not succeed, and what was complete has been undone.",
        "compensation_failed": "Undoing a run failed; what is left undone a person has to see to.",
        "cancelled": "A run was stopped on request; what was complete stays.",
    },
    ("scheduling", "schedule", "ScheduleChanged"): {
        "created": "A schedule was created.",
        "updated": "A schedule changed.",
        "deleted": "A schedule was removed.",
    },
    ("scheduling", "reconciliation", "SyncChanged"): {
        "started": "A host began to compare both sides of a flow.",
        "completed": "Both sides of a flow were compared, and repaired where that was asked for.",
        "failed": "A reconciliation was given up.",
        "cancelled": "A reconciliation was stopped on request.",
    },
    ("scheduling", "sync", "SyncChanged"): {
        "started": "A host began an execution's first attempt.",
        "completed": "Everything arrived or is in quarantine.",
        "failed": "An execution was given up.",
        "cancelled": "An execution was stopped on request.",
    },
}

CATALOGUE = tuple(
    sorted(
        (
            EventType(service, entity, verb, payload, description)
            for (service, entity, payload), verbs in _ENTITIES.items()
            for verb, description in verbs.items()
        ),
        key=lambda kind: kind.type,
    )
)

__all__ = ["CATALOGUE", "EventType"]
