"""Speaks the contract of the identity service."""

from isthmus.services.identity.servicer.servicer import IdentityServicer

__all__ = ["IdentityServicer"]
