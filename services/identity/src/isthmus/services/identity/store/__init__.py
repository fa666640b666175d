"""The only SQL of the identity service."""

from isthmus.services.identity.store.people import People
from isthmus.services.identity.store.rows import Rows, Store
from isthmus.services.identity.store.sessions import Sessions

__all__ = ["People", "Rows", "Sessions", "Store"]
