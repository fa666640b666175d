"""Real back ends as pytest fixtures, a harness for services, and tools that cause faults."""

from isthmus.testing.faults import TcpProxy, freeze, kill9, thaw
from isthmus.testing.servers import NatsServer, PostgresServer, VaultServer

__all__ = ["NatsServer", "PostgresServer", "TcpProxy", "VaultServer", "freeze", "kill9", "thaw"]
