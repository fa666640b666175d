"""Finds the handler of each RPC, before, while and after a service is ready."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
from isthmus.kit.guard import Guard, refusal
from isthmus.kit.permissions import PUBLIC, audits_of, permissions_of
from isthmus.resilience.faults import Broken, RetryLater, Unsupported

Registration = tuple[Callable[[Any, Any], None], object]


class Registry:
    """Stands in for a server while generated code registers its handlers."""

    def __init__(self) -> None:
        self.services: dict[str, Mapping[str, Any]] = {}

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Keep the handlers of one service."""
        self.services[service_name] = method_handlers

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Ignore the older form of the same registration."""


class Dispatcher(grpc.GenericRpcHandler):
    """The single entry of all RPCs; until `open` is called it asks callers to come back.

    Args:
        guard: Surrounds every handler.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._handlers: dict[str, Any] = {}
        self._otherwise = refusal(
            RetryLater("STARTING", "The service is starting; repeat the call in a moment.", retry_after=0.2)
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method; one that refuses when there is none."""
        return self._handlers.get(handler_call_details.method, self._otherwise)

    def add_public(self, registrations: Iterable[Registration]) -> None:
        """Serve what the chassis itself offers, to everybody and from the first moment."""
        for service, methods in _registered(registrations).items():
            for name, handler in methods.items():
                method = f"/{service}/{name}"
                self._handlers[method] = self._guard.wrap(method, PUBLIC, handler)

    def open(self, registrations: Iterable[Registration]) -> list[str]:
        """Serve a service's own RPCs.

        Returns:
            The names of the services added.

        Raises:
            Broken: `PERMISSION_UNDECLARED`, an RPC does not say what its caller must be allowed to do.
        """
        services = _registered(registrations)
        permissions, kinds = permissions_of(services), audits_of(services)
        for service, methods in services.items():
            for name, handler in methods.items():
                method = f"/{service}/{name}"
                self._handlers[method] = self._guard.wrap(
                    method, permissions[method], handler, kinds.get(method)
                )
        self._otherwise = refusal(
            Unsupported("RPC_UNKNOWN", "This service has no such call; check the contract's version.")
        )
        return list(services)


def _registered(registrations: Iterable[Registration]) -> dict[str, Mapping[str, Any]]:
    registry = Registry()
    for add, servicer in registrations:
        before = len(registry.services)
        add(servicer, registry)
        if len(registry.services) == before:
            message = f"Regenerate the code of {type(servicer).__name__}; it registers no methods."
            raise Broken("SERVICER_EMPTY", message)
    return registry.services


__all__ = ["Dispatcher", "Registration"]
