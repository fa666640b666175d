"""How a process of the mesh connects to NATS: as whom, and to which server only."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.kit.authorities import trusting
from isthmus.kit.bus_users import BusUser, user_named
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Precondition
from nats import errors
from nats.aio.client import Client

if TYPE_CHECKING:
    from isthmus.kit.settings import ServiceSettings

_log = logger(__name__)
# The library does not tell its streams that there is TLS below them, and asyncio minds at each end of one.
logging.getLogger("asyncio").addFilter(lambda record: "eof_received" not in str(record.msg))


@dataclass(frozen=True, slots=True)
class BusLogin:
    """What a process of the mesh logs in with.

    Attributes:
        user: Who it is, and what it may do.
        password_file: Read anew at each connection, so that a new password needs no restart.
    """

    user: BusUser
    password_file: Path

    @classmethod
    def of(cls, settings: "ServiceSettings") -> "BusLogin | None":
        """Return what the settings name; None where the address says it.

        Raises:
            Precondition: `SETTING_INVALID`, the settings name nobody, or no file.
        """
        if not settings.nats_user:
            return None
        user = user_named(settings.nats_user)
        if user is None or settings.nats_password_file is None:
            message = (
                "Set ISTHMUS_NATS_USER to a service or to host-<connector>, "
                "and ISTHMUS_NATS_PASSWORD_FILE together with it."
            )
            raise Precondition("SETTING_INVALID", message, path="nats_user")
        return cls(user, settings.nats_password_file)

    def password(self) -> str:
        """Read the password; one that cannot be read is refused by the server, and tried again."""
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            _log.error("the bus's password cannot be read", error, file=str(self.password_file))
            return ""


@dataclass(frozen=True, slots=True)
class BusServer:
    """The server, and how it is told from others that pretend to be it.

    Attributes:
        url: Where it is, with user and password when it wants them.
        ca_file: Authorities that vouch for it. With them, or with an address that begins with `tls://`,
            nothing is said in plain text.
    """

    url: str
    ca_file: Path | None = None

    @classmethod
    def of(cls, settings: "ServiceSettings") -> "BusServer":
        """Return what the settings name."""
        return cls(settings.nats_url, settings.nats_ca_file)

    @property
    def is_secure(self) -> bool:
        """Whether it has to show who it is, and nobody else may read along."""
        return self.ca_file is not None or self.url.startswith("tls://")

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is checked with.

        Raises:
            OSError: the authorities cannot be read.
        """
        return trusting(self.ca_file)


class BusClient(Client):
    """A client of NATS that has to have TLS where it was told so.

    The server says first whether it wants TLS, in plain text: who is in between could say that it does not,
    and would hear the password.

    Args:
        server: Whom it will be connected to.
    """

    def __init__(self, server: BusServer) -> None:
        super().__init__()
        self._server = server

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What a connection is checked with; also one that is made again after authorities have changed."""
        return self._server.context()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._server.is_secure and not info.get("tls_required"):
            raise errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)


__all__ = ["BusClient", "BusLogin", "BusServer"]
