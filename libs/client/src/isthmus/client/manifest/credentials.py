"""What a document says about a credential, and where its secret is read from."""

import os
from pathlib import Path
from typing import Any, Literal

from google.protobuf.duration_pb2 import Duration
from isthmus.client.manifest.strict import Strict
from isthmus.client.problem import ExitCode, Problem
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2
from pydantic import Field, model_validator

SECRET_FIELDS = {"secret", "further_secrets", "refresh_token", "certificate"}
"""References, which cannot be compared with what the mesh holds."""

_PREFIX = "AUTH_METHOD_"
_CLIENT = "CLIENT_AUTHENTICATION_"
_PARAMETERS = (
    "username",
    "alternate_username",
    "header_name",
    "prefix",
    "query_parameter",
    "key_id",
    "region",
    "service",
)
Method = Literal[
    "api_key",
    "basic",
    "bearer",
    "oauth2_client_credentials",
    "oauth2_authorization_code",
    "oauth2_device_code",
    "jwt_bearer",
    "mutual_tls",
    "hmac",
    "aws_sigv4",
]


RotationActionName = Literal["rotate", "remind"]


class SecretReference(Strict):
    """Where the secret stands; it never stands in the document itself."""

    env: str = Field(default="", description="Name of an environment variable.")
    file: str = Field(default="", description="Path of a file; a final line break is dropped.")

    @model_validator(mode="after")
    def _one_source(self) -> "SecretReference":
        if bool(self.env) == bool(self.file):
            raise ValueError("name either `env` or `file`")
        return self


class OAuthSpec(Strict):
    """An OAuth 2.0 client, without its secret."""

    token_url: str = Field(default="", description="With https, except on the loopback interface.")
    authorization_url: str = ""
    client_id: str = ""
    device_authorization_url: str = Field(default="", description="Where codes for other devices come from.")
    scopes: list[str] = Field(default_factory=list)
    audience: str = Field(default="", description="Whom tokens are for, where the server wants to know.")
    client_authentication: Literal["basic", "post", "private_key_jwt", "none"] = Field(
        default="basic", description="How the client proves to the token server who it is."
    )
    key_id: str = Field(default="", description="For assertions: `kid` of the key that signs.")
    signing_algorithm: Literal["", "RS256", "PS256", "ES256"] = Field(
        default="", description="For assertions; RS256 when empty."
    )
    issuer: str = Field(
        default="", description="Who answers authorizations; when set, others are refused (RFC 9207)."
    )
    subject: str = Field(
        default="", description="For `jwt_bearer`: on whose behalf; the client's own when empty."
    )
    entra_tenant: str = Field(
        default="", description="For Microsoft Entra: id or domain of the directory; gives the addresses."
    )


class RotationSpec(Strict):
    """How often a secret is to be replaced."""

    every_days: int = Field(ge=1, le=3650, description="Days from one secret to the next.")
    overlap_hours: int = Field(default=24, ge=0, le=720, description="How long the old one is kept.")
    action: RotationActionName = Field(
        default="rotate",
        description="`rotate` replaces it by itself, where the system allows that; `remind` tells a person.",
    )


class CredentialSpec(Strict):
    """What an instance authenticates with; see docs/credentials.md."""

    type: Method = Field(description="How it authenticates.")
    description: str = ""
    username: str = Field(default="", description="For basic authentication.")
    alternate_username: str = Field(
        default="",
        description="For basic authentication: a second account with the same rights and password; rotations "
        "change from one to the other.",
    )
    header_name: str = Field(default="", description="For API keys; X-API-Key when empty.")
    prefix: str = Field(default="", description="For API keys: written before the key.")
    query_parameter: str = Field(default="", description="For API keys that travel in the query.")
    key_id: str = Field(default="", description="For `hmac` and `aws_sigv4`: the id of the key.")
    region: str = Field(default="", description="For `aws_sigv4`.")
    service: str = Field(default="", description="For `aws_sigv4`: the service that signatures are for.")
    oauth: OAuthSpec | None = Field(default=None, description="For the OAuth methods.")
    rotation: RotationSpec | None = Field(default=None, description="How often the secret is replaced.")
    is_system_account: bool = False
    secret: SecretReference | None = Field(
        default=None,
        description="Needed when the credential is new; for some methods a private key in PEM.",
    )
    further_secrets: dict[str, SecretReference] = Field(
        default_factory=dict,
        description="Other secrets of the account, by the names of the connector's settings.",
    )
    refresh_token: SecretReference | None = Field(
        default=None, description="For methods that a person authorizes: a refresh token got elsewhere."
    )
    certificate: SecretReference | None = Field(
        default=None, description="For `mutual_tls` and Microsoft Entra: the certificate in PEM."
    )

    @model_validator(mode="after")
    def _oauth_fits(self) -> "CredentialSpec":
        has_tokens = self.type.startswith("oauth2") or self.type == "jwt_bearer"
        if has_tokens != (self.oauth is not None):
            raise ValueError("methods with access tokens need `oauth`, the others must not have it")
        return self


def spec_of(item: credentials_pb2.AuthenticationConfig) -> CredentialSpec:
    """Gives what the mesh holds as a document would say it, without secrets."""
    kind = credentials_pb2.OAuthConfig.ClientAuthentication.Name
    oauth = item.oauth_config
    client = {name: getattr(oauth, name) for name in OAuthSpec.model_fields}
    client |= {
        "scopes": list(oauth.scopes),
        "client_authentication": kind(oauth.client_authentication).removeprefix(_CLIENT).lower(),
    }
    method: Any = connector_pb2.AuthMethod.Name(item.auth_type).removeprefix(_PREFIX).lower()
    return CredentialSpec.model_construct(
        type=method,
        description=item.description,
        oauth=OAuthSpec.model_construct(**client) if item.HasField("oauth_config") else None,
        rotation=_rotation_of(item),
        is_system_account=item.is_system_account,
        secret=None,
        further_secrets={},
        refresh_token=None,
        certificate=None,
        **{name: getattr(item.parameters, name) for name in _PARAMETERS},
    )


