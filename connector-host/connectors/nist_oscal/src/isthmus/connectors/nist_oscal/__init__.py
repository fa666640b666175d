"""Controls out of an OSCAL catalogue."""

from isthmus.connectors.nist_oscal.connector import NistOscal
from isthmus.connectors.nist_oscal.settings import Settings

__all__ = ["NistOscal", "Settings"]
