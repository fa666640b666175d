"""What a flow's document says about changes of the schema that it reads."""

from typing import Literal

from isthmus.client.manifest.strict import Strict
from isthmus.mapping.v1 import schemas_pb2
from pydantic import Field

_Policy = schemas_pb2.SchemaPolicy


class SchemaChangeSpec(Strict):
    """What a flow does by itself when the schema of what it reads changes."""

    additive: Literal["pass", "stop"] = Field(default="pass", description="At changes that harm nothing.")
    breaking: Literal["stop", "quarantine"] = Field(default="stop", description="At changes that harm data.")


class SchemaPolicySpec(Strict):
    """The part of a flow's document that is about schemas."""

    unknown_fields: Literal["keep", "drop"] = Field(
        default="keep", description="What becomes of fields that were not there at first."
    )
    on_schema_change: SchemaChangeSpec = Field(default_factory=SchemaChangeSpec)


def policy_of(flow_id: str, spec: SchemaPolicySpec) -> schemas_pb2.SchemaPolicy:
    """Give the policy of a flow as a message."""
    return _Policy(
        flow_id=flow_id,
        unknown_fields=_Policy.NewFields.Value(f"NEW_FIELDS_{spec.unknown_fields.upper()}"),
        additive=_Policy.Reaction.Value(f"REACTION_{spec.on_schema_change.additive.upper()}"),
        breaking=_Policy.Reaction.Value(f"REACTION_{spec.on_schema_change.breaking.upper()}"),
    )


def policy_spec(policy: schemas_pb2.SchemaPolicy | None) -> SchemaPolicySpec:
    """Give what a document says about a policy; None has the defaults."""
    if policy is None:
        return SchemaPolicySpec()
    return SchemaPolicySpec.model_validate(
        {
            "unknown_fields": _word(_Policy.NewFields.Name(policy.unknown_fields), "NEW_FIELDS_"),
            "on_schema_change": {
                "additive": _word(_Policy.Reaction.Name(policy.additive), "REACTION_"),
                "breaking": _word(_Policy.Reaction.Name(policy.breaking), "REACTION_"),
            },
        }
    )


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


__all__ = ["SchemaChangeSpec", "SchemaPolicySpec", "policy_of", "policy_spec"]
