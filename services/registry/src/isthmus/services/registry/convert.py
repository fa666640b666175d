"""Between the rules' values and the contract's messages."""

from datetime import UTC, datetime

from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.connector.v1 import connector_pb2
from isthmus.kit.times import stamp
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import Violation
from isthmus.services.registry.domain.checking import Step
from isthmus.services.registry.domain.configuration import connection_url
from isthmus.services.registry.domain.diff import Change
from isthmus.services.registry.domain.model import (
    Compatibility,
    Connector,
    Host,
    Instance,
    Revision,
    Status,
)

_I = pb.IntegrationInstance
_STATUS = {
    Status.CONFIGURING: _I.STATUS_CONFIGURING,
    Status.ACTIVE: _I.STATUS_ACTIVE,
    Status.INACTIVE: _I.STATUS_INACTIVE,
    Status.ERROR: _I.STATUS_ERROR,
}
_STATUS_READ = {number: status for status, number in _STATUS.items()}
_COMPATIBILITY = {
    Compatibility.COMPATIBLE: _I.VERSION_COMPATIBILITY_COMPATIBLE,
    Compatibility.UPGRADE_AVAILABLE: _I.VERSION_COMPATIBILITY_UPGRADE_AVAILABLE,
    Compatibility.INCOMPATIBLE: _I.VERSION_COMPATIBILITY_INCOMPATIBLE,
}


def moment(timestamp: Timestamp, otherwise: datetime) -> datetime:
    """Read a moment; one that is unset or that no calendar has becomes `otherwise`."""
    try:
        return timestamp.ToDatetime(tzinfo=UTC) if timestamp.ByteSize() else otherwise
    except (ValueError, OverflowError):
        return otherwise


def document(spec: connector_pb2.ConnectorSpec) -> str:
    """Write a connector's description as the canonical JSON that is stored."""
    return MessageToJson(spec, indent=None, sort_keys=True)


def spec(stored: str) -> connector_pb2.ConnectorSpec:
    """Read a stored description; what a newer build wrote and this one does not know is left out."""
    return Parse(stored, connector_pb2.ConnectorSpec(), ignore_unknown_fields=True)


def connector(value: Connector) -> pb.IntegrationConnector:
    """Write a connector."""
    return pb.IntegrationConnector(
        spec=spec(value.spec.document),
        versions=value.versions,
        live_hosts=value.live_hosts,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
    )


def instance(value: Instance, fits: Compatibility) -> pb.IntegrationInstance:
    """Write an instance and whether it fits the connector's newest version."""
    return _I(
        instance_id=value.instance_id,
        name=value.name,
        description=value.description,
        connector_id=value.connector_id,
        connector_version=value.connector_version,
        status=_STATUS[value.status],
        configuration=value.configuration,
        connection_url=connection_url(value.configuration),
        auth_config_id=value.auth_config_id,
        configuration_revision=value.configuration_revision,
        last_connected_time=stamp(value.last_connected_time),
        error_message=value.error_message,
        version_compatibility=_COMPATIBILITY[fits],
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
        limits=value.limits,
    )


def status(number: int) -> Status | None:
    """Read a status; None for one that this build does not know."""
    return _STATUS_READ.get(number)  # type: ignore[call-overload,no-any-return]


def revision(value: Revision) -> pb.ConfigurationRevision:
    """Write one state of a configuration."""
    return pb.ConfigurationRevision(
        revision=value.revision,
        configuration=value.configuration,
        auth_config_id=value.auth_config_id,
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        rolled_back_to=value.rolled_back_to,
        limits=value.limits,
    )


def change(value: Change) -> pb.FieldChange:
    """Write one difference."""
    return pb.FieldChange(path=value.path, before=value.before, after=value.after)


def violation(value: Violation) -> pb.ConfigurationViolation:
    """Write one thing wrong with a configuration."""
    return pb.ConfigurationViolation(path=value.path, reason=value.reason, message=value.message)


def host(value: Host) -> pb.Host:
    """Write a host."""
    return pb.Host(
        host_id=value.host_id,
        connector_id=value.connector_id,
        connector_version=value.connector_version,
        address=value.address,
        start_time=stamp(value.start_time),
        last_seen_time=stamp(value.last_seen_time),
        running_executions=value.running_executions,
    )


def step(value: connector_pb2.CheckStep) -> Step:
    """Read of a step what matters to an instance."""
    has_failed = value.result in {
        connector_pb2.CheckStep.RESULT_FAILED,
        connector_pb2.CheckStep.RESULT_UNSPECIFIED,
    }
    return Step(value.step, has_failed, value.message, value.remedy)


__all__ = [
    "change",
    "connector",
    "document",
    "host",
    "instance",
    "moment",
    "revision",
    "spec",
    "stamp",
    "status",
    "step",
    "violation",
]
