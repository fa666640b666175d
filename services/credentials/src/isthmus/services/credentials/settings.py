"""What the credentials service reads from its environment."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class CredentialsSettings(ServiceSettings):
    """How long secrets are lent, and how patient the service is with token servers."""

    lease_seconds: int = Field(300, ge=5, le=300, description="How long a host may keep a secret in memory.")
    reminder_days: float = Field(
        30.0, ge=0, description="How many days before a secret ends its owner is reminded."
    )
    token_seconds: float = Field(10.0, gt=0, le=60, description="Longest wait for a token server's answer.")
    token_hold_seconds: float = Field(
        6.0, gt=0, description="After this silence another replica may ask the token server."
    )
    token_wait_seconds: float = Field(9.0, gt=0, description="How long a caller waits for a new token.")
    graph_url: str = Field(
        "https://graph.microsoft.com", description="Microsoft Graph, or that of a national cloud."
    )
    token_settle_seconds: float = Field(
        10.0, ge=0, description="How old a token must be before a host may have it replaced."
    )
    token_lifetime_seconds: float = Field(
        300.0, ge=1, description="How long a token is taken to live when its server does not say."
    )


__all__ = ["CredentialsSettings"]
