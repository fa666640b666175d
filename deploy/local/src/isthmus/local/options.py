"""Which servers the mesh uses: its own, or somebody else's."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

from isthmus.local.home import Home
from isthmus.local.names import SERVICES
from isthmus.local.private import read_json, write_private

__all__ = ["EMBEDDED", "Options"]

EMBEDDED = "embedded"
"""Given instead of an address: the server out of the wheel, with its data in the home."""


@dataclass(frozen=True)
class Options:
    """Addresses of servers outside; an empty one means the embedded server.

    Attributes:
        postgres_url: A role that may create roles, and the database to use.
        nats_url: NATS with JetStream.
        nats_ca_file: PEM of the authorities that vouch for it.
        nats_users: Folder with `<user>.password` for each process, as `isthmus nats config` writes it.
        vault_addr: OpenBao or Vault, prepared as `isthmus vault script` prints it.
        vault_ca_file: PEM of the authorities that vouch for it.
        vault_roles: Folder with `<service>.role-id` and `<service>.secret-id` for those that keep secrets.
        vault_token_file: Holds a token that reaches everything of ours, in place of the roles.
        secrets: Where secrets are kept in place of OpenBao: `azure:URL`, `environment` or `file:PATH`.
        secrets_key_file: Holds the key of that file.
        services: Those to run here; the others are somewhere else.
        reflection: Lets tools list the RPCs of every service.
        log_level: Least level that services log.
        allow_plaintext: Servers outside may be spoken to without TLS, since the network is protected.
        tls: Lets processes speak TLS with one another.
        otlp_endpoint: Where traces and metrics go; empty means nowhere.
        routes: Where processes of the mesh reach a service when something stands in between, by its name;
            the others are reached where they listen.
    """

    postgres_url: str = field(default="", repr=False)
    nats_url: str = field(default="", repr=False)
    nats_ca_file: str = ""
    nats_users: str = ""
    vault_addr: str = ""
    vault_ca_file: str = ""
    vault_roles: str = ""
    vault_token_file: str = ""
    secrets: str = ""
    secrets_key_file: str = ""
    services: tuple[str, ...] = SERVICES
    reflection: bool = False
    log_level: str = "INFO"
    allow_plaintext: bool = False
    tls: bool = True
    otlp_endpoint: str = ""
    routes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Home) -> Self:
        """Return what the last start was told."""
        stored = read_json(home.options_file)
        return cls(**{name: value for name, value in stored.items() if name in cls.__dataclass_fields__})

    def save(self, home: Home) -> None:
        """Remember what a start has worked with, so that the next one finds its data."""
        write_private(home.options_file, json.dumps(asdict(self), indent=2))

    def changed(self, **given: str | bool | None) -> Self:
        """Return a copy with what was given; `embedded` takes an address back."""
        values = {
            name: "" if value == EMBEDDED else value for name, value in given.items() if value is not None
        }
        return type(self)(**{**asdict(self), **values})
