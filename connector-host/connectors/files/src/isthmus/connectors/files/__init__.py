"""JSON, JSON Lines and CSV files below an allowed folder."""

from isthmus.connectors.files.connector import Files
from isthmus.connectors.files.settings import Settings

__all__ = ["Files", "Settings"]
