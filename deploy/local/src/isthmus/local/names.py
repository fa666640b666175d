"""Names that every part of the local mesh knows; importing this costs nothing."""

__all__ = [
    "ADMITTING",
    "AT_VAULT",
    "HUB",
    "LAUNCHER",
    "NATS",
    "SERVICES",
    "SIGNING",
    "WITHOUT_BUS",
    "WITHOUT_DATABASE",
    "WITH_VAULT",
]

SERVICES = (
    "identity",
    "credentials",
    "registry",
    "mapping",
    "records",
    "scheduling",
    "events",
    "monitoring",
    "gateway",
)
"""All services; those that others ask first come first."""
WITHOUT_DATABASE = frozenset({"gateway"})
"""Services that own nothing."""
WITHOUT_BUS = frozenset({"gateway"})
"""Services that neither tell nor hear events."""
ADMITTING = frozenset({"events"})
"""Services that tell the bus who a tenant's subscriber is."""
WITH_VAULT = frozenset({"identity", "credentials"})
"""Services that keep secrets."""
SIGNING = {"monitoring": "monitoring-seals"}
"""Services for which a key in the vault signs, with its name; they reach nothing else there."""
AT_VAULT = (*sorted(WITH_VAULT), *SIGNING)
"""Services that get to the vault at all."""
LAUNCHER = "launcher"
"""What the launcher is called as a caller of services, and at the vault."""
NATS = "server:nats"
"""What the bus is called in its certificate; its clients know it by its address, too."""
HUB = "hub"
"""The connector that the records service itself serves."""
