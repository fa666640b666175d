"""Speaks the contract of the monitoring service."""

from isthmus.services.monitoring.servicer.servicer import MonitoringServicer

__all__ = ["MonitoringServicer"]
