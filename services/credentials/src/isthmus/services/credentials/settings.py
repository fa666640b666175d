"""What the credentials service reads from its environment."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class CredentialsSettings(ServiceSettings):
    """How long secrets are lent."""

    lease_seconds: int = Field(300, ge=5, le=300, description="How long a host may keep a secret in memory.")


__all__ = ["CredentialsSettings"]
