"""What the chassis gives to a service, and what the service gives back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from isthmus.kit.authentication import KeyLookup
from isthmus.kit.channel import Caller
from isthmus.kit.clock import Clock
from isthmus.kit.tickets import Tickets
from isthmus.resilience.faults import Precondition

if TYPE_CHECKING:
    import grpc.aio
    from isthmus.kit.bus import Bus
    from isthmus.kit.consumer import Consumer
    from isthmus.kit.db import Database
    from isthmus.kit.outbox import Outbox
    from isthmus.kit.vault import Vault

T = TypeVar("T")

_VAULT_SETTINGS = (
    "ISTHMUS_VAULT_ADDR with ISTHMUS_VAULT_ROLE_ID_FILE and ISTHMUS_VAULT_SECRET_ID_FILE, "
    "or with ISTHMUS_VAULT_TOKEN_FILE"
)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a service wants to have run.

    Attributes:
        servicers: Pairs of the generated `add_…Servicer_to_server` and the servicer.
        tasks: Work without end; a task that fails is started again with growing pauses, and one that
            keeps failing makes the service unhealthy.
        consumers: Interest in events.
        closers: Called in order after the last call has been answered.
        key_lookup: How API keys are verified; only the identity service sets it, all others ask it.
    """

    servicers: Sequence[tuple[Callable[[Any, Any], None], object]] = ()
    tasks: Sequence[Callable[[], Awaitable[None]]] = ()
    consumers: Sequence["Consumer"] = ()
    closers: Sequence[Callable[[], Awaitable[None]]] = ()
    key_lookup: KeyLookup | None = None


@dataclass(slots=True)
class Chassis:
    """The collaborators a service is wired with.

    Attributes:
        settings: The service's own settings.
        name: The service's name, for example `registry`.
        tickets: Signs what gives hosts the right to act for a tenant.
        clock: The time.
        draining: Set when the process is told to stop; endless streams end when it is.
    """

    settings: Any
    name: str
    caller: Caller
    tickets: Tickets = field(default_factory=lambda: Tickets(None))
    clock: Clock = field(default_factory=Clock)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    database: "Database | None" = None
    secrets: "Vault | None" = None
    connection: "Bus | None" = None
    events: "Outbox | None" = None

    @property
    def db(self) -> "Database":
        """The database, already migrated."""
        return _configured(self.database, "ISTHMUS_DATABASE_URL")

    @property
    def vault(self) -> "Vault":
        """The vault that keeps secrets."""
        return _configured(self.secrets, _VAULT_SETTINGS)

    @property
    def bus(self) -> "Bus":
        """The connection to NATS; usable before NATS is reachable."""
        return _configured(self.connection, "ISTHMUS_NATS_URL")

    @property
    def outbox(self) -> "Outbox":
        """Where events are stored in the transaction that made them true."""
        return _configured(self.events, "ISTHMUS_DATABASE_URL")

    def peer(self, name: str) -> "grpc.aio.Channel":
        """Return the channel to another service, found by `ISTHMUS_<NAME>_ADDRESS`.

        Calls carry this process's identity, the acting tenant, the correlation id and, unless the
        caller sets one, a deadline of 10 seconds.

        Raises:
            Precondition: `SETTING_MISSING`, the address is not set.
        """
        address = self.settings.peer_address(name)
        address = _configured(address or None, f"ISTHMUS_{name.upper()}_ADDRESS")
        return self.caller.channel(address, f"service:{name}")

    def channel(self, address: str, subject: str) -> "grpc.aio.Channel":
        """Return the channel to an address, with the same manners as `peer`.

        Args:
            address: `host:port` or `unix:/path`.
            subject: Who has to answer there, `host:files` for example; with TLS nobody else is accepted.
        """
        return self.caller.channel(address, subject)


def _configured(value: T | None, variable: str) -> T:
    if value is None:
        raise Precondition("SETTING_MISSING", f"Set {variable} for this service.")
    return value


Wire = Callable[[Chassis], Awaitable[Wiring]]

__all__ = ["Chassis", "Wire", "Wiring"]
