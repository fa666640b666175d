"""The back ends of one mesh that are ours."""

from dataclasses import dataclass

from isthmus.local.backends import Backend, EmbeddedNats, EmbeddedOpenBao, EmbeddedPostgres
from isthmus.local.home import Home
from isthmus.local.names import HUB
from isthmus.local.options import Options

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

    def all(self) -> list[Backend]:
        """List those that there are."""
        mine: list[Backend | None] = [self.postgres, self.nats, self.openbao]
        return [backend for backend in mine if backend is not None]
