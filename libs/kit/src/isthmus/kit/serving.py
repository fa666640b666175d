"""One way to run every service: start, answer, drain, stop."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from isthmus.kit import logs
from isthmus.kit.engine import Engine
from isthmus.kit.settings import ServiceSettings
from isthmus.kit.wiring import Wire
from isthmus.resilience.faults import Fault

_log = logs.logger(__name__)
# A page of records makes thousands of objects, none of them in a cycle: looking for cycles at every 700
# is a twentieth of all work.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000


def serve(
    settings: ServiceSettings, wire: Wire, *, name: str, ready: Callable[[int], None] | None = None
) -> None:
    """Run a service until SIGTERM or SIGINT, then drain and return.

    Args:
        settings: Read from the environment by the caller.
        wire: Puts the service together out of the chassis' collaborators.
        name: The service's name: its schema, its log name, its event source.
        ready: Called with the port as soon as the service answers for real.

    Raises:
        SystemExit: with 1, when the service cannot run; the log says why.
    """
    logs.configure(name, settings.log_level)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    try:
        _loop_runner()(_until_signal(settings, wire, name, ready))
    except Fault as fault:
        _log.error("cannot run", reason=fault.reason, why=fault.message)
        raise SystemExit(1) from None
    except Exception as error:
        _log.error("cannot run", error)
        raise SystemExit(1) from None


async def run(
    settings: ServiceSettings, wire: Wire, *, name: str, ready: Callable[[int], None] | None = None
) -> None:
    """Run a service inside a running loop until the task is cancelled, then drain.

    Args:
        settings: As for `serve`.
        wire: As for `serve`.
        name: As for `serve`.
        ready: Called with the port as soon as the service answers for real.
    """
    engine = Engine(settings, name)
    try:
        port = await engine.start(wire)
        if ready is not None:
            ready(port)
        await engine.wait()
    finally:
        await engine.stop()


async def _until_signal(
    settings: ServiceSettings, wire: Wire, name: str, ready: Callable[[int], None] | None
) -> None:
    task = asyncio.ensure_future(run(settings, wire, name=name, ready=ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


__all__ = ["run", "serve"]
