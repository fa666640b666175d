"""What scheduling reads from its environment."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the scheduling service; the delays are settings so that tests need not wait."""

    tick_seconds: float = Field(0.5, gt=0, description="Pause between looks at the schedules.")
    sweep_seconds: float = Field(0.5, gt=0, description="Pause between looks at the leases.")
    dispatch_seconds: float = Field(0.25, gt=0, description="Longest pause between looks for jobs to send.")
    hold_back_seconds: float = Field(
        0.2,
        ge=0,
        description="How long a job is held back for a busy host that takes the execution over without it.",
    )
    watch_seconds: float = Field(1.0, gt=0, description="Pause between looks at a quiet watched execution.")
    lease_seconds: float = Field(15.0, gt=0, description="How long a lease lasts unless it is renewed.")
    lease_grace_seconds: float = Field(
        6.0, ge=0, description="How long hosts may renew after the database was away, before leases end."
    )
    resend_seconds: float = Field(3.0, gt=0, description="When a job that nobody took is sent again.")
    cancel_seconds: float = Field(60.0, gt=0, description="How long a host may take to stop when asked to.")
    retry_first_seconds: float = Field(1.0, gt=0, description="Bound of the wait after a first failure.")
    retry_longest_seconds: float = Field(60.0, gt=0, description="Bound of the wait after many failures.")
    executions_kept_days: float = Field(365.0, gt=0, description="How long ended executions can be listed.")
    prune_seconds: float = Field(600.0, gt=0, description="Pause between looks for old executions.")
    batch: int = Field(200, ge=1, description="Rows taken at once by each background task.")


__all__ = ["Settings"]
