"""What the monitoring service reads from its environment."""

from pathlib import Path

from isthmus.kit import ServiceSettings
from pydantic import Field


class MonitoringSettings(ServiceSettings):
    """Settings of the monitoring service."""

    audit_checkpoint_seconds: float = Field(
        60.0,
        gt=0,
        description="How often the end of a growing chain of the audit trail goes out as an event.",
    )
    logs_days: float = Field(90.0, gt=0, description="How long lines of integrations' logs are kept.")
    logs_prune_seconds: float = Field(3600.0, gt=0, description="Pause between looks for old lines.")
    audit_checkpoint_file: Path | None = Field(
        None, description="Where signed ends of chains are added to, outside of the database."
    )


__all__ = ["MonitoringSettings"]
