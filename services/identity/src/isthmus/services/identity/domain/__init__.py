"""The rules of identity, in plain Python: no gRPC, no SQL, no vault."""

from isthmus.services.identity.domain.keys import KeyRecord, ParsedKey, mint, parse, verify
from isthmus.services.identity.domain.mesh import mesh_permissions
from isthmus.services.identity.domain.model import ApiKey, Caller, Role, Scope, ServiceAccount, Tenant
from isthmus.services.identity.domain.roles import BUILT_IN, check_grant, permissions_of, roles_after
from isthmus.services.identity.domain.rules import (
    expiry_trouble,
    is_tenant_name,
    use_is_worth_noting,
)

__all__ = [
    "BUILT_IN",
    "ApiKey",
    "Caller",
    "KeyRecord",
    "ParsedKey",
    "Role",
    "Scope",
    "ServiceAccount",
    "Tenant",
    "check_grant",
    "expiry_trouble",
    "is_tenant_name",
    "mesh_permissions",
    "mint",
    "parse",
    "permissions_of",
    "roles_after",
    "use_is_worth_noting",
    "verify",
]
