"""What the registry of schemas keeps."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

STREAMS = "stream/"
MODELS = "model/"
RESERVED = (STREAMS, MODELS)
"""What names of subjects begin with that nobody but Isthmus registers."""


class Format(StrEnum):
    """How a schema is written."""

    JSON_SCHEMA = "json-schema"
    AVRO = "avro"
    PROTOBUF = "protobuf"


class Level(StrEnum):
    """Which versions of a subject have to go together."""

    NONE = "none"
    BACKWARD = "backward"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD = "forward"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL = "full"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def is_transitive(self) -> bool:
        """Whether a new version is compared with all before, not only with the last."""
        return self.value.endswith("_transitive")

    @property
    def looks_back(self) -> bool:
        """Whether a new version reads what was written before."""
        return self.value.startswith(("backward", "full"))

    @property
    def looks_ahead(self) -> bool:
        """Whether versions before read what is written by a new one."""
        return self.value.startswith(("forward", "full"))


class Policy(StrEnum):
    """What writers are trusted with where a JSON Schema allows fields that it does not name."""

    STRICT = "strict"
    LENIENT = "lenient"


class Status(StrEnum):
    """Where a version is in its life."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True)
class Loss:
    """What one notation says and another cannot.

    Attributes:
        path: Where, as mappings write paths.
        message: What is lost, and what stands there in its place.
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A schema in the notation it was given in, and as JSON Schema.

    Attributes:
        format: The notation.
        text: As it was given.
        json_schema: The same as the text of a JSON Schema 2020-12.
        fingerprint: Content hash, whatever the order and spacing of the text.
        title: What it calls itself; may be empty.
        losses: What `json_schema` cannot say.
    """

    format: Format
    text: str
    json_schema: str
    fingerprint: str
    title: str = ""
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """A definition as it was added to a subject once.

    Attributes:
        create_time: None for what comes with Isthmus.
    """

    subject: str
    version: int
    definition: Definition
    created_by: str = ""
    create_time: datetime | None = None
    status: Status = Status.AVAILABLE
    status_note: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A name with the newest of its versions."""

    name: str
    latest: int
    format: Format
    title: str
    fingerprint: str
    update_time: datetime | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether nobody but Isthmus adds versions."""
        return self.name.startswith(RESERVED)


@dataclass(frozen=True, slots=True)
class Compatibility:
    """What is set, or holds; None where nothing is set."""

    level: Level | None = None
    policy: Policy | None = None

    def or_else(self, other: "Compatibility") -> "Compatibility":
        """What holds where the other is what holds without this."""
        return Compatibility(self.level or other.level, self.policy or other.policy)


DEFAULT = Compatibility(Level.BACKWARD, Policy.STRICT)
"""What holds in a tenant that says nothing."""

__all__ = [
    "DEFAULT",
    "MODELS",
    "RESERVED",
    "STREAMS",
    "Compatibility",
    "Definition",
    "Format",
    "Level",
    "Loss",
    "Policy",
    "Status",
    "Subject",
    "Version",
]
