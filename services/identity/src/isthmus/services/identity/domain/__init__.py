"""The rules of identity, in plain Python: no gRPC, no SQL, no vault."""

from isthmus.services.identity.domain.keys import (
    KeyRecord,
    ParsedKey,
    keyed_digest,
    mint,
    parse,
    unknown_caller,
    verify,
)
from isthmus.services.identity.domain.mesh import mesh_permissions
from isthmus.services.identity.domain.model import ApiKey, Caller, Role, Scope, ServiceAccount, Tenant
from isthmus.services.identity.domain.people import (
    FIRST_LOCK,
    FORGET_FAILURES,
    FREE_ATTEMPTS,
    LONGEST_LOCK,
    Session,
    User,
    is_email,
    is_user_name,
    made_up_password,
    password_trouble,
    user_name,
)
from isthmus.services.identity.domain.refreshing import (
    RefreshToken,
    mint_refresh,
    parse_refresh,
    session_ended,
)
from isthmus.services.identity.domain.roles import BUILT_IN, check_grant, permissions_of, roles_after
from isthmus.services.identity.domain.rules import (
    expiry_trouble,
    is_tenant_name,
    use_is_worth_noting,
)

__all__ = [
    "BUILT_IN",
    "FIRST_LOCK",
    "FORGET_FAILURES",
    "FREE_ATTEMPTS",
    "LONGEST_LOCK",
    "ApiKey",
    "Caller",
    "KeyRecord",
    "ParsedKey",
    "RefreshToken",
    "Role",
    "Scope",
    "ServiceAccount",
    "Session",
    "Tenant",
    "User",
    "check_grant",
    "expiry_trouble",
    "is_email",
    "is_tenant_name",
    "is_user_name",
    "keyed_digest",
    "made_up_password",
    "mesh_permissions",
    "mint",
    "mint_refresh",
    "parse",
    "parse_refresh",
    "password_trouble",
    "permissions_of",
    "roles_after",
    "session_ended",
    "unknown_caller",
    "use_is_worth_noting",
    "user_name",
    "verify",
]
