"""From the rules' values to the contract's messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.kit import Principal
from isthmus.kit.times import stamp
from isthmus.services.identity.domain import Caller, ServiceAccount, Tenant

_KINDS = {
    "user": pb.Caller.KIND_USER,
    "service_account": pb.Caller.KIND_SERVICE_ACCOUNT,
    "mesh": pb.Caller.KIND_MESH,
}


def moment(timestamp: Timestamp) -> datetime:
    """Read a moment; one that no calendar has becomes the first or the last one that it has."""
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        beyond = datetime.max if timestamp.seconds > 0 else datetime.min
        return beyond.replace(tzinfo=UTC)


def tenant(value: Tenant) -> pb.Tenant:
    """Write a tenant."""
    return pb.Tenant(
        tenant_id=value.tenant_id,
        name=value.name,
        display_name=value.display_name,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
    )


def account(value: ServiceAccount) -> pb.ServiceAccount:
    """Write a service account."""
    return pb.ServiceAccount(
        service_account_id=value.service_account_id,
        name=value.name,
        description=value.description,
        roles=value.roles,
        is_disabled=value.is_disabled,
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
    )


def caller(value: Caller) -> pb.Caller:
    """Write the holder of an API key or an access token."""
    return pb.Caller(
        subject=value.subject,
        tenant_id=value.tenant_id,
        kind=_KINDS[value.kind],
        permissions=sorted(value.permissions),
        expire_time=stamp(value.expire_time),
        session_id=value.session_id,
        support_access_id=value.support_access_id,
    )


def principal(value: Principal) -> pb.Caller:
    """Write the caller of an RPC as the mesh sees it."""
    return pb.Caller(
        subject=value.subject,
        tenant_id=value.tenant_id,
        kind=_KINDS[value.kind],
        permissions=sorted(value.permissions),
        session_id=value.session_id,
        support_access_id=value.support_access_id,
    )


__all__ = ["account", "caller", "moment", "principal", "stamp", "tenant"]
