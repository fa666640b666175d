"""Real back ends as pytest fixtures, a harness for services, and tools that cause faults."""

from isthmus.testing.servers import NatsServer, PostgresServer, VaultServer

__all__ = ["NatsServer", "PostgresServer", "VaultServer"]
