"""What must be right about a request before anything is done."""

from collections.abc import Callable
from datetime import datetime

from isthmus.identity.v1 import access_pb2, providers_pb2, sessions_pb2, users_pb2
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.kit.validation import Check, validating
from isthmus.services.identity.domain import (
    expiry_trouble,
    is_email,
    is_role_name,
    is_tenant_name,
    is_user_name,
    issuer_trouble,
    network_trouble,
    password_trouble,
    pattern_trouble,
    user_name,
)

_MOST_ROLES = 50
_MOST_PATTERNS = 200
_MOST_NETWORKS = 100
_LONGEST_PASSWORD = 256


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
        check.within("requests_per_second", request.requests_per_second, least=0, most=1_000_000)
        check.count("permissions", request.permissions, most=_MOST_PATTERNS)
        check.count("allowed_networks", request.allowed_networks, most=_MOST_NETWORKS)
        for number, pattern in enumerate(request.permissions[:_MOST_PATTERNS]):
            if trouble := pattern_trouble(pattern):
                check.add(f"permissions[{number}]", "PERMISSION_UNKNOWN", trouble)
        for number, network in enumerate(request.allowed_networks[:_MOST_NETWORKS]):
            if trouble := network_trouble(network):
                check.add(f"allowed_networks[{number}]", "NETWORK_INVALID", trouble)


def new_user(request: users_pb2.CreateUserRequest) -> None:
    """Refuse a user who cannot be made."""
    with validating() as check:
        name = user_name(request.name)
        if not is_user_name(name):
            check.add("name", "NAME_INVALID", "Use 1 to 128 letters, digits and `.@_+-` for `name`.")
        _about_user(check, request)
        if request.password and request.without_password:
            check.add("password", "CONTRADICTION", "Leave out `password` or `without_password`.")
        elif request.password:
            _password(check, "password", request.password, name)


def changed_user(request: users_pb2.UpdateUserRequest) -> None:
    """Refuse a change that nobody could read."""
    with validating() as check:
        _about_user(check, request)


def login(request: sessions_pb2.LoginRequest) -> None:
    """Refuse a login that cannot be one."""
    with validating() as check:
        check.text("tenant_name", request.tenant_name, required=False, longest=63)
        check.text("user_name", request.user_name, longest=200)
        if not 0 < len(request.password) <= _LONGEST_PASSWORD:
            check.add("password", "REQUIRED", f"Send 1 to {_LONGEST_PASSWORD} characters in `password`.")
        check.text("code", request.code, required=False, longest=64)


def changed_password(request: sessions_pb2.ChangePasswordRequest) -> None:
    """Refuse a change without a present password that can be one."""
    with validating() as check:
        if not 0 < len(request.password) <= _LONGEST_PASSWORD:
            check.add("password", "REQUIRED", f"Send 1 to {_LONGEST_PASSWORD} characters in `password`.")
        _password(check, "new_password", request.new_password, "")


def new_group(request: access_pb2.CreateGroupRequest) -> None:
    """Refuse a group that cannot be made."""
    with validating() as check:
        check.text("name", request.name, longest=200)
        _about_group(check, request)


def changed_group(request: access_pb2.UpdateGroupRequest) -> None:
    """Refuse a change that nobody could read."""
    with validating() as check:
        _about_group(check, request)


def members(request: access_pb2.AddGroupMembersRequest | access_pb2.RemoveGroupMembersRequest) -> list[str]:
    """Return the subjects of the members that a request names, and refuse too many or none."""
    found = [f"user:{one}" for one in request.user_ids]
    found += [f"service_account:{one}" for one in request.service_account_ids]
    with validating() as check:
        check.count("user_ids", found, least=1, most=1000)
        for subject in found:
            check.text("user_ids", subject, longest=100)
    return list(dict.fromkeys(found))


def new_role(request: access_pb2.CreateRoleRequest) -> None:
    """Refuse a role that cannot be made."""
    with validating() as check:
        if not is_role_name(request.name):
            message = "Use 1 to 63 lower-case letters, digits and `_` for `name`, and no built-in role's."
            check.add("name", "NAME_INVALID", message)
        _about_role(check, request)


def changed_role(request: access_pb2.UpdateRoleRequest) -> None:
    """Refuse a change that makes a role meaningless."""
    with validating() as check:
        _about_role(check, request)


