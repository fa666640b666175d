"""The rules of credentials, in plain Python."""

from isthmus.services.credentials.domain.model import AuthConfig, AuthType, Lease, Parameters, Secret
from isthmus.services.credentials.domain.rules import (
    mistakes_of,
    refuse_expired,
    vault_path,
)

__all__ = [
    "AuthConfig",
    "AuthType",
    "Lease",
    "Parameters",
    "Secret",
    "mistakes_of",
    "refuse_expired",
    "vault_path",
]