def in_turn(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Gives what the mesh holds with two accounts named as the document names them, whosever turn it is."""
    names = ("username", "alternate_username")
    accounts = {name: wanted.get(name, "") for name in names}
    if sorted(accounts.values()) == sorted(present.get(name, "") for name in names):
        return {**present, **accounts}
    return present


def method_of(spec: CredentialSpec) -> connector_pb2.AuthMethod.ValueType:
    """Gives the method as the contract names it."""
    return connector_pb2.AuthMethod.Value(f"{_PREFIX}{spec.type.upper()}")


def fields_of(name: str, spec: CredentialSpec) -> dict[str, Any]:
    """Gives the fields that creating and changing have in common, without the secret."""
    fields: dict[str, Any] = {
        "name": name,
        "description": spec.description,
        "is_system_account": spec.is_system_account,
        "parameters": credentials_pb2.AuthParameters(**{name: getattr(spec, name) for name in _PARAMETERS}),
    }
    if spec.oauth is not None:
        client = spec.oauth.model_dump()
        kind = client.pop("client_authentication").upper()
        client["client_authentication"] = credentials_pb2.OAuthConfig.ClientAuthentication.Value(
            f"{_CLIENT}{kind}"
        )
        fields["oauth_config"] = credentials_pb2.OAuthConfig(**client)
    if spec.rotation is not None:
        fields["rotation_policy"] = credentials_pb2.RotationPolicy(
            every_days=spec.rotation.every_days,
            overlap=Duration(seconds=spec.rotation.overlap_hours * 3600),
            action=credentials_pb2.RotationPolicy.Action.Value(f"ACTION_{spec.rotation.action.upper()}"),
        )
    return fields


def secret_of(name: str, spec: CredentialSpec) -> credentials_pb2.SecretMaterial:
    """Reads the secret, and further ones, from where the document says.

    Raises:
        Problem: `SECRET_REFERENCE_MISSING`, `SECRET_MISSING`.
    """
    material = _main_secret(name, spec)
    material.further.update({key: _read(name, one) for key, one in spec.further_secrets.items()})
    return material


def _main_secret(name: str, spec: CredentialSpec) -> credentials_pb2.SecretMaterial:
    if spec.oauth is not None:
        return credentials_pb2.SecretMaterial(oauth=_oauth_secret(name, spec, spec.oauth))
    value = _read(name, _required(name, spec.secret))
    match spec.type:
        case "api_key":
            return credentials_pb2.SecretMaterial(api_key=value)
        case "basic":
            return credentials_pb2.SecretMaterial(password=value)
        case "hmac" | "aws_sigv4":
            return credentials_pb2.SecretMaterial(signing_key=value)
        case "mutual_tls":
            certificate = _read(name, _required(name, spec.certificate))
            pair = credentials_pb2.ClientCertificate(certificate=certificate, private_key=value)
            return credentials_pb2.SecretMaterial(client_certificate=pair)
        case _:
            return credentials_pb2.SecretMaterial(bearer_token=value)


def _rotation_of(item: credentials_pb2.AuthenticationConfig) -> RotationSpec | None:
    if not item.HasField("rotation_policy"):
        return None
    policy = item.rotation_policy
    is_rotated = policy.action == credentials_pb2.RotationPolicy.ACTION_ROTATE
    return RotationSpec(
        every_days=policy.every_days,
        overlap_hours=policy.overlap.seconds // 3600,
        action="rotate" if is_rotated else "remind",
    )


def _oauth_secret(name: str, spec: CredentialSpec, oauth: OAuthSpec) -> credentials_pb2.OAuthSecret:
    parts = {}
    if oauth.client_authentication != "none":
        signs = spec.type == "jwt_bearer" or oauth.client_authentication == "private_key_jwt"
        parts["private_key" if signs else "client_secret"] = _read(name, _required(name, spec.secret))
    if spec.certificate is not None:
        parts["certificate"] = _read(name, spec.certificate)
    if spec.refresh_token is not None:
        parts["refresh_token"] = _read(name, spec.refresh_token)
    return credentials_pb2.OAuthSecret(**parts)


def _required(name: str, reference: SecretReference | None) -> SecretReference:
    if reference is None:
        raise Problem(
            "SECRET_REFERENCE_MISSING",
            f"Credential {name} is new: say where its secret stands, with `secret: {{env: NAME}}` "
            "or `secret: {file: PATH}`; `mutual_tls` needs `certificate`, too.",
            exit_code=ExitCode.USAGE,
        )
    return reference


def _read(name: str, reference: SecretReference) -> str:
    if reference.env:
        value = os.environ.get(reference.env, "")
        if not value:
            raise Problem(
                "SECRET_MISSING",
                f"Credential {name} reads its secret from the environment variable {reference.env}: set it.",
                exit_code=ExitCode.USAGE,
            )
        return value
    try:
        return Path(reference.file).expanduser().read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(
            "SECRET_MISSING",
            f"Credential {name} reads its secret from {reference.file}: name a readable text file.",
            exit_code=ExitCode.USAGE,
        ) from error
