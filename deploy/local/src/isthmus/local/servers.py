"""The back ends of one mesh that are ours."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.local.backends import Backend, EmbeddedNats, EmbeddedOpenBao, EmbeddedPostgres
from isthmus.local.home import Home
from isthmus.local.issued import certificate_file
from isthmus.local.names import HUB, NATS
from isthmus.local.options import Options
from isthmus.local.supervisor import say

__all__ = ["Servers"]


def _connectors() -> list[str]:
    from isthmus.local.preload import connector_names

    return [HUB, *connector_names()]


@dataclass(frozen=True)
class Servers:
    """The back ends that are ours; `None` where somebody else's is used."""

    postgres: EmbeddedPostgres | None
    nats: EmbeddedNats | None
    openbao: EmbeddedOpenBao | None

    @classmethod
    def chosen(cls, home: Home, options: Options) -> "Servers":
        """Take the embedded server wherever no address was given."""
        return cls(
            None if options.postgres_url else EmbeddedPostgres(home.root),
            None if options.nats_url else EmbeddedNats(home.root, connectors=_connectors),
            None if options.vault_addr or options.secrets else EmbeddedOpenBao(home.root),
        )

    def secured(self, certificates: Path) -> list[Backend]:
        """Name those that show a certificate of the mesh, without which they cannot start.

        Args:
            certificates: The folder with those of all processes.
        """
        if self.nats is None:
            return []
        self.nats.certificate = certificate_file(certificates, NATS)
        return [self.nats]

    def take_certificates(self) -> None:
        """Let those show their newest certificate that do not look for one themselves."""
        if self.nats is not None:
            self.nats.take_certificate()

    def tend(self) -> None:
        """Replace the certificates that servers have made for themselves, before they end."""
        try:
            if self.openbao is not None:
                self.openbao.renew_certificate()
        except OSError as failure:
            say(f"the vault's certificate could not be renewed: {failure}")

    def all(self) -> list[Backend]:
        """List those that there are."""
        mine: list[Backend | None] = [self.postgres, self.nats, self.openbao]
        return [backend for backend in mine if backend is not None]
