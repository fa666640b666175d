"""What can be set about the identity service."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class IdentitySettings(ServiceSettings):
    """The chassis' settings and where the pepper lies."""

    pepper_path: str = Field(
        "isthmus/identity/pepper", description="Path of the pepper in the vault's KV engine."
    )
