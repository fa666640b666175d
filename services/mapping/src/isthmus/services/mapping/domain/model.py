"""What the service keeps."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from isthmus.resilience.faults import Missing
from isthmus.services.mapping.domain.documents import Documents

NO_SAMPLES = "[]"


class State(StrEnum):
    """How far a version has come; the active one is validated, and the mapping names it."""

    DRAFT = "draft"
    VALIDATED = "validated"
    RETIRED = "retired"


_WORDS = {State.DRAFT: "a draft", State.RETIRED: "retired"}


@dataclass(frozen=True, slots=True)
class MappingVersion:
    """A mapping as it was saved once; what a version says never changes, only how far it has come.

    Attributes:
        tenant_id: Whose it is.
        mapping_id: The mapping.
        version: Counts from 1.
        name: Unique inside the tenant.
        description: What it is for.
        instance_id: The instance it is made for, or empty.
        documents: The definition.
        fingerprint: Content hash of the definition.
        created_by: Who saved this version.
        create_time: When the mapping was created.
        update_time: When this version was saved.
        state: How far this version has come.
        active_version: The mapping's version that flows use which pin none; 0 when there is none.
        golden_samples: What the definition has to make of some records, as a JSON array.
        activate_time: When this version became the active one last.
    """

    tenant_id: str
    mapping_id: str
    version: int
    name: str
    description: str
    instance_id: str
    documents: Documents
    fingerprint: str
    created_by: str
    create_time: datetime
    update_time: datetime
    state: State = State.VALIDATED
    active_version: int = 0
    golden_samples: str = NO_SAMPLES
    activate_time: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether flows use this version which pin none."""
        return self.version == self.active_version

    @property
    def etag(self) -> str:
        """Changes with every version."""
        return str(self.version)

    def differs_from(self, other: "MappingVersion") -> bool:
        """Tell whether the two say something different, whoever saved them when."""
        return self._said() != other._said()

    def _said(self) -> tuple[Any, ...]:
        return self.name, self.description, self.instance_id, self.documents, self.golden_samples


def usable(mapping: MappingVersion) -> MappingVersion:
    """Return a version that flows may use.

    Raises:
        Missing: `MAPPING_NOT_USABLE`.
    """
    if mapping.state is State.VALIDATED:
        return mapping
    remedy = "activate it first" if mapping.state is State.DRAFT else "choose another version"
    message = (
        f"Version {mapping.version} of mapping {mapping.name} is {_WORDS[mapping.state]}, which no flow may "
        f"use; {remedy}."
    )
    details = {"mapping_id": mapping.mapping_id, "version": str(mapping.version)}
    raise Missing("MAPPING_NOT_USABLE", message, path="version", metadata=details)


__all__ = ["NO_SAMPLES", "MappingVersion", "State", "usable"]
