"""What instances authenticate with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from isthmus.services.credentials.domain.oauth import OAuth
from isthmus.services.credentials.domain.rotation import Rotation, RotationStage


class AuthType(StrEnum):
    """How an instance authenticates."""

    API_KEY = "api_key"
    BASIC = "basic"
    BEARER = "bearer"
    OAUTH2_CLIENT_CREDENTIALS = "oauth2_client_credentials"
    OAUTH2_AUTHORIZATION_CODE = "oauth2_authorization_code"
    OAUTH2_DEVICE_CODE = "oauth2_device_code"
    JWT_BEARER = "jwt_bearer"
    MUTUAL_TLS = "mutual_tls"
    HMAC = "hmac"
    AWS_SIGV4 = "aws_sigv4"

    @property
    def has_tokens(self) -> bool:
        """Whether hosts get short-lived access tokens in place of the secret."""
        return self.startswith("oauth2") or self is AuthType.JWT_BEARER

    @property
    def needs_authorization(self) -> bool:
        """Whether a person has to authorize it, which gives a refresh token."""
        return self in (AuthType.OAUTH2_AUTHORIZATION_CODE, AuthType.OAUTH2_DEVICE_CODE)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parts of a method that are no secret."""

    header_name: str = ""
    prefix: str = ""
    query_parameter: str = ""
    username: str = ""
    key_id: str = ""
    region: str = ""
    service: str = ""
    alternate_username: str = ""

    @property
    def alternated(self) -> "Parameters":
        """The same in the name of the other account, where two take turns."""
        if not self.alternate_username:
            return self
        return replace(self, username=self.alternate_username, alternate_username=self.username)


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret part; prints without it.

    Attributes:
        material: What it is, by the name of its field in the contract's `SecretMaterial`.
            Empty where only further secrets were sent.
        values: Its parts by name; a secret of one part has only `value`.
        further: Other secrets of the account by the connector's names for them; an empty text removes one.
    """

    material: str
    values: Mapping[str, str] = field(repr=False)
    further: Mapping[str, str] = field(default_factory=dict, repr=False)

    def beside(self, held: Mapping[str, str]) -> dict[str, str]:
        """What the vault keeps from now on, where it has held something: what was not sent stays."""
        kept = {name: value for name, value in held.items() if name.startswith(_FURTHER)}
        parts = self.values if self.material else held
        sent = {_FURTHER + name: value for name, value in self.further.items()}
        return {name: value for name, value in {**parts, **kept, **sent}.items() if value}


_FURTHER = "further:"


def further_of(values: Mapping[str, str]) -> dict[str, str]:
    """Give the further secrets among the parts of a secret, by name."""
    return {name.removeprefix(_FURTHER): value for name, value in values.items() if name.startswith(_FURTHER)}


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """An authentication configuration without its secret.

    Attributes:
        secret_version: The version in the vault that counts; others are leftovers.
        revision: Grows with every change.
        old_secret_version: The version before it, which is kept until `overlap_end_time`.
        old_until: Until when the old version is lent, because the new one was refused.
        further_secrets: Names of the other secrets that are kept with it, sorted.
    """

    tenant_id: str
    auth_config_id: str
    name: str
    description: str
    auth_type: AuthType
    parameters: Parameters
    is_system_account: bool
    secret_version: int
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1
    expire_time: datetime | None = None
    last_used_time: datetime | None = None
    oauth: OAuth = field(default_factory=OAuth)
    revoke_time: datetime | None = None
    old_secret_version: int = 0
    overlap_end_time: datetime | None = None
    old_until: datetime | None = None
    rotation: Rotation = field(default_factory=Rotation)
    further_secrets: tuple[str, ...] = ()

    def overlaps(self, now: datetime) -> bool:
        """Tells whether the secret before the present one is still kept."""
        return self.overlap_end_time is not None and now < self.overlap_end_time

    def with_secret_of(self, now: datetime) -> "AuthConfig":
        """The configuration with the secret that is to be lent: the old one where the new one is unknown."""
        is_old = self.overlaps(now) and self.old_until is not None and now < self.old_until
        return self.with_old_secret() if is_old else self

    def with_old_secret(self) -> "AuthConfig":
        """The configuration with the secret before the present one."""
        is_other = self.rotation.stage is RotationStage.RETIRING
        parameters = self.parameters.alternated if is_other else self.parameters
        return replace(self, secret_version=self.old_secret_version, parameters=parameters)

    def after_refusal_of(self, version: int) -> "AuthConfig":
        """The configuration with the secret that is to be lent to somebody who was refused with that version.

        Where one account gets a new password the old one ends before anybody here can know it: then the one
        that is being made is worth a try.
        """
        rotation = self.rotation
        is_dying = rotation.stage is RotationStage.RENEWING and version == self.secret_version
        if not is_dying or not rotation.version or self.parameters.alternate_username:
            return self
        return replace(self, secret_version=rotation.version)


@dataclass(frozen=True, slots=True)
class Lease:
    """A secret lent to a host."""

    tenant_id: str
    lease_id: str
    auth_config_id: str
    instance_id: str
    host_id: str
    secret_version: int
    create_time: datetime
    expire_time: datetime


__all__ = ["AuthConfig", "AuthType", "Lease", "Parameters", "Secret", "further_of"]
