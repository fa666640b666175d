"""Between the contract's messages and the domain's values."""

from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit.times import stamp
from isthmus.services.credentials.domain import AuthConfig, AuthType, Lease, Parameters, Secret

_TYPES = {connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{kind.upper()}"): kind for kind in AuthType}
_MATERIAL = {"api_key": AuthType.API_KEY, "password": AuthType.BASIC, "bearer_token": AuthType.BEARER}
_FIELDS = {kind: name for name, kind in _MATERIAL.items()}


def type_of(method: int) -> AuthType | None:
    """Reads a method; None for one that this service does not keep."""
    return _TYPES.get(connector_pb2.AuthMethod.ValueType(method))


def secret_of(material: pb.SecretMaterial) -> Secret | None:
    """Reads a secret; None when none was sent."""
    name = material.WhichOneof("material")
    return Secret(_MATERIAL[name], getattr(material, name)) if name else None


def parameters_of(parameters: pb.AuthParameters) -> Parameters:
    """Reads the parts of a method that are no secret."""
    return Parameters(
        header_name=parameters.header_name,
        prefix=parameters.prefix,
        query_parameter=parameters.query_parameter,
        username=parameters.username,
    )


def lease_message(lease: Lease, config: AuthConfig, value: str) -> pb.LeaseCredentialResponse:
    """Hands a secret over."""
    return pb.LeaseCredentialResponse(
        lease_id=lease.lease_id,
        auth_type=connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{config.auth_type.upper()}"),
        parameters=parameters_message(config),
        secret=pb.SecretMaterial(**{_FIELDS[config.auth_type]: value}),
        expire_time=stamp(lease.expire_time),
        secret_version=lease.secret_version,
    )


def config_message(config: AuthConfig) -> pb.AuthenticationConfig:
    """Tells a configuration, which has no secret in it."""
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
    )


def parameters_message(config: AuthConfig) -> pb.AuthParameters:
    """Tells the parts of the method that are no secret."""
    parameters = config.parameters
    return pb.AuthParameters(
        header_name=parameters.header_name,
        prefix=parameters.prefix,
        query_parameter=parameters.query_parameter,
        username=parameters.username,
    )


__all__ = ["config_message", "lease_message", "parameters_of", "secret_of", "type_of"]
