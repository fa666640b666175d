"""What the registry keeps: connectors, instances, revisions, hosts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

EVERYBODY = "*"
"""Stands in place of a tenant for what belongs to the installation and every tenant may see."""

HUB = "hub"
"""Id of the built-in record store, both as a connector and as an instance."""


class Status(StrEnum):
    """Where an instance is in its life."""

    CONFIGURING = "configuring"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"


class Compatibility(StrEnum):
    """Whether an instance's configuration fits the connector's newest version."""

    COMPATIBLE = "compatible"
    UPGRADE_AVAILABLE = "upgrade_available"
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True, slots=True)
class Spec:
    """One version of a connector, as far as the registry's rules look at it.

    Attributes:
        connector_id: Stable name, chosen by the author.
        version: Semantic version.
        schema: JSON Schema of an instance's configuration.
        digest: Equal digests mean equal content.
        is_built_in: Whether it comes with Isthmus.
        document: The whole description as canonical JSON; opaque here.
    """

    connector_id: str
    version: str
    schema: dict[str, Any]
    digest: str
    is_built_in: bool
    document: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector in its newest version.

    Attributes:
        tenant_id: Whose it is; `*` for everybody's.
        spec: The version asked for, the newest one unless said otherwise.
        versions: Every version known, newest first.
        live_hosts: Hosts that run now.
        create_time: When it was first registered.
        update_time: When a version was last added.
    """

    tenant_id: str
    spec: Spec
    versions: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    live_hosts: int = 0

    @property
    def newest(self) -> str:
        """The newest version known."""
        return self.versions[0]


@dataclass(frozen=True, slots=True)
class Instance:
    """One configured connection of a tenant to one external system."""

    tenant_id: str
    instance_id: str
    name: str
    description: str
    connector_id: str
    connector_version: str
    status: Status
    configuration: str
    auth_config_id: str
    configuration_revision: int
    created_by: str
    create_time: datetime
    update_time: datetime
    error_message: str = ""
    last_connected_time: datetime | None = None
    revision: int = 1
    limits: str = "{}"


@dataclass(frozen=True, slots=True)
class Revision:
    """One state that an instance's configuration was in."""

    tenant_id: str
    instance_id: str
    revision: int
    configuration: str
    auth_config_id: str
    created_by: str
    create_time: datetime
    rolled_back_to: int = 0
    limits: str = "{}"


@dataclass(frozen=True, slots=True)
class Host:
    """A process that runs one connector."""

    tenant_id: str
    host_id: str
    connector_id: str
    connector_version: str
    address: str
    start_time: datetime
    last_seen_time: datetime
    running_executions: int = 0


__all__ = [
    "EVERYBODY",
    "HUB",
    "Compatibility",
    "Connector",
    "Host",
    "Instance",
    "Revision",
    "Spec",
    "Status",
]
