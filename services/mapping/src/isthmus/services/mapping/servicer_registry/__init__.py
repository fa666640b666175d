"""Speaks the contract of the registry of schemas."""

from isthmus.services.mapping.servicer_registry.versions import RegistryServicer

__all__ = ["RegistryServicer"]
