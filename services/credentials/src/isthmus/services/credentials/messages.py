"""Between the contract's messages and the domain's values."""

from collections.abc import Mapping
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit.times import stamp
from isthmus.kit.validation import Check
from isthmus.services.credentials.domain import (
    DAY_SECONDS,
    MOST_DAYS,
    AuthConfig,
    AuthType,
    Lease,
    OAuth,
    Parameters,
    Rotation,
    RotationAction,
    RotationPolicy,
    Secret,
    Token,
    TokenRow,
    further_of,
)

_TYPES = {connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{kind.upper()}"): kind for kind in AuthType}
_CLIENTS = {
    number: name.removeprefix("CLIENT_AUTHENTICATION_").lower()
    for name, number in pb.OAuthConfig.ClientAuthentication.items()
    if number
}
_LONGEST_OVERLAP = 30 * DAY_SECONDS
_ACTIONS: dict[int, RotationAction] = {
    pb.RotationPolicy.ACTION_UNSPECIFIED: RotationAction.REMIND,
    pb.RotationPolicy.ACTION_REMIND: RotationAction.REMIND,
    pb.RotationPolicy.ACTION_ROTATE: RotationAction.ROTATE,
}
_PARAMETERS = tuple(Parameters.__dataclass_fields__)
_OPEN = (
    "token_url",
    "authorization_url",
    "client_id",
    "audience",
    "key_id",
    "signing_algorithm",
    "issuer",
    "device_authorization_url",
    "subject",
    "entra_tenant",
)


def type_of(method: int) -> AuthType | None:
    """Reads a method; None for one that this service does not keep."""
    return _TYPES.get(connector_pb2.AuthMethod.ValueType(method))


def secret_of(material: pb.SecretMaterial) -> Secret | None:
    """Reads a secret; None when none was sent."""
    name, further = material.WhichOneof("material"), dict(material.further)
    if name in ("oauth", "client_certificate"):
        parts = getattr(material, name).ListFields()
        return Secret(name, {field.name: value for field, value in parts}, further)
    if name:
        return Secret(name, {"value": getattr(material, name)}, further)
    return Secret("", {}, further) if further else None


def oauth_of(config: pb.OAuthConfig) -> OAuth:
    """Reads the open part of an OAuth client."""
    given = {name: getattr(config, name).strip() for name in _OPEN if getattr(config, name).strip()}
    kind = _CLIENTS.get(config.client_authentication)
    return OAuth(**given, scopes=tuple(config.scopes), **({"client_authentication": kind} if kind else {}))


def overlap_of(check: Check, request: pb.RotateAuthConfigRequest, otherwise: int) -> timedelta:
    """Reads how long the old secret is kept: so many seconds where nobody says."""
    if not request.HasField("overlap"):
        return timedelta(seconds=otherwise)
    seconds = request.overlap.seconds
    check.within("overlap", seconds, least=0, most=_LONGEST_OVERLAP)
    return timedelta(seconds=min(max(seconds, 0), _LONGEST_OVERLAP))


def policy_of(
    check: Check, request: pb.CreateAuthConfigRequest | pb.UpdateAuthConfigRequest
) -> RotationPolicy:
    """Reads how often the secret is to be replaced; by default a person does it and is reminded."""
    policy = request.rotation_policy
    if not policy.every_days:
        return RotationPolicy()
    seconds = policy.overlap.seconds if policy.HasField("overlap") else DAY_SECONDS
    check.within("rotation_policy.every_days", policy.every_days, least=1, most=MOST_DAYS)
    check.within("rotation_policy.overlap", seconds, least=0, most=_LONGEST_OVERLAP)
    action = _ACTIONS.get(policy.action)
    if action is None:
        message = f"`rotation_policy.action` has the value {policy.action}, which this version does not know."
        check.add("rotation_policy.action", "UNKNOWN_VALUE", message)
    return RotationPolicy(action or RotationAction.REMIND, policy.every_days, seconds)


def parameters_of(parameters: pb.AuthParameters) -> Parameters:
    """Reads the parts of a method that are no secret."""
    return Parameters(**{name: getattr(parameters, name) for name in _PARAMETERS})


def lease_message(
    lease: Lease, config: AuthConfig, values: Mapping[str, str], token: Token | None
) -> pb.LeaseCredentialResponse:
    """Hands a secret over, or the access token that takes its place."""
    message = pb.LeaseCredentialResponse(
        lease_id=lease.lease_id,
        auth_type=connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{config.auth_type.upper()}"),
        parameters=parameters_message(config),
        secret=_lent(config, values, further_of(values)),
        expire_time=stamp(lease.expire_time),
        secret_version=lease.secret_version,
    )
    if token is not None:
        facts = pb.AccessTokenFacts(
            token_id=token.token_id,
            expire_time=stamp(token.expire_time),
            scopes=token.scopes,
            audience=config.oauth.audience,
        )
        message.access_token.CopyFrom(facts)
    return message


def _lent(config: AuthConfig, values: Mapping[str, str], further: Mapping[str, str]) -> pb.SecretMaterial:
    if config.auth_type is AuthType.MUTUAL_TLS:
        shown = {name: values[name] for name in ("certificate", "private_key")}
        return pb.SecretMaterial(client_certificate=pb.ClientCertificate(**shown), further=further)
    value = values["value"]
    if config.auth_type in (AuthType.HMAC, AuthType.AWS_SIGV4):
        return pb.SecretMaterial(signing_key=value, further=further)
    if config.auth_type is AuthType.API_KEY:
        return pb.SecretMaterial(api_key=value, further=further)
    if config.auth_type is AuthType.BASIC:
        return pb.SecretMaterial(password=value, further=further)
    return pb.SecretMaterial(bearer_token=value, further=further)


def config_message(config: AuthConfig, tokens: TokenRow | None = None) -> pb.AuthenticationConfig:
    """Tells a configuration, which has no secret in it, and what is known of its tokens."""
    return pb.AuthenticationConfig(
        auth_config_id=config.auth_config_id,
        name=config.name,
        description=config.description,
        auth_type=connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{config.auth_type.upper()}"),
        parameters=parameters_message(config),
        expire_time=stamp(config.expire_time),
        is_system_account=config.is_system_account,
        secret_version=config.secret_version,
        last_used_time=stamp(config.last_used_time),
        created_by=config.created_by,
        create_time=stamp(config.create_time),
        update_time=stamp(config.update_time),
        etag=str(config.revision),
        revoke_time=stamp(config.revoke_time),
        overlap_end_time=stamp(config.overlap_end_time),
        oauth_config=_oauth_message(config.oauth) if config.auth_type.has_tokens else None,
        token_status=_token_message(tokens) if tokens else None,
        rotation_policy=_policy_message(config.rotation.policy),
        rotation_status=_rotation_message(config.rotation),
        further_secrets=config.further_secrets,
    )


def parameters_message(config: AuthConfig) -> pb.AuthParameters:
    """Tells the parts of the method that are no secret."""
    parameters = config.parameters
    return pb.AuthParameters(**{name: getattr(parameters, name) for name in _PARAMETERS})


def _oauth_message(oauth: OAuth) -> pb.OAuthConfig:
    kind = f"CLIENT_AUTHENTICATION_{oauth.client_authentication.upper()}"
    return pb.OAuthConfig(
        **{name: getattr(oauth, name) for name in _OPEN},
        scopes=oauth.scopes,
        client_authentication=pb.OAuthConfig.ClientAuthentication.Value(kind),
    )


def _policy_message(policy: RotationPolicy) -> pb.RotationPolicy | None:
    if policy.action is RotationAction.NONE:
        return None
    return pb.RotationPolicy(
        every_days=policy.every_days,
        overlap=Duration(seconds=policy.overlap_seconds),
        action=pb.RotationPolicy.Action.Value(f"ACTION_{policy.action.upper()}"),
    )


def _rotation_message(rotation: Rotation) -> pb.RotationStatus:
    stage = pb.RotationStatus.Stage.Value(f"STAGE_{rotation.stage.upper() or 'UNSPECIFIED'}")
    return pb.RotationStatus(
        stage=stage,
        next_time=stamp(rotation.next_time),
        last_time=stamp(rotation.last_time),
        last_by=rotation.last_by,
        next_try_time=stamp(rotation.try_time),
        failures=rotation.failures,
        failure_reason=rotation.failure_reason,
        failure_message=rotation.failure_message,
    )


def _token_message(row: TokenRow) -> pb.TokenStatus:
    return pb.TokenStatus(
        state=pb.TokenStatus.State.Value(f"STATE_{row.state.upper()}"),
        token_id=row.token_id,
        issue_time=stamp(row.issue_time),
        expire_time=stamp(row.expire_time),
        granted_scopes=row.scopes,
        failure_reason=row.failure_reason,
        failure_message=row.failure_message,
    )


__all__ = [
    "config_message",
    "lease_message",
    "oauth_of",
    "overlap_of",
    "parameters_of",
    "policy_of",
    "secret_of",
    "type_of",
]
