"""Speaks OpenID Connect with the providers of tenants."""

from isthmus.services.identity.oidc.issuers import Issuers
from isthmus.services.identity.oidc.visiting import Visit, Visitors

__all__ = ["Issuers", "Visit", "Visitors"]
