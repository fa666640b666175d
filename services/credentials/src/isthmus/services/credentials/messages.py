"""Between the contract's messages and the domain's values."""

from collections.abc import Mapping
from datetime import timedelta

from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit.times import stamp
from isthmus.kit.validation import Check
from isthmus.services.credentials.domain import (
    AuthConfig,
    AuthType,
    Lease,
    OAuth,
    Parameters,
    Secret,
    Token,
    TokenRow,
)

_TYPES = {connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{kind.upper()}"): kind for kind in AuthType}
_CLIENTS = {
    number: name.removeprefix("CLIENT_AUTHENTICATION_").lower()
    for name, number in pb.OAuthConfig.ClientAuthentication.items()
    if number
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
    name = material.WhichOneof("material")
    if name in ("oauth", "client_certificate"):
        parts = getattr(material, name).ListFields()
        return Secret(name, {field.name: value for field, value in parts})
    return Secret(name, {"value": getattr(material, name)}) if name else None


def oauth_of(config: pb.OAuthConfig) -> OAuth:
    """Reads the open part of an OAuth client."""
    given = {name: getattr(config, name).strip() for name in _OPEN if getattr(config, name).strip()}
    kind = _CLIENTS.get(config.client_authentication)
    return OAuth(**given, scopes=tuple(config.scopes), **({"client_authentication": kind} if kind else {}))


def overlap_of(check: Check, request: pb.RotateAuthConfigRequest) -> timedelta:
    """Reads how long the old secret is kept: a day where nobody says."""
    if not request.HasField("overlap"):
        return timedelta(days=1)
    seconds = request.overlap.seconds
    check.within("overlap", seconds, least=0, most=30 * 86_400)
    return timedelta(seconds=min(max(seconds, 0), 30 * 86_400))


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
        secret=_lent(config, values),
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


def _lent(config: AuthConfig, values: Mapping[str, str]) -> pb.SecretMaterial:
    if config.auth_type is AuthType.MUTUAL_TLS:
        shown = {name: values[name] for name in ("certificate", "private_key")}
        return pb.SecretMaterial(client_certificate=pb.ClientCertificate(**shown))
    value = values["value"]
    if config.auth_type in (AuthType.HMAC, AuthType.AWS_SIGV4):
        return pb.SecretMaterial(signing_key=value)
    if config.auth_type is AuthType.API_KEY:
        return pb.SecretMaterial(api_key=value)
    if config.auth_type is AuthType.BASIC:
        return pb.SecretMaterial(password=value)
    return pb.SecretMaterial(bearer_token=value)


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
    "secret_of",
    "type_of",
]