def provider(message: providers_pb2.Provider, *, with_name: bool, may_ask: Callable[[str], bool]) -> None:
    """Refuse a provider that nobody could log in by, or that may not be asked."""
    with validating() as check:
        if with_name:
            _tenant_name(check, "provider.name", message.name)
        if trouble := issuer_trouble(message.issuer):
            check.add("provider.issuer", "ISSUER_INVALID", trouble)
        elif not may_ask(message.issuer):
            text = "The operator has not opened the way to this issuer (ISTHMUS_EGRESS_ALLOW)."
            check.add("provider.issuer", "EGRESS_DENIED", text)
        check.text("provider.issuer", message.issuer, longest=500)
        check.text("provider.client_id", message.client_id, longest=200)
        check.text("provider.audience", message.audience, required=False, longest=500)
        if message.audience and message.audience == message.client_id:
            text = "Have access tokens made for an audience of their own: that of the client is in ID tokens."
            check.add("provider.audience", "AUDIENCE_OF_CLIENT", text)
        check.text("provider.name_claim", message.name_claim, required=False, longest=100)
        check.text("provider.role_claim", message.role_claim, required=False, longest=200)
        check.count("provider.scopes", message.scopes, most=_MOST_ROLES)
        check.count("provider.role_mappings", message.role_mappings, most=_MOST_PATTERNS)
        check.count("provider.redirect_uris", message.redirect_uris, most=_MOST_ROLES)
        for text in (*message.scopes, *message.redirect_uris, *(one.value for one in message.role_mappings)):
            check.text("provider", text, longest=500)
        for one in message.role_mappings:
            check.count("provider.role_mappings", one.roles, least=1, most=_MOST_ROLES)


def begun_login(request: providers_pb2.BeginLoginRequest) -> None:
    """Refuse a login that cannot be begun."""
    with validating() as check:
        check.text("tenant_name", request.tenant_name, required=False, longest=63)
        check.text("provider_name", request.provider_name, longest=63)
        check.text("redirect_uri", request.redirect_uri, longest=500)


def arrived_login(request: providers_pb2.ArriveLoginRequest) -> None:
    """Refuse what no browser brings back."""
    completed_login(request)
    with validating() as check:
        check.text("redirect_uri", request.redirect_uri, longest=500)


def completed_login(request: providers_pb2.CompleteLoginRequest | providers_pb2.ArriveLoginRequest) -> None:
    """Refuse what no provider sends back."""
    with validating() as check:
        check.text("login_state", request.login_state, longest=200)
        check.text("code", request.code, longest=4000)
        check.text("issuer", request.issuer, required=False, longest=500)


def _about_group(
    check: Check, request: access_pb2.CreateGroupRequest | access_pb2.UpdateGroupRequest
) -> None:
    check.text("description", request.description, required=False, lines=True)
    check.text("external_id", request.external_id, required=False, longest=200)
    check.count("roles", request.roles, most=_MOST_ROLES)


def _about_role(check: Check, request: access_pb2.CreateRoleRequest | access_pb2.UpdateRoleRequest) -> None:
    check.text("description", request.description, required=False, lines=True)
    check.count("permissions", request.permissions, least=1, most=_MOST_PATTERNS)
    for number, pattern in enumerate(request.permissions[:_MOST_PATTERNS]):
        if trouble := pattern_trouble(pattern):
            check.add(f"permissions[{number}]", "PERMISSION_UNKNOWN", trouble)


def password(path: str, text: str, name: str) -> None:
    """Refuse a password that is too easy to guess."""
    with validating() as check:
        _password(check, path, text, name)


def _about_user(check: Check, request: users_pb2.CreateUserRequest | users_pb2.UpdateUserRequest) -> None:
    check.text("display_name", request.display_name, required=False, longest=200)
    check.text("external_id", request.external_id, required=False, longest=200)
    check.count("roles", request.roles, most=_MOST_ROLES)
    if request.email and not is_email(request.email):
        check.add("email", "EMAIL_INVALID", "Send an address like `ann@example.com` in `email`, or none.")


def _password(check: Check, path: str, text: str, name: str) -> None:
    trouble = password_trouble(text, name)
    if trouble:
        check.add(path, "PASSWORD_WEAK", trouble)


def _tenant_name(check: Check, path: str, name: str) -> None:
    if not is_tenant_name(name):
        message = f"Use 1 to 63 lower-case letters, digits and inner dashes for `{path}`."
        check.add(path, "NAME_INVALID", message)


__all__ = [
    "arrived_login",
    "begun_login",
    "changed_account",
    "changed_group",
    "changed_password",
    "changed_role",
    "changed_user",
    "completed_login",
    "login",
    "members",
    "new_account",
    "new_group",
    "new_key",
    "new_role",
    "new_tenant",
    "new_user",
    "password",
    "provider",
    "tenant",
]
