"""How an instance comes to be and changes."""

from dataclasses import replace
from datetime import datetime

from isthmus.resilience.faults import FixRequest, Missing, Precondition
from isthmus.services.registry.domain.model import HUB, Instance, Revision, Status

_BEGINNING = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def unknown_instance(instance_id: str) -> Missing:
    """Build the answer for an instance that this tenant does not have."""
    message = f"There is no instance `{instance_id[:100]}` in this tenant; ListInstances shows what there is."
    return Missing("INSTANCE_UNKNOWN", message, path="instance_id")


def unknown_connector(connector_id: str) -> Missing:
    """Build the answer for a connector that this tenant does not see."""
    message = f"There is no connector `{connector_id[:100]}`; ListConnectors shows what there is."
    return Missing("CONNECTOR_UNKNOWN", message, path="connector_id")


def unknown_revision(revision: int) -> Missing:
    """Build the answer for a revision that an instance never had."""
    message = f"There is no revision {revision} of this configuration; ListConfigurationRevisions shows them."
    return Missing("REVISION_UNKNOWN", message, path="revision")


def hub_instance(tenant_id: str, connector_version: str) -> Instance:
    """Return the instance of the built-in record store, which every tenant has without making it."""
    return Instance(
        tenant_id=tenant_id,
        instance_id=HUB,
        name=HUB,
        description="The built-in record store.",
        connector_id=HUB,
        connector_version=connector_version,
        status=Status.ACTIVE,
        configuration="{}",
        auth_config_id="",
        configuration_revision=1,
        created_by="isthmus",
        create_time=_BEGINNING,
        update_time=_BEGINNING,
    )


def check_is_not_hub(connector_id: str) -> None:
    """Refuse a second hub.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    if connector_id == HUB:
        message = "Use the built-in instance `hub`; every tenant has exactly one record store."
        raise FixRequest("FIELD_INVALID", message, path="connector_id")


def reconfigured(
    instance: Instance,
    *,
    configuration: str,
    auth_config_id: str,
    limits: str,
    connector_version: str,
    now: datetime,
) -> Instance:
    """Return the instance with another configuration; the revision grows only when something differs."""
    present = (instance.configuration, instance.auth_config_id, instance.limits)
    is_same = (configuration, auth_config_id, limits) == present
    return replace(
        instance,
        configuration=configuration,
        auth_config_id=auth_config_id,
        limits=limits,
        connector_version=connector_version,
        configuration_revision=instance.configuration_revision + (0 if is_same else 1),
        update_time=now,
    )


def revision_of(instance: Instance, *, by: str, now: datetime, rolled_back_to: int = 0) -> Revision:
    """Return what is kept of the instance's present configuration."""
    return Revision(
        tenant_id=instance.tenant_id,
        instance_id=instance.instance_id,
        revision=instance.configuration_revision,
        configuration=instance.configuration,
        auth_config_id=instance.auth_config_id,
        limits=instance.limits,
        created_by=by,
        create_time=now,
        rolled_back_to=rolled_back_to,
    )


def check_deletable(instance: Instance) -> None:
    """Refuse to delete what flows may be using.

    Raises:
        Precondition: `INSTANCE_ACTIVE`.
    """
    if instance.status is Status.ACTIVE:
        message = f"`{instance.name}` is active; deactivate it, then delete it."
        raise Precondition("INSTANCE_ACTIVE", message)


def revisions_to_compare(present: int, from_revision: int, to_revision: int) -> tuple[int, int]:
    """Return which revisions a diff is about; the one before the first is the empty configuration, 0."""
    newer = to_revision or present
    return from_revision or newer - 1, newer


__all__ = [
    "check_deletable",
    "check_is_not_hub",
    "hub_instance",
    "reconfigured",
    "revision_of",
    "revisions_to_compare",
    "unknown_connector",
    "unknown_instance",
    "unknown_revision",
]
