"""What can be set about the hub."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class RecordsSettings(ServiceSettings):
    """The chassis' settings and how much a writer may have in flight."""

    # A bulk sync tells of many batches a second, and an event that comes alone costs consumers a transaction.
    event_rest: float = Field(
        0.5, ge=0, description="How long events that follow one another closely gather, in seconds."
    )
    hub_credit: int = Field(
        4, ge=1, le=64, description="Batches that a writer may have unacknowledged at a time."
    )
    orphan_links_days: float = Field(
        365.0, gt=0, description="How long the links of a deleted flow are kept."
    )
    prune_seconds: float = Field(3600.0, gt=0, description="Pause between looks for old links.")
    retention_seconds: float = Field(
        86_400.0, gt=0, description="Pause between looks for data that is too old."
    )
    hub_group: int = Field(
        2, ge=1, le=64, description="Most batches in one transaction; half the credit keeps both sides busy."
    )


__all__ = ["RecordsSettings"]
