"""The rules of monitoring, in plain Python."""

from isthmus.services.monitoring.domain.audit import MOST_RECORDS, AuditFilter, AuditRecord, linked
from isthmus.services.monitoring.domain.health import HealthState, InstanceRecord, Verdict, judge
from isthmus.services.monitoring.domain.logs import LogEntry, LogFilter
from isthmus.services.monitoring.domain.runs import ENDS, Run, run_of
from isthmus.services.monitoring.domain.usage import Metrics, Sample, hour_of, metrics_of

__all__ = [
    "ENDS",
    "MOST_RECORDS",
    "AuditFilter",
    "AuditRecord",
    "HealthState",
    "InstanceRecord",
    "LogEntry",
    "LogFilter",
    "Metrics",
    "Run",
    "Sample",
    "Verdict",
    "hour_of",
    "judge",
    "linked",
    "metrics_of",
    "run_of",
]
