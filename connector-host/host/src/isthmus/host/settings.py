"""What a host reads from its environment."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class HostSettings(ServiceSettings):
    """Settings of one host; `ISTHMUS_CONNECTOR` or `--connector` says which connector it runs."""

    connector: str = Field("", description="Connector to run, for example `files`.")
    upstream: str = Field(
        "",
        description="host:port or unix:/path of a connector to stand in front of; empty runs it in process.",
    )
    upstream_tls: bool = Field(
        False,
        description="Speak mutual TLS with a connector on this machine, too; elsewhere it is required.",
    )
    advertise_address: str = Field(
        "", description="Address at which others reach this host; empty: as listened."
    )
    registry_address: str = Field("", description="Where the registry listens.")
    credentials_address: str = Field("", description="Where the credentials service listens.")
    mapping_address: str = Field("", description="Where the mapping service listens.")
    scheduling_address: str = Field("", description="Where the scheduling service listens.")
    records_address: str = Field("", description="Where the records service listens.")
    monitoring_address: str = Field("", description="Where the monitoring service listens.")
    executions: int = Field(32, ge=1, le=64, description="Executions carried out side by side.")
    partitions: int = Field(
        4, ge=1, le=64, description="Partitions of a stream that one execution reads side by side."
    )
    heartbeat_seconds: float = Field(5.0, gt=0, description="Pause between reports to the registry.")
    renew_seconds: float = Field(
        5.0, gt=0, description="Longest silence towards scheduling during an execution."
    )
    commit_seconds: float = Field(
        0.25, ge=0, description="Longest that durable positions wait to be stored together."
    )
    patience_seconds: float = Field(
        60.0, ge=0, description="How long an execution waits for a destination or service that is away."
    )
    answer_seconds: float = Field(
        300.0, gt=0, description="Longest wait for the acknowledgement of one batch."
    )
    intent_seconds: float = Field(
        15.0,
        gt=0,
        le=300,
        description="How long nobody else may write the records in hand of a host that has fallen silent.",
    )
    stop_seconds: float = Field(5.0, gt=0, description="How long batches in flight may take when stopping.")
    session_idle_seconds: float = Field(
        60.0, ge=0, description="How long an unused connection to a system stays open."
    )


__all__ = ["HostSettings"]
