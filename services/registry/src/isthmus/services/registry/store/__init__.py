"""The only SQL of the registry: one unit of work, one class of rows per table family."""

from isthmus.services.registry.store.instances import InstanceFilter
from isthmus.services.registry.store.store import Store, Work

__all__ = ["InstanceFilter", "Store", "Work"]
