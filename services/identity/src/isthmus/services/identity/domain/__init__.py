"""The rules of identity, in plain Python: no gRPC, no SQL, no vault."""

from isthmus.services.identity.domain.access import (
    Access,
    Group,
    check_grant,
    check_within,
    is_role_name,
    narrowed,
    pattern_trouble,
)
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
from isthmus.services.identity.domain.roles import BUILT_IN, DECLARED, permissions_of, unknown_role
from isthmus.services.identity.domain.rules import (
    expiry_trouble,
    is_tenant_name,
    use_is_worth_noting,
)

__all__ = [
    "BUILT_IN",
    "DECLARED",
    "FIRST_LOCK",
    "FORGET_FAILURES",
    "FREE_ATTEMPTS",
    "LONGEST_LOCK",
    "Access",
    "ApiKey",
    "Caller",
    "Group",
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
    "check_within",
    "expiry_trouble",
    "is_email",
    "is_role_name",
    "is_tenant_name",
    "is_user_name",
    "keyed_digest",
    "made_up_password",
    "mesh_permissions",
    "mint",
    "mint_refresh",
    "narrowed",
    "parse",
    "parse_refresh",
    "password_trouble",
    "pattern_trouble",
    "permissions_of",
    "session_ended",
    "unknown_caller",
    "unknown_role",
    "use_is_worth_noting",
    "user_name",
    "verify",
]
