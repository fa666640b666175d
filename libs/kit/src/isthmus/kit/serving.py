"""One way to run every service."""

from collections.abc import Callable

from isthmus.kit.settings import ServiceSettings
from isthmus.kit.wiring import Wire


def serve(settings: ServiceSettings, wire: Wire, *, name: str) -> None:
    """Run a service until SIGTERM or SIGINT, then drain and return.

    Args:
        settings: Read from the environment by the caller.
        wire: Puts the service together out of the chassis' collaborators.
        name: The service's name: its schema, its log name, its event source.
    """
    raise NotImplementedError


async def run(
    settings: ServiceSettings, wire: Wire, *, name: str, ready: Callable[[int], None] | None = None
) -> None:
    """Run a service inside a running loop until it is cancelled or SIGTERM arrives.

    Args:
        settings: As for `serve`.
        wire: As for `serve`.
        name: As for `serve`.
        ready: Called with the port as soon as the service answers for real.
    """
    raise NotImplementedError


__all__ = ["run", "serve"]
