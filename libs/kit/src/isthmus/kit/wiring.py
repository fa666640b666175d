"""What the chassis gives to a service, and what the service gives back."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from isthmus.kit.bus import Bus
from isthmus.kit.clock import Clock
from isthmus.kit.consumer import Consumer
from isthmus.kit.db import Database
from isthmus.kit.outbox import Outbox
from isthmus.kit.settings import ServiceSettings
from isthmus.kit.vault import Vault


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a service wants to have run.

    Attributes:
        servicers: Pairs of the generated `add_…Servicer_to_server` and the servicer.
        tasks: Work without end; a task that fails is started again with growing pauses, and one that
            keeps failing makes the service unhealthy.
        consumers: Interest in events.
        closers: Called in order after the last call has been answered.
    """

    servicers: Sequence[tuple[Callable[[Any, grpc.aio.Server], None], object]] = ()
    tasks: Sequence[Callable[[], Awaitable[None]]] = ()
    consumers: Sequence[Consumer] = ()
    closers: Sequence[Callable[[], Awaitable[None]]] = ()


@dataclass(slots=True)
class Chassis:
    """The collaborators a service is wired with; what is not configured is None.

    Attributes:
        settings: The service's own settings.
        name: The service's name, for example `registry`.
        db: Set when `ISTHMUS_DATABASE_URL` is; migrated before `wire` runs.
        bus: The connection to NATS; usable before NATS is reachable.
        outbox: Where events are stored in the transaction that made them true.
        clock: The time.
        vault: Set when `ISTHMUS_VAULT_ADDR` is.
    """

    settings: Any
    name: str
    clock: Clock = field(default_factory=Clock)
    _db: Database | None = None
    _vault: Vault | None = None
    _bus: Bus | None = None

    @property
    def db(self) -> Database:
        """The database; an error when `ISTHMUS_DATABASE_URL` is not set."""
        raise NotImplementedError

    @property
    def vault(self) -> Vault:
        """The vault; an error when `ISTHMUS_VAULT_ADDR` is not set."""
        raise NotImplementedError

    @property
    def bus(self) -> Bus:
        """The bus; an error when `ISTHMUS_NATS_URL` is not set."""
        raise NotImplementedError

    @property
    def outbox(self) -> Outbox:
        """Where events are stored in the transaction that made them true."""
        raise NotImplementedError

    def peer(self, name: str) -> grpc.aio.Channel:
        """Return the channel to another service, found by `ISTHMUS_<NAME>_ADDRESS`.

        Calls carry this process's identity, the acting tenant, the correlation id and, unless the
        caller sets one, a deadline of 10 seconds.
        """
        raise NotImplementedError

    def channel(self, address: str) -> grpc.aio.Channel:
        """Return the channel to an address, with the same manners as `peer`."""
        raise NotImplementedError


Wire = Callable[[Chassis], Awaitable[Wiring]]

__all__ = ["Chassis", "ServiceSettings", "Wire", "Wiring"]
