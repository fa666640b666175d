"""What moves: source stream, mapping, destination stream."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

HUB = "hub"


class ReadMode(StrEnum):
    """How the source is read."""

    UNSPECIFIED = "unspecified"
    FULL = "full"
    INCREMENTAL = "incremental"
    DELTA = "delta"


class WriteMode(StrEnum):
    """How the destination is written."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a flow."""

    instance_id: str
    stream: str


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """When an execution gives up; 0 attempts means the default, 0 quarantined means no limit."""

    max_attempts: int = 0
    max_quarantined: int = 0


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """The part of a flow that its owner decides."""

    name: str
    source: Endpoint
    destination: Endpoint
    description: str = ""
    mapping_id: str = ""
    mapping_version: int = 0
    read_mode: ReadMode = ReadMode.UNSPECIFIED
    write_mode: WriteMode = WriteMode.UPSERT
    destination_key: tuple[str, ...] = ()
    is_active: bool = True
    failure_policy: FailurePolicy = field(default_factory=FailurePolicy)

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """The instances that have to be active for the flow to run."""
        return tuple({self.source.instance_id: None, self.destination.instance_id: None})

    def keeps_position_of(self, other: "FlowSpec") -> bool:
        """Whether positions reached under `other` still mean the same.

        They do not when the source differs, nor when another destination or another way of
        reading would leave out what the old one has already taken.
        """
        return (self.source, self.destination, self.read_mode) == (
            other.source,
            other.destination,
            other.read_mode,
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as stored.

    Attributes:
        flow_id: Never reused.
        spec: What its owner decided.
        source_connector_id: Whose hosts carry its executions out.
        epoch: Grows when positions reached so far lose their meaning.
        created_by: Subject of the creator.
        create_time: When it was created.
        update_time: When it last changed.
        revision: Grows with every change by a caller.
    """

    flow_id: str
    spec: FlowSpec
    source_connector_id: str
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1
    epoch: int = 1


__all__ = ["HUB", "Endpoint", "FailurePolicy", "Flow", "FlowSpec", "ReadMode", "WriteMode"]
