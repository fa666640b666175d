"""Which services there are, and how to get hold of their code without running it."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from isthmus.kit.settings import ServiceSettings
from isthmus.kit.wiring import Wire
from isthmus.local.names import HUB

__all__ = ["ServiceCode", "host_code", "service_code"]


@dataclass(frozen=True, slots=True)
class ServiceCode:
    """What has to be known to run a service.

    Attributes:
        name: The service's name.
        wire: Puts it together.
        settings: Reads its environment.
    """

    name: str
    wire: Wire
    settings: type[ServiceSettings]


@cache
def service_code(name: str) -> ServiceCode:
    """Import a service and find its `wire` function and settings class.

    Raises:
        ImportError: there is no such service, or its `__main__` lacks one of the two.
    """
    module = import_module(f"isthmus.services.{name}.__main__")
    wire = getattr(module, "wire", None)
    settings = next((value for value in vars(module).values() if _is_settings(value)), None)
    if wire is None or settings is None:
        raise ImportError(f"isthmus.services.{name}.__main__ must have `wire` and import its settings class.")
    return ServiceCode(name, wire, settings)


def _is_settings(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, ServiceSettings) and value is not ServiceSettings


def host_code() -> Callable[[str, Callable[[int], None]], None]:
    """Import the connector host and return what runs it: given a connector and what to call with the port."""
    settings = import_module("isthmus.host.settings").HostSettings
    host_class = import_module("isthmus.host.wiring").Host
    from isthmus.kit import serve

    def work(connector: str, ready: Callable[[int], None]) -> None:
        chosen = settings(connector=connector, upstream=_upstream(connector))
        host = host_class()

        def listening(port: int) -> None:
            host.ready(port)
            ready(port)

        serve(chosen, host.wire, name=f"host-{connector}", ready=listening)

    return work


def _upstream(connector: str) -> str:
    """The hub's connector runs already, in the records service; every other one runs in its host."""
    return os.environ["ISTHMUS_RECORDS_ADDRESS"] if connector == HUB else ""
