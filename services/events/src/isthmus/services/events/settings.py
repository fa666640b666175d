"""What events reads from its environment."""

from pathlib import Path

from isthmus.kit import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the events service."""

    events_kept_days: float = Field(30.0, gt=0, description="How long events can be listed.")
    tail_seconds: float = Field(0.25, gt=0, description="Longest pause between looks for new events.")
    slow_seconds: float = Field(30.0, gt=0, description="How long a subscriber may leave events lying.")
    action_seconds: float = Field(0.5, gt=0, description="Longest pause between looks for things to do.")
    busy_seconds: float = Field(1.0, gt=0, description="Pause before a busy flow is tried again.")
    subscribers_nats_url: str = Field(
        "", description="Where tenants' subscribers reach NATS; by default where this service does."
    )
    subscribers_nats_ca_file: Path | None = Field(
        None,
        description="Certificates that vouch for NATS there; by default those of ISTHMUS_NATS_CA_FILE.",
    )
    nats_issuer_file: Path | None = Field(
        None, description="Seed of the key that signs who is a subscriber; without it there are none."
    )
    claim_seconds: float = Field(30.0, gt=0, description="When an action nobody reported on is tried again.")


__all__ = ["Settings"]
