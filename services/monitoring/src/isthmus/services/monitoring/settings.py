"""What the monitoring service reads from its environment."""

from isthmus.kit import ServiceSettings


class MonitoringSettings(ServiceSettings):
    """Settings of the monitoring service; it has none of its own."""


__all__ = ["MonitoringSettings"]
