"""What each process of the mesh is told through its environment."""

import json
import os
from pathlib import Path

from isthmus.kit.db.provisioning import service_databases
from isthmus.kit.plaintext import secured_database
from isthmus.local.backends.nats_users import NatsUsers
from isthmus.local.backends.ports import HOST, PortBook
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.certification import Certification
from isthmus.local.home import Home
from isthmus.local.issued import authority_file
from isthmus.local.keys import KeyRing
from isthmus.local.names import (
    ADMITTING,
    AT_VAULT,
    LAUNCHER,
    SERVICES,
    WITH_VAULT,
    WITHOUT_BUS,
    WITHOUT_DATABASE,
)
from isthmus.local.options import Options
from isthmus.local.private import password, read_json, write_private
from isthmus.local.servers import Servers
from isthmus.services.identity.domain import mesh_permissions

__all__ = ["DATABASE", "Environment"]

DATABASE = "isthmus"
"""Name of the database in the embedded server."""
_DRAIN_SECONDS = "4"
_GIVEN_SECRETS = ("ISTHMUS_SECRET_", "ISTHMUS_SECRETS_KEY")
_THIS_MACHINE = "127.0.0.0/8,::1,localhost"


class Environment:
    """Addresses, keys and passwords of the mesh, told to each process as far as it needs them.

    Args:
        home: Where keys, ports and passwords are kept.
        options: Servers outside.
        servers: Servers of ours; they have their ports once they have started.
        certification: Knows where certificates are.
    """

    def __init__(self, home: Home, options: Options, servers: Servers, certification: Certification) -> None:
        self._home = home
        self._certification = certification
        self._options = options
        self._servers = servers
        self._keys = KeyRing(home)
        book = PortBook(home.run / "ports.json")
        self._held = {name: book.held(f"service-{name}") for name in SERVICES}
        self._held["gateway-http"] = book.held("gateway-http")
        self._held |= {f"mesh-{name}": book.held(f"mesh-{name}") for name in SERVICES}
        self.addresses = {name: f"{HOST}:{self._held[name][0]}" for name in SERVICES}
        """Where people and programs reach each service."""
        self.mesh_addresses = self._mesh_addresses()
        """Where processes of the mesh reach each service."""
        self.http_address = f"{HOST}:{self._held['gateway-http'][0]}"
        self.database_secrets = self._database_secrets()
        """From which the passwords of each service's roles are derived."""

    @property
    def admin_url(self) -> str:
        """The database as a role that may create roles; a secret that no service gets."""
        postgres = self._servers.postgres
        if postgres is None:
            url, allowed = self._options.postgres_url, self._options.allow_plaintext
            return secured_database(url, allow_plaintext=allowed)
        return f"{postgres.admin_url.removesuffix('/postgres')}/{DATABASE}"

    @property
    def _near_url(self) -> str:
        postgres = self._servers.postgres
        return self.admin_url if postgres is None else postgres.near_url(DATABASE)

    def _mesh_addresses(self) -> dict[str, str]:
        if not self._certification.active:
            return self.addresses
        return {name: f"{HOST}:{self._held[f'mesh-{name}'][0]}" for name in SERVICES}

    def of_service(self, name: str) -> dict[str, str]:
        """Tell a service what it needs."""
        known = self._common(f"service:{name}")
        known["ISTHMUS_LISTEN"] = self.mesh_addresses[name]
        if self._certification.active:
            known["ISTHMUS_USERS_LISTEN"] = self.addresses[name]
        known["ISTHMUS_HTTP_LISTEN"] = self.http_address
        if name not in WITHOUT_DATABASE:
            place = service_databases(self._near_url, {name: self.database_secrets[name]})[name]
            known["ISTHMUS_DATABASE_URL"] = place.url
        if name in WITH_VAULT or (name in AT_VAULT and not self._options.secrets):
            known |= self._vault(name)
        if name not in WITHOUT_BUS:
            known |= self._bus(name)
        return known

    def of_host(self, connector: str) -> dict[str, str]:
        """Tell a connector host what it needs; neither database nor vault is among it."""
        known = {**self._common(f"host:{connector}"), **self._bus(f"host-{connector}")}
        return {**known, "ISTHMUS_LISTEN": f"{HOST}:0", "ISTHMUS_FILES_ROOT": str(self._home.files)}

    def of_launcher(self) -> dict[str, str]:
        """Tell the launcher's own errands who they are; whoever founds a tenant has to have all rights."""
        return self._common(f"service:{LAUNCHER}")

    def _common(self, subject: str) -> dict[str, str]:
        reached = {**self.mesh_addresses, **self._options.routes}
        peers = {f"ISTHMUS_{name.upper()}_ADDRESS": address for name, address in reached.items()}
        return {
            **peers,
            **self._certification.settings(subject),
            "ISTHMUS_TRUST_FILE": str(self._home.trust_file),
            "ISTHMUS_SERVICE_KEY_FILE": str(self._keys.key_file(subject, mesh_permissions(subject))),
            "ISTHMUS_LAUNCHER_SOCKET": str(self._home.socket),
            "ISTHMUS_LOG_LEVEL": self._options.log_level,
            "ISTHMUS_OTLP_ENDPOINT": self._options.otlp_endpoint,
            "ISTHMUS_ALLOW_PLAINTEXT": str(self._options.allow_plaintext).lower(),
            "ISTHMUS_REFLECTION": str(self._options.reflection).lower(),
            "ISTHMUS_DRAIN_SECONDS": _DRAIN_SECONDS,
            "ISTHMUS_EGRESS_ALLOW": os.environ.get("ISTHMUS_EGRESS_ALLOW", _THIS_MACHINE),
        }

    def _bus(self, user: str) -> dict[str, str]:
        """Tell a process where NATS is, and who it is there."""
        nats = self._servers.nats
        known = {"ISTHMUS_NATS_URL": self._options.nats_url if nats is None else nats.address}
        if nats is not None and nats.certificate is not None:
            known["ISTHMUS_NATS_CA_FILE"] = str(authority_file(self._home.tls))
        elif self._options.nats_ca_file:
            known["ISTHMUS_NATS_CA_FILE"] = self._options.nats_ca_file
        if nats is None and not self._options.nats_users:
            return known
        users = NatsUsers(Path(self._options.nats_users)) if nats is None else nats.users
        issuer = {"ISTHMUS_NATS_ISSUER_FILE": str(users.issuer_file)} if user in ADMITTING else {}
        return {
            **known,
            **issuer,
            "ISTHMUS_NATS_USER": user,
            "ISTHMUS_NATS_PASSWORD_FILE": str(users.password_file(user)),
        }

    def _vault(self, name: str) -> dict[str, str]:
        if self._options.secrets:
            return {
                **{known: text for known, text in os.environ.items() if known.startswith(_GIVEN_SECRETS)},
                "ISTHMUS_SECRETS": self._options.secrets,
                "ISTHMUS_SECRETS_KEY_FILE": self._options.secrets_key_file,
            }
        openbao = self._servers.openbao
        known = {
            "ISTHMUS_SECRETS": "openbao",
            "ISTHMUS_VAULT_ADDR": self._options.vault_addr if openbao is None else openbao.address,
            "ISTHMUS_VAULT_CA_FILE": self._options.vault_ca_file
            if openbao is None
            else str(openbao.authority),
        }
        if openbao is None and not self._options.vault_roles:
            return {
                **known,
                "ISTHMUS_VAULT_TOKEN_FILE": str(Path(self._options.vault_token_file).expanduser()),
            }
        folder = Path(self._options.vault_roles) if openbao is None else openbao.roles
        files = RoleFiles.within(folder, name)
        return {
            **known,
            "ISTHMUS_VAULT_ROLE_ID_FILE": str(files.role_id),
            "ISTHMUS_VAULT_SECRET_ID_FILE": str(files.secret_id),
        }

    def _database_secrets(self) -> dict[str, str]:
        path = self._home.keys / "database.json"
        known = read_json(path)
        wanted = {
            name: known.get(name) or password()
            for name in self._options.services
            if name not in WITHOUT_DATABASE
        }
        if wanted.items() - known.items():
            write_private(path, json.dumps({**known, **wanted}, indent=2))
        return wanted

    def describe(self) -> dict[str, object]:
        """Say where everything listens; without secrets, for people and for the demo."""
        known: dict[str, object] = {
            "services": self.addresses,
            "mesh": self.mesh_addresses,
            "tls": self._certification.active,
            "gateway_url": f"http://{self.http_address}",
        }
        if self._servers.postgres is not None:
            port = self._servers.postgres.ports["postgres"]
            known["postgres"] = {
                "host": HOST,
                "port": port,
                "database": DATABASE,
                "auditor": "isthmus_auditor",
                "auditor_password_file": str(self._servers.postgres.folder / "auditor.password"),
            }
        if self._servers.nats is not None:
            known["nats"] = {
                "port": self._servers.nats.ports["nats"],
                "address": self._servers.nats.address,
                "monitor_url": self._servers.nats.monitor_url,
            }
        if self._servers.openbao is not None:
            known["openbao"] = {
                "address": self._servers.openbao.address,
                "ca_file": str(self._servers.openbao.authority),
                "audit_log": str(self._servers.openbao.audit_log),
            }
        return known
