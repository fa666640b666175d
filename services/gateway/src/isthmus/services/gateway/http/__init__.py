"""The gateway as the world outside sees it: one module of routes per area."""

from isthmus.services.gateway.http import health, oauth, scim, well_known
from isthmus.services.gateway.http.app import application
from isthmus.services.gateway.http.calling import Courier
from isthmus.services.gateway.http.face import HttpFace

__all__ = ["Courier", "HttpFace", "application", "health", "oauth", "scim", "well_known"]
