"""From the rules' values to messages that both answers and events carry."""

from google.protobuf.duration_pb2 import Duration
from isthmus.identity.v1 import (
    access_pb2,
    identity_pb2,
    providers_pb2,
    sessions_pb2,
    support_pb2,
    users_pb2,
)
from isthmus.kit.times import stamp
from isthmus.services.identity.domain import ApiKey, Group, Provider, Role, Session, SupportAccess, User


def user_message(value: User) -> users_pb2.User:
    """Write what may be shown of a user."""
    return users_pb2.User(
        user_id=value.user_id,
        name=value.name,
        display_name=value.display_name,
        email=value.email,
        external_id=value.external_id,
        roles=value.roles,
        is_disabled=value.is_disabled,
        has_password=value.password_hash is not None,
        must_change_password=value.must_change_password,
        has_second_factor=value.has_second_factor,
        last_login_time=stamp(value.last_login_time),
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
    )


def session_message(value: Session) -> sessions_pb2.Session:
    """Write a session."""
    reason = f"END_REASON_{value.end_reason.upper()}" if value.end_reason else "END_REASON_UNSPECIFIED"
    return sessions_pb2.Session(
        session_id=value.session_id,
        user_id=value.user_id,
        methods=value.methods,
        client_address=value.client_address,
        create_time=stamp(value.create_time),
        refresh_time=stamp(value.refresh_time),
        expire_time=stamp(value.expire_time),
        end_time=stamp(value.end_time),
        end_reason=sessions_pb2.Session.EndReason.Value(reason),
    )


def key_message(value: ApiKey) -> identity_pb2.ApiKey:
    """Write what may be shown of an API key."""
    return identity_pb2.ApiKey(
        api_key_id=value.api_key_id,
        service_account_id=value.service_account_id,
        name=value.name,
        expire_time=stamp(value.expire_time),
        revoke_time=stamp(value.revoke_time),
        last_used_time=stamp(value.last_used_time),
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        permissions=value.permissions,
        allowed_networks=value.allowed_networks,
        requests_per_second=value.requests_per_second,
        use_count=value.use_count,
        used_networks=value.used_networks,
    )


def group_message(value: Group) -> access_pb2.Group:
    """Write a group."""
    return access_pb2.Group(
        group_id=value.group_id,
        name=value.name,
        description=value.description,
        external_id=value.external_id,
        roles=value.roles,
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
    )


def member_message(subject: str) -> access_pb2.GroupMember:
    """Write a member of a group, which is kept by its subject."""
    kind, _, id_ = subject.partition(":")
    return access_pb2.GroupMember(**{f"{kind}_id": id_})


def provider_message(value: Provider) -> providers_pb2.Provider:
    """Write what may be shown of a provider."""
    mappings = value.role_mappings.items()
    return providers_pb2.Provider(
        provider_id=value.provider_id,
        name=value.name,
        issuer=value.issuer,
        client_id=value.client_id,
        has_client_secret=value.has_client_secret,
        scopes=value.scopes,
        audience=value.audience,
        name_claim=value.name_claim,
        role_claim=value.role_claim,
        role_mappings=[providers_pb2.RoleMapping(value=one, roles=roles) for one, roles in mappings],
        redirect_uris=value.redirect_uris,
        is_disabled=value.is_disabled,
        created_by=value.created_by,
        create_time=stamp(value.create_time),
        update_time=stamp(value.update_time),
        etag=str(value.revision),
    )


def role_message(value: Role) -> identity_pb2.Role:
    """Write a role."""
    return identity_pb2.Role(
        role=value.role,
        description=value.description,
        permissions=value.permissions,
        is_built_in=not value.revision,
        etag=str(value.revision or ""),
    )


def support_message(value: SupportAccess, state: str) -> support_pb2.SupportAccess:
    """Write an access for a while, with how far it is at the moment."""
    duration = Duration()
    duration.FromTimedelta(value.duration)
    return support_pb2.SupportAccess(
        support_access_id=value.support_access_id,
        tenant_id=value.tenant_id,
        tenant_name=value.tenant_name,
        requester=value.requester,
        requester_name=value.requester_name,
        requester_tenant_name=value.requester_tenant_name,
        reason=value.reason,
        roles=value.roles,
        duration=duration,
        state=support_pb2.SupportAccess.State.Value(f"STATE_{state.upper()}"),
        create_time=stamp(value.create_time),
        decided_by=value.decided_by,
        decide_time=stamp(value.decide_time),
        refusal=value.refusal,
        expire_time=stamp(value.expire_time),
        end_time=stamp(value.end_time),
        ended_by=value.ended_by,
    )


__all__ = [
    "group_message",
    "key_message",
    "member_message",
    "provider_message",
    "role_message",
    "session_message",
    "support_message",
    "user_message",
]
