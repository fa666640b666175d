"""Any JSON over HTTP API, described by configuration."""

from isthmus.connectors.http_json.connector import HttpJson
from isthmus.connectors.http_json.settings import Settings

__all__ = ["HttpJson", "Settings"]
