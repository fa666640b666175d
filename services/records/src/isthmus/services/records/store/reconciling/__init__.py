"""Where reconciliations are kept: announcements, their comparison, and reports."""

from isthmus.services.records.store.reconciling.announcing import AnnouncementWriter
from isthmus.services.records.store.reconciling.comparing import Comparisons, ExtraPage
from isthmus.services.records.store.reconciling.reports import Reports

__all__ = ["AnnouncementWriter", "Comparisons", "ExtraPage", "Reports"]
