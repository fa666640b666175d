"""The only SQL of the monitoring service."""

from isthmus.services.monitoring.store.audit import Trail, untold
from isthmus.services.monitoring.store.logs import Logs, forget_old
from isthmus.services.monitoring.store.runs import Runs
from isthmus.services.monitoring.store.usage import Usage

__all__ = ["Logs", "Runs", "Trail", "Usage", "forget_old", "untold"]
