"""What a flow's document says about the way back, and about records that both sides change."""

import json
from typing import Any, Literal

from google.protobuf.duration_pb2 import Duration
from isthmus.client.manifest.strict import Strict
from isthmus.connector.v1 import connector_pb2
from isthmus.scheduling.v1 import scheduling_pb2
from pydantic import Field, model_validator

Side = Literal["source", "destination", "newest", "review"]
_POLICIES = {
    "source": scheduling_pb2.CONFLICT_POLICY_SOURCE_WINS,
    "destination": scheduling_pb2.CONFLICT_POLICY_DESTINATION_WINS,
    "newest": scheduling_pb2.CONFLICT_POLICY_NEWEST_WINS,
    "merge": scheduling_pb2.CONFLICT_POLICY_MERGE,
    "review": scheduling_pb2.CONFLICT_POLICY_REVIEW,
}
_WORDS = {number: word for word, number in _POLICIES.items()}
_KINDS = {
    "propagate": scheduling_pb2.DeletePolicy.KIND_PROPAGATE,
    "tombstone": scheduling_pb2.DeletePolicy.KIND_TOMBSTONE,
    "ignore": scheduling_pb2.DeletePolicy.KIND_IGNORE,
}


class ConflictSpec(Strict):
    """What happens to a record that has changed on both sides."""

    policy: Literal["source", "destination", "newest", "merge", "review"] = "source"
    field: str = Field(
        default="", description="Path of the time of the last change, where both sides have it."
    )
    source_field: str = Field(default="", description="The same in records of the source.")
    destination_field: str = Field(default="", description="The same in records of the destination.")
    tolerance_seconds: float = Field(
        default=0, ge=0, description="Times that lie no further apart tell nothing."
    )
    otherwise: Side = Field(default="review", description="Decides where the policy cannot.")

    @model_validator(mode="after")
    def _one_spelling(self) -> "ConflictSpec":
        if self.source_field and self.source_field == self.destination_field:
            self.field, self.source_field, self.destination_field = self.source_field, "", ""
        return self


class DeletesSpec(Strict):
    """What happens on one side when a record is deleted on the other."""

    kind: Literal["propagate", "tombstone", "ignore"] = "propagate"
    field: str = Field(default="", description="For tombstone: the field of a mapped record that is set.")
    value: Any = Field(default=True, description="For tombstone: what it is set to.")
    most: int = Field(
        default=0, ge=0, description="Deletions a round beyond which it stops; 0 means no limit."
    )
    absent: bool = Field(
        default=False, description="What a full reading no longer shows counts as deleted; for one way."
    )
    most_percent: int = Field(
        default=25,
        ge=1,
        le=100,
        description="With absent: the part of the flow's records that may go at a time; 100 means no limit.",
    )

    filtered: bool = Field(
        default=False, description="With absent: what the mapping leaves out counts as deleted, too."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, given: Any) -> Any:
        return {"kind": given} if isinstance(given, str) else given


class BothWaysSpec(Strict):
    """The part of a flow's document that is about the way back."""

    direction: Literal["forward", "reverse", "both"] = "forward"
    reverse_mapping: str = Field(default="", description="Name of the mapping for the way back.")
    reverse_mapping_version: int = Field(default=0, ge=0, description="0 means the active one.")
    reverse_key: list[str] = Field(
        default_factory=list, description="Paths that identify a record in the source's form."
    )
    reverse_read_mode: Literal["", "full", "incremental", "delta"] = ""
    conflict: ConflictSpec = Field(default_factory=ConflictSpec)
    deletes: DeletesSpec = Field(default_factory=DeletesSpec)


def fields_of(spec: BothWaysSpec) -> dict[str, Any]:
    """Give the fields of a flow's message, without the mapping's id."""
    conflict, deletes = spec.conflict, spec.deletes
    tolerance = Duration()
    tolerance.FromNanoseconds(round(conflict.tolerance_seconds * 1e9))
    mode = (spec.reverse_read_mode or "unspecified").upper()
    return {
        "direction": scheduling_pb2.Direction.Value(f"DIRECTION_{spec.direction.upper()}"),
        "reverse_mapping_version": spec.reverse_mapping_version,
        "reverse_key": spec.reverse_key,
        "reverse_read_mode": connector_pb2.ReadMode.Value(f"READ_MODE_{mode}"),
        "conflict_policy": _POLICIES[conflict.policy],
        "conflict_rules": scheduling_pb2.ConflictRules(
            source_time_field=conflict.source_field or conflict.field,
            destination_time_field=conflict.destination_field or conflict.field,
            skew_tolerance=tolerance,
            otherwise=_POLICIES[conflict.otherwise],
        ),
        "delete_policy": scheduling_pb2.DeletePolicy(
            kind=_KINDS[deletes.kind],
            tombstone_field=deletes.field,
            tombstone_value=json.dumps(deletes.value) if deletes.kind == "tombstone" else "",
            most_deletions=deletes.most,
            absent=deletes.absent,
            most_percent=deletes.most_percent if deletes.absent else 0,
            filtered=deletes.filtered,
        ),
    }


def is_derived(mapping_id: str, other: str) -> bool:
    """Whether a mapping of a flow is what undoes the other, which no document names."""
    return bool(other) and mapping_id == f"{other}~inverse"


def spec_fields(item: scheduling_pb2.Flow) -> dict[str, Any]:
    """Give the fields of a flow's document, without the mapping's name."""
    rules, deletes = item.conflict_rules, item.delete_policy
    kinds = {number: word for word, number in _KINDS.items()}
    direction = scheduling_pb2.Direction.Name(item.direction).removeprefix("DIRECTION_").lower()
    mode = connector_pb2.ReadMode.Name(item.reverse_read_mode).removeprefix("READ_MODE_").lower()
    return {
        "direction": "forward" if direction == "unspecified" else direction,
        "reverse_mapping_version": 0
        if is_derived(item.reverse_mapping_id, item.mapping_id)
        else item.reverse_mapping_version,
        "reverse_key": list(item.reverse_key),
        "reverse_read_mode": "" if mode == "unspecified" else mode,
        "conflict": ConflictSpec(
            policy=_WORDS.get(item.conflict_policy, "source"),
            source_field=rules.source_time_field,
            destination_field=rules.destination_time_field,
            tolerance_seconds=rules.skew_tolerance.ToNanoseconds() / 1e9,
            otherwise=_WORDS.get(rules.otherwise, "review"),
        ),
        "deletes": DeletesSpec(
            kind=kinds.get(deletes.kind, "propagate"),
            field=deletes.tombstone_field,
            value=json.loads(deletes.tombstone_value) if deletes.tombstone_value else True,
            most=deletes.most_deletions,
            absent=deletes.absent,
            most_percent=deletes.most_percent or 25,
            filtered=deletes.filtered,
        ),
    }
