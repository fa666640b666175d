"""What must be right about a request before anything is done."""

from datetime import datetime

from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.kit.validation import Check, validating
from isthmus.services.identity.domain import expiry_trouble, is_tenant_name

_MOST_ROLES = 50


def tenant(path: str, name: str) -> None:
    """Refuse a tenant name that does not fit into subjects, paths and addresses."""
    with validating() as check:
        _tenant_name(check, path, name)


def new_tenant(request: pb.CreateTenantRequest) -> None:
    """Refuse a tenant that cannot be made."""
    with validating() as check:
        _tenant_name(check, "name", request.name)
        check.text("display_name", request.display_name, required=False, longest=200)


def new_account(request: pb.CreateServiceAccountRequest) -> None:
    """Refuse a service account that cannot be made."""
    with validating() as check:
        check.text("name", request.name, longest=100)
        check.text("description", request.description, required=False, lines=True)
        check.count("roles", request.roles, least=1, most=_MOST_ROLES)


def changed_account(request: pb.UpdateServiceAccountRequest) -> None:
    """Refuse a change that leaves a service account without meaning."""
    with validating() as check:
        check.text("description", request.description, required=False, lines=True)
        check.count("roles", request.roles, least=1, most=_MOST_ROLES)


def new_key(request: pb.CreateApiKeyRequest, expire_time: datetime | None, now: datetime) -> None:
    """Refuse a key that nobody could tell apart or that lives too long."""
    with validating() as check:
        check.text("name", request.name, longest=100)
        trouble = expiry_trouble(expire_time, now) if expire_time else ""
        if trouble:
            check.add("expire_time", "OUT_OF_RANGE", trouble)


def _tenant_name(check: Check, path: str, name: str) -> None:
    if not is_tenant_name(name):
        message = f"Use 1 to 63 lower-case letters, digits and inner dashes for `{path}`."
        check.add(path, "NAME_INVALID", message)


__all__ = ["changed_account", "new_account", "new_key", "new_tenant", "tenant"]
