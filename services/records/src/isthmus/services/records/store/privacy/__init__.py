"""SQL of retention, and of exporting and erasing one person's data."""

from isthmus.services.records.store.privacy.erasures import Erasures, Running
from isthmus.services.records.store.privacy.persons import Found, Page, PersonStore, Place
from isthmus.services.records.store.privacy.retention import Purged, RetentionStore

__all__ = ["Erasures", "Found", "Page", "PersonStore", "Place", "Purged", "RetentionStore", "Running"]
