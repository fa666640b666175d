"""A collector of traces and metrics that keeps what it is sent, to be searched."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

__all__ = ["Collector", "collecting"]


@dataclass
class Collector:
    """What was exported to it by OTLP.

    Attributes:
        endpoint: Where processes send to.
        received: Messages as they came, oldest first.
    """

    endpoint: str = ""
    received: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> bytes:
        """Everything in one: names, attributes and events of spans stand in it as they are."""
        return b"\n".join(self.received)


class _Everything(grpc.GenericRpcHandler):
    """Takes whatever is exported without looking into it; an empty answer means that all is well."""

    def __init__(self, received: list[bytes]) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(self._take)
        self._received = received

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002 -- traces and metrics alike
        """See grpc."""
        return self._handler

    def _take(self, message: bytes, context: grpc.ServicerContext) -> bytes:  # noqa: ARG002
        self._received.append(message)
        return b""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a port of its own."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2), [_Everything(collector.received)])
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None)
