"""Speaks the contract of the monitoring service."""

from isthmus.services.monitoring.servicer.audit import AuditServicer
from isthmus.services.monitoring.servicer.servicer import MonitoringServicer

__all__ = ["AuditServicer", "MonitoringServicer"]
