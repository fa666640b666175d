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


class Direction(StrEnum):
    """Which way records move."""

    FORWARD = "forward"
    REVERSE = "reverse"
    BOTH = "both"


class ConflictPolicy(StrEnum):
    """What happens to a record that has changed on both sides."""

    UNSPECIFIED = "unspecified"
    SOURCE_WINS = "source_wins"
    DESTINATION_WINS = "destination_wins"
    NEWEST_WINS = "newest_wins"
    MERGE = "merge"
    REVIEW = "review"


class DeleteKind(StrEnum):
    """What a deletion on one side means for the other."""

    PROPAGATE = "propagate"
    TOMBSTONE = "tombstone"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class ConflictRules:
    """What a conflict policy goes by; the record store reads them."""

    source_time_field: str = ""
    destination_time_field: str = ""
    skew_seconds: float = 0.0
    otherwise: ConflictPolicy = ConflictPolicy.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """What happens to deletions; 0 means no limit, or the default for a part in per cent."""

    kind: DeleteKind = DeleteKind.PROPAGATE
    tombstone_field: str = ""
    tombstone_value: str = ""
    most_deletions: int = 0
    absent: bool = False
    most_percent: int = 0
    filtered: bool = False


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
    direction: Direction = Direction.FORWARD
    reverse_mapping_id: str = ""
    reverse_mapping_version: int = 0
    reverse_key: tuple[str, ...] = ()
    reverse_read_mode: ReadMode = ReadMode.UNSPECIFIED
    conflict_policy: ConflictPolicy = ConflictPolicy.SOURCE_WINS
    conflict_rules: ConflictRules = field(default_factory=ConflictRules)
    delete_policy: DeletePolicy = field(default_factory=DeletePolicy)
    priority: int = 0

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """The instances that have to be active for the flow to run."""
        return tuple({self.source.instance_id: None, self.destination.instance_id: None})

    def keeps_position_of(self, other: "FlowSpec") -> bool:
        """Whether positions reached under `other` still mean the same.

        They do not when the source differs, nor when another destination or another way of
        reading would leave out what the old one has already taken.
        """
        return self._reading == other._reading

    @property
    def _reading(self) -> tuple[object, ...]:
        return (self.source, self.destination, self.read_mode, self.reverse_read_mode, self.direction)


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as stored.

    Attributes:
        flow_id: Never reused.
        spec: What its owner decided.
        source_connector_id: Whose hosts read the source.
        destination_connector_id: Whose hosts read the destination, where it is read.
        epoch: Grows when positions reached so far lose their meaning.
        created_by: Subject of the creator.
        create_time: When it was created.
        update_time: When it last changed.
        revision: Grows with every change by a caller.
        pause_time: When it was paused; None while it is not.
        paused_by: Who paused it.
        pause_reason: Why, in that person's words.
    """

    flow_id: str
    spec: FlowSpec
    source_connector_id: str
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1
    epoch: int = 1
    destination_connector_id: str = ""
    pause_time: datetime | None = None
    paused_by: str = ""
    pause_reason: str = ""

    @property
    def is_paused(self) -> bool:
        """Whether nothing of it starts."""
        return self.pause_time is not None


__all__ = [
    "HUB",
    "ConflictPolicy",
    "ConflictRules",
    "DeleteKind",
    "DeletePolicy",
    "Direction",
    "Endpoint",
    "FailurePolicy",
    "Flow",
    "FlowSpec",
    "ReadMode",
    "WriteMode",
]
