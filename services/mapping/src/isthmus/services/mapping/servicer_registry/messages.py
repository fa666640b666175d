"""Values of the registry as messages, and back."""

from typing import cast

from isthmus.kit.times import stamp
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.services.mapping.domain.registry.fields import KnownField
from isthmus.services.mapping.domain.registry.judging import Incompatibility
from isthmus.services.mapping.domain.registry.model import (
    Compatibility,
    Format,
    Level,
    Loss,
    Policy,
    Status,
    Subject,
    Version,
)
from isthmus.type.v1 import privacy_pb2

FORMATS: dict[int, Format] = {
    pb.SCHEMA_FORMAT_UNSPECIFIED: Format.JSON_SCHEMA,
    pb.SCHEMA_FORMAT_JSON_SCHEMA: Format.JSON_SCHEMA,
    pb.SCHEMA_FORMAT_AVRO: Format.AVRO,
    pb.SCHEMA_FORMAT_PROTOBUF: Format.PROTOBUF,
}
LEVELS: dict[int, Level] = {
    pb.CompatibilityLevel.Value(f"COMPATIBILITY_LEVEL_{level.name}"): level for level in Level
}
POLICIES: dict[int, Policy] = {
    pb.CompatibilityPolicy.Value(f"COMPATIBILITY_POLICY_{policy.name}"): policy for policy in Policy
}
STATUSES: dict[int, Status] = {
    pb.SchemaVersion.Status.Value(f"STATUS_{status.name}"): status for status in Status
}


def _format(form: Format) -> "pb.SchemaFormat.ValueType":
    return pb.SchemaFormat.Value(f"SCHEMA_FORMAT_{form.name}")


def version(found: Version, *, is_short: bool = False) -> pb.SchemaVersion:
    """A version; a short one leaves its definition out."""
    definition = found.definition
    told = pb.SchemaVersion(
        subject=found.subject,
        version=found.version,
        format=_format(definition.format),
        fingerprint=definition.fingerprint,
        title=definition.title,
        status=pb.SchemaVersion.Status.Value(f"STATUS_{found.status.name}"),
        status_note=found.status_note,
        created_by=found.created_by,
        create_time=stamp(found.create_time),
    )
    if not is_short:
        told.definition, told.json_schema = definition.text, definition.json_schema
        told.losses.extend(map(loss, definition.losses))
    return told


def loss(found: Loss) -> pb.SchemaLoss:
    """What a notation cannot say."""
    return pb.SchemaLoss(path=found.path, message=found.message)


def subject(found: Subject) -> pb.SchemaSubject:
    """A subject with its newest version."""
    return pb.SchemaSubject(
        subject=found.name,
        latest_version=found.latest,
        format=_format(found.format),
        title=found.title,
        fingerprint=found.fingerprint,
        is_read_only=found.is_read_only,
        update_time=stamp(found.update_time),
    )


def field(known: KnownField) -> pb.SchemaField:
    """A field of a subject."""
    found = known.field
    return pb.SchemaField(
        subject=known.subject,
        path=found.path,
        types=filter(None, found.types.split("|")),
        format=found.format,
        description=found.description,
        data_class=cast("privacy_pb2.DataClass.ValueType", int(found.data_class)),
        is_required=found.is_required,
        first_version=known.first,
        last_version=known.last,
    )


def compatibility(name: str, held: Compatibility) -> pb.SchemaCompatibility:
    """Which versions of a subject have to go together."""
    level = f"COMPATIBILITY_LEVEL_{held.level.name if held.level else 'UNSPECIFIED'}"
    policy = f"COMPATIBILITY_POLICY_{held.policy.name if held.policy else 'UNSPECIFIED'}"
    return pb.SchemaCompatibility(
        subject=name,
        level=pb.CompatibilityLevel.Value(level),
        policy=pb.CompatibilityPolicy.Value(policy),
    )


def read_compatibility(level: int, policy: int) -> Compatibility:
    """Which versions are asked to go together; what is unspecified is not said."""
    return Compatibility(LEVELS.get(level), POLICIES.get(policy))


def incompatibility(found: Incompatibility) -> pb.SchemaIncompatibility:
    """One reason why two versions do not go together."""
    return pb.SchemaIncompatibility(
        path=found.path,
        rule=found.rule,
        message=found.message,
        remedy=found.remedy,
        version=found.version,
        is_backward=found.is_backward,
    )


__all__ = [
    "FORMATS",
    "LEVELS",
    "POLICIES",
    "STATUSES",
    "compatibility",
    "field",
    "incompatibility",
    "loss",
    "read_compatibility",
    "subject",
    "version",
]
