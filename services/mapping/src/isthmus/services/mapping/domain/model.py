"""What the service keeps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.mapping.domain.documents import Documents


@dataclass(frozen=True, slots=True)
class MappingVersion:
    """A mapping as it was saved once; a version never changes.

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

    @property
    def etag(self) -> str:
        """Changes with every version."""
        return str(self.version)

    def differs_from(self, other: "MappingVersion") -> bool:
        """Tell whether the two say something different, whoever saved them when."""
        return self._said() != other._said()

    def _said(self) -> tuple[Any, ...]:
        return self.name, self.description, self.instance_id, self.documents


__all__ = ["MappingVersion"]
